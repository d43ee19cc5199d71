"""The rim: where exceptions become messages and exit codes, and where output formats are chosen.

Standard output carries the answer and nothing else; progress, logs and errors go to standard error.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from kdgov.errors import EXIT_ENVIRONMENT, Fault, KdgovError, UnavailableError

_FULL_DISK_SIGNS = ("No space left on device", "inline_container.cc", "disk is full")
_ENVIRONMENT_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ECONNREFUSED}


@contextmanager
def rim(*, output_format: str = "text") -> Iterator[None]:
    """Run a command's body; deliberate errors end it with their message and exit code, never a traceback."""
    # A scheduler's SIGTERM ends a command as Ctrl-C does: with a message and nothing half-written.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KdgovError as error:
        _end(error.faults, error.exit_code, output_format)
    except KeyboardInterrupt:
        fault = Fault(file="", key="", what="interrupted", mend="Run the same command again: it goes on where it stood.")
        _end((fault,), EXIT_ENVIRONMENT, output_format)
    except OSError as error:
        if error.errno not in _ENVIRONMENT_ERRNOS:
            raise
        unavailable = UnavailableError(error.strerror or str(error), where=str(error.filename or ""), mend=_mend_for(error.errno))
        _end(unavailable.faults, EXIT_ENVIRONMENT, output_format)
    except Exception as error:
        if not _tells_of_a_full_disk(error):
            raise
        unavailable = UnavailableError("No space left on device", mend=_mend_for(errno.ENOSPC))
        _end(unavailable.faults, EXIT_ENVIRONMENT, output_format)


def _tells_of_a_full_disk(error: BaseException | None) -> bool:
    # torch and safetensors write through their own code: a full disk arrives as a RuntimeError of theirs, an OSError behind it at best.
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(sign in str(error) for sign in _FULL_DISK_SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _mend_for(code: int) -> str:
    match code:
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some disk space and run the same command again: finished steps are reused."
        case errno.ECONNREFUSED:
            return "Start the server or correct its address, then run the same command again."
        case _:
            return "Make the place writable, or choose another with --store, then run the same command again."


def _end(faults: tuple[Fault, ...], code: int, output_format: str) -> NoReturn:
    if output_format == "json":
        rows = [{"file": f.file, "line": f.line, "key": f.key, "what": f.what, "mend": f.mend} for f in faults]
        sys.stdout.write(json.dumps({"error": {"exit_code": code, "faults": rows}}, ensure_ascii=False) + "\n")
    for fault in faults:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
        typer.echo(str(fault), err=True)
    raise typer.Exit(code)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
