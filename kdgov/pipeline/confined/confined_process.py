"""A process without keys, as its parent holds it: started with a scrubbed environment, asked by calls, ended with everything it started."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from kdgov.errors import DeclarationError, Fault, InputError, UnavailableError
from kdgov.pipeline.confined.scrubbed_environment import cache_places, key_places, make_cache_places, scrubbed
from kdgov.processes import can_keep_apart, end_group
from kdgov.progress import Progress, silent

_LONGEST = 1 << 26
"""Characters of one answer: small values and aggregates; tables lie in files."""
_TRIES = 100
_WORKER = "kdgov.pipeline.confined.confined_worker"


class ConfinedProcess:
    """Runs functions of kdgov where no key can be read. Use it as a context: leaving ends the process and its children.

    What its functions write goes into ``scratch`` (or another place named writable); nothing that comes back is executed, and files are
    taken over by `take`, never followed as links.
    """

    def __init__(self, store: Path, *, writable: Sequence[Path] = (), keys: Sequence[str] = (), progress: Progress = silent) -> None:
        """Start it.

        Args:
            store: folder of finished work: its keys are hidden, its ``scratch`` is where the process writes.
            writable: further folders it may write to.
            keys: environment variables with keys of endpoints that this evaluation itself asks.
            progress: called as ``progress(label, done, total)``.
        """
        if not can_keep_apart():
            raise UnavailableError(
                "a suite that does not come with kdgov needs a process kept apart, which is not done on Windows",
                mend="Use WSL, Linux or macOS.",
            )
        self.scratch = _own_folder(store / "scratch")
        (self.scratch / "tmp").mkdir()
        self._progress = progress
        modules = os.pathsep.join(place or os.getcwd() for place in sys.path)
        own = {"TMPDIR": str(self.scratch / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": modules}
        environment = {**scrubbed(os.environ, keys=keys), **own}
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(writing)], env=environment, stdin=subprocess.PIPE, stdout=2, pass_fds=(writing,),
            start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers: BinaryIO = os.fdopen(reading, "rb")
        hidden = key_places(os.environ, store.absolute())
        make_cache_places(os.environ)
        self._send({"hidden": hidden, "writable": (self.scratch, *(p.absolute() for p in writable), *cache_places(os.environ))})
        self.is_confined = bool(self._answer().get("is_confined"))
        """Whether the kernel keeps the keys' files from it; where it does not, only the environment is scrubbed."""

    def __enter__(self) -> ConfinedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        end_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):
            self._requests.close()
        self._answers.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        with suppress(OSError):
            self.scratch.parent.rmdir()

    def call(self, function: str, **arguments: Any) -> Any:
        """What a function of kdgov (``module:name``) returns, as JSON; it is given ``progress`` besides.

        Raises:
            InputError: if it raises one, or the process ended without an answer.
            UnavailableError: if it raises one.
            RuntimeError: for every other exception there, with its text.
        """
        self._send({"call": function, "arguments": arguments})
        while True:
            answer = self._answer()
            if isinstance(told := answer.get("progress"), list) and len(told) == 3:
                self._progress(str(told[0]), int(told[1]), int(told[2]))
            elif "done" in answer:
                return answer["done"]
            elif isinstance(fault := answer.get("fault"), dict):
                raise _error(fault)
            else:
                raise RuntimeError(f"{answer.get('crash', 'an answer of another shape')}\n{answer.get('trace', '')}")

    def _send(self, request: dict[str, Any]) -> None:
        try:
            pickle.dump(request, self._requests)
            self._requests.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline(_LONGEST)
        if not line.endswith(b"\n"):
            raise self._ended()
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else {}

    def _ended(self) -> InputError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        how = f"signal {-self._process.returncode}" if (self._process.returncode or 0) < 0 else f"code {self._process.returncode}"
        mend = "Look at what it printed last; where memory ran out, evaluate with smaller batches."
        return InputError(f"the process that asked the models ended by itself ({how})", mend=mend)


def _own_folder(place: Path) -> Path:
    """A new folder below ``place``, which another process removes when it ends and leaves nothing there: at any moment."""
    for _ in range(_TRIES):
        # The last two: it stood there when it was made, and was gone when that was looked at.
        with suppress(FileNotFoundError, FileExistsError):
            place.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=place)).absolute()
    raise UnavailableError("no folder can be made there", where=str(place), mend="Remove what lies in its place, then run again.")


def take(source: Path, target: Path) -> None:
    """Move the plain files of a folder that a confined process wrote; links and everything else stay behind."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                os.replace(entry.path, target / entry.name)


def _error(fault: dict[str, Any]) -> InputError | UnavailableError:
    what, where, mend = (str(fault.get(name, "")) for name in ("what", "where", "mend"))
    if fault.get("exit_code") == UnavailableError.exit_code:
        return UnavailableError(what, where=where, mend=mend)
    rows = [row for row in fault.get("faults") or [] if isinstance(row, list) and len(row) == 5]
    if len(rows) > 1:
        return DeclarationError(Fault(file=str(f), key=str(k), what=str(w), mend=str(m), line=int(n)) for f, k, w, m, n in rows)
    return InputError(what, where=where, mend=mend)
