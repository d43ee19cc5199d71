"""The rim: where exceptions become messages and exit codes, and where output formats are chosen.

Standard output carries the answer and nothing else; progress, logs and errors go to standard error.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer

from kdgov.cli.unforeseen import missing_part, unforeseen
from kdgov.digest import write_atomic
from kdgov.errors import EXIT_ENVIRONMENT, Fault, InputError, KdgovError, UnavailableError
from kdgov.visible_text import visible

_FULL_DISK_SIGNS = ("No space left on device", "inline_container.cc", "disk is full")
# typer keeps this class to itself; it is what every fault of a command line's own words descends from.
USAGE_ERROR: Any = typer.BadParameter.__base__
_ENVIRONMENT_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ECONNREFUSED}
# A path that cannot be what the command was told it is: a folder for a file, a file for a folder, no such place.
_PATH_ERRNOS = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP}


@contextmanager
def error_boundary(*, output_format: str = "text") -> Iterator[None]:
    """Run a command's body; deliberate errors end it with their message and exit code, never a traceback."""
    # A scheduler's SIGTERM ends a command as Ctrl-C does: with a message and nothing half-written.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _told():
            yield
    except KdgovError as error:
        _end(error.faults, error.exit_code, output_format)
    except KeyboardInterrupt:
        fault = Fault(file="", key="", what="interrupted", mend="Run the same command again: it continues where it stopped.")
        _end((fault,), EXIT_ENVIRONMENT, output_format)
    except BrokenPipeError:
        # The reader has gone (`| head`): nobody is left to tell, and Python must not complain about it at its end.
        _silence_stdout()
        raise typer.Exit(EXIT_ENVIRONMENT) from None
    except OSError as error:
        if error.errno in _PATH_ERRNOS and error.filename:
            at_fault = InputError(error.strerror or str(error), where=str(error.filename), mend="Name another path.")
            _end(at_fault.faults, at_fault.exit_code, output_format)
        if error.errno not in _ENVIRONMENT_ERRNOS:
            _end((unforeseen(error),), EXIT_ENVIRONMENT, output_format)
        unavailable = UnavailableError(error.strerror or str(error), where=str(error.filename or ""), mend=_mend_for(error.errno))
        _end(unavailable.faults, EXIT_ENVIRONMENT, output_format)
    except (typer.Exit, typer.Abort, USAGE_ERROR):
        raise
    except RecursionError as error:
        if "decoding a JSON" not in str(error):
            _end((fault_of(error),), EXIT_ENVIRONMENT, output_format)
        too_deep = InputError("a JSON text is nested too deep", mend="Look at the file that was named last: no tool writes such a text.")
        _end(too_deep.faults, too_deep.exit_code, output_format)
    except Exception as error:  # noqa: BLE001 - the last door: what comes through it would end with Python's own exit code, 1
        _end((fault_of(error),), EXIT_ENVIRONMENT, output_format)


def fault_of(error: BaseException) -> Fault:
    """What to say of an error that no message was written for."""
    if isinstance(error, ModuleNotFoundError) and (missing := missing_part(error, _command())):
        return missing
    if _tells_of_a_full_disk(error):
        return UnavailableError("No space left on device", mend=_mend_for(errno.ENOSPC)).faults[0]
    return unforeseen(error)


def _command() -> str:
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


@contextmanager
def _told() -> Iterator[None]:
    # A full disk behind standard output shows only when the last bytes leave: here, while it can still be told.
    try:
        yield
    except typer.Exit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()


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
        try:
            print_faults(faults, code)
            sys.stdout.flush()
        except OSError:
            _silence_stdout()
    for fault in faults:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
        typer.echo(visible(str(fault)), err=True)
    raise typer.Exit(code)


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_faults(faults: tuple[Fault, ...], code: int) -> None:
    """What was at fault, as one JSON document on standard output."""
    rows = [{"file": f.file, "line": f.line, "key": f.key, "what": f.what, "mend": f.mend} for f in faults]
    sys.stdout.write(json.dumps({"error": {"exit_code": code, "faults": rows}}, ensure_ascii=False) + "\n")


def write_answer(path: Path, text: str) -> None:
    """Write what a command was asked to write to the place the user named.

    A file appears whole or not at all, behind a symbolic link as well; a device or pipe takes the bytes and stays what it is.

    Raises:
        InputError: the path is a folder, or lies under something that is none.
        OSError: as the system reports it (disk full, no permission).
    """
    place = path.resolve()
    if place.is_dir():
        raise InputError("is a folder, not a file", where=str(path), mend="Name a file in it.")
    if place.exists() and not place.is_file():
        with place.open("wb", buffering=0) as device:
            device.write(text.encode())
    else:
        write_atomic(place, text.encode())


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
