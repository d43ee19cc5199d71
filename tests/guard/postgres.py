"""A private PostgreSQL cluster on a loopback port, started as an unprivileged user; gone with the test run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Cluster:
    """A running server with one empty database."""

    uri: str
    restart: Callable[[], None]
    """Stop it, cutting every connection, and start it again."""


@contextmanager
def cluster() -> Iterator[str]:
    """The URI of an empty database."""
    with restartable() as running:
        yield running.uri


@contextmanager
def restartable() -> Iterator[Cluster]:
    """A cluster that can be restarted."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="kdgov-pg-", dir="/tmp"))
    data, port = folder / "data", free_port()
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, user="postgres")
        # Where a login shell keeps it; a shorter path may leave that folder out.
        prefix = [shutil.which("runuser") or "/usr/sbin/runuser", "-u", "postgres", "--"]
    folder.chmod(0o755)

    def run(*command: str) -> None:
        done = subprocess.run([*prefix, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            pytest.fail(f"{command[0]}: {done.stdout}{done.stderr}")

    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=200"

    def control(*act: str) -> None:
        run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, *act)

    run(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "kdgov", "--no-sync")
    control("start")
    try:
        run(str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "kdgov", "registry")
        uri = f"postgresql+psycopg2://kdgov@127.0.0.1:{port}/registry"
        yield Cluster(uri=uri, restart=lambda: control("-m", "fast", "restart"))
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
