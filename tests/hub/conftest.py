"""A cache of the Hub on disk, written by hand in the layout of `huggingface_hub`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import real_folder

Hub = Callable[..., str]


def cached_data_set(home: Path, hub: str, files: Mapping[str, bytes | str], *, branch: str = "main") -> str:
    """Put a data set into a cache: blobs by content, a snapshot of links, a branch that leads to it. Returns its commit."""
    root = home / "hub" / f"datasets--{hub.replace('/', '--')}"
    contents = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    commit = hashlib.sha1(repr(sorted(contents.items())).encode(), usedforsecurity=False).hexdigest()
    for name, data in contents.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = root / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / branch).write_text(commit)
    return commit


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Puts data sets into a cache of its own on a machine without a network."""
    from huggingface_hub import constants

    home = tmp_path / "hf"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "kdgov-cache"))
    return lambda name, files, **more: cached_data_set(home, name, files, **more)


@pytest.fixture
def hub_server(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Mapping[str, str]], str]]:
    """The local stand-in for the Hub, and what puts data sets into it; skips where it is not beside the checkout."""
    serve = real_folder("hub_mirror") / "serve.py"
    root = tmp_path / "served"
    (root / "datasets").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(serve), str(root), str(port), str(tmp_path / "log")])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        template = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

        def put(name: str, files: Mapping[str, str]) -> str:
            for file, text in files.items():
                place = root / "datasets" / name / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/datasets/{name}") as answer:
                return str(json.load(answer)["sha"])

        yield put
    finally:
        server.kill()
        server.wait()
