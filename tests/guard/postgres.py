"""A private PostgreSQL cluster on a loopback port, started as an unprivileged user; gone with the test run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _programs() -> Path:
    found = (
        sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
        if Path("/usr/lib/postgresql").exists()
        else []
    )
    if not found or not (found[-1] / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    return found[-1]


@contextmanager
def cluster() -> Iterator[str]:
    """The URI of an empty database."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="kdgov-pg-", dir="/tmp"))
    data, port = folder / "data", free_port()
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, user="postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    folder.chmod(0o755)

    def run(*command: str) -> None:
        done = subprocess.run([*prefix, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            pytest.fail(f"{command[0]}: {done.stdout}{done.stderr}")

    run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "kdgov", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=200"
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        run(str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "kdgov", "registry")
        yield f"postgresql+psycopg2://kdgov@127.0.0.1:{port}/registry"
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
