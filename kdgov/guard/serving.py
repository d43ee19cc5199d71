"""Start an MLflow server with the guard inside, and stop it again unless it proves that it refuses."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kdgov.errors import InputError, UnavailableError
from kdgov.processes import end_group

START_TIMEOUT_S = 300.0
NONCE_VARIABLE = "KDGOV_SERVE_NONCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What to start."""

    backend: str
    """Database URI, without the guard's scheme."""
    artifacts: str
    """Where artifacts go, without the write-once scheme."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 5000
    """Port to listen on."""
    workers: int = 1
    """Server processes."""
    further: tuple[str, ...] = ()
    """Options passed on to `mlflow server` as they are."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The guard's settings, as environment variables."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    """Said by the very server that is started, so that another one on the same port is not taken for it."""

    @property
    def address(self) -> str:
        """What clients connect to."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - shown, not bound
        return f"http://{host}:{self.port}"

    def command(self) -> list[str]:
        """The command line: MLflow's own server on the guard's three schemes."""
        plain = database_uri(self.backend)
        guarded = f"kdgov:{plain}"
        # Workspaces themselves are kept by a store of their own: the guard's, where the installed package announces it.
        needs_store = "--enable-workspaces" in self.further and "--workspace-store-uri" not in self.further
        announced = importlib.metadata.entry_points(group="mlflow.workspace_provider", name="kdgov")
        workspaces = ("--workspace-store-uri", guarded if announced else plain) if needs_store else ()
        return [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", guarded, "--registry-store-uri", guarded,
            "--artifacts-destination", f"kdgov-artifacts:{self.artifacts}", "--host", self.host, "--port", str(self.port),
            "--workers", str(self.workers), *workspaces, *with_pages(self.further),
        ]  # fmt: skip


def with_pages(further: tuple[str, ...]) -> tuple[str, ...]:
    """MLflow's options with the application that also shows ``/kdgov/``, behind MLflow's login where that is asked for.

    Unchanged where another application is asked for, or where the installed package does not announce its own.
    """
    given = list(further)
    # Click takes both spellings.
    given = [part for word in given for part in (word.split("=", 1) if word.startswith("--app-name=") else [word])]
    asked = given[given.index("--app-name") + 1] if "--app-name" in given[:-1] else ""
    ours = {"": "kdgov", "basic-auth": "kdgov-basic-auth"}.get(asked)
    if ours is None or not importlib.metadata.entry_points(group="mlflow.app", name=ours):
        return further
    if not asked:
        return (*given, "--app-name", ours)
    return tuple(ours if n and given[n - 1] == "--app-name" else word for n, word in enumerate(given))


def database_uri(uri: str) -> str:
    """The URI with a driver that is installed: SQLAlchemy 2.1 reads bare ``postgresql:`` as psycopg 3.

    Raises:
        InputError: if it is no database URI.
    """
    plain = uri.removeprefix("kdgov:")
    if plain.startswith("postgres://"):
        plain = "postgresql://" + plain.removeprefix("postgres://")
    if plain.startswith("postgresql://") and importlib.util.find_spec("psycopg") is None and importlib.util.find_spec("psycopg2"):
        return "postgresql+psycopg2://" + plain.removeprefix("postgresql://")
    if not plain.startswith(("sqlite:", "postgresql")):
        raise InputError(f"{uri!r} is no database the guard works on", mend="Write sqlite:///path or postgresql://user@host/database.")
    return plain


def start_server(plan: ServerPlan, *, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the server and wait until it answers.

    Args:
        plan: what to start.
        log: file for the server's output; inherited when None.

    Raises:
        UnavailableError: if it ends or does not answer in time.
    """
    refuse_taken(plan)
    output = log.open("ab") if log is not None else None
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **plan.settings, NONCE_VARIABLE: plan.nonce}
    process = subprocess.Popen(
        plan.command(), env=environment, stdout=output, stderr=subprocess.STDOUT if output else None, start_new_session=True
    )
    if output is not None:
        output.close()
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UnavailableError(
                f"the server ended with {process.returncode} while starting",
                where=plan.address,
                mend="Read its messages above; is the port free?",
            )
        if _answers(plan.address):
            return process
        time.sleep(0.3)
    stop_server(process)
    raise UnavailableError("the server did not answer in time", where=plan.address, mend="Start it with fewer --workers, or try again.")


def refuse_taken(plan: ServerPlan) -> None:
    """Nothing, when the port is free.

    Raises:
        UnavailableError: if somebody listens on it, or it may not be used.
        InputError: if the host is none of this machine's.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server itself will: a port that a closed connection still lingers on is free, one that is listened on is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except socket.gaierror as error:
        raise InputError(f"--host {plan.host!r} is not an address", mend="Write 127.0.0.1, 0.0.0.0, or a name of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"--host {plan.host!r} is not an address of this machine", mend="Write 127.0.0.1 or 0.0.0.0.") from error
        what = f"port {plan.port} is taken" if error.errno == errno.EADDRINUSE else f"port {plan.port} cannot be used: {error.strerror}"
        raise UnavailableError(what, where=plan.address, mend="Stop what listens there, or choose another with --port.") from error


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and its workers, kindly first."""
    for act in (_terminate, _kill):
        if process.poll() is None:
            act(process)
        try:
            process.wait(timeout=15)
            return
        except subprocess.TimeoutExpired:
            continue


def _terminate(process: subprocess.Popen[bytes]) -> None:
    _signal(process, 15)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _signal(process, 9)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # Workers are children of the server: the whole group it leads is ours.
    end_group(process.pid, number)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 - http to our own server
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
