"""The process itself: gives its rights up before it loads anything of an evaluation, then does what it is asked, one call after the other.

Started by `kdgov.pipeline.confined.confined_process` alone. It reads requests (pickled by its parent, which it belongs to) from standard
input and answers in JSON lines on a pipe of its own, so that nothing a suite prints is taken for an answer.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pickle
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from kdgov.errors import KdgovError
from kdgov.pipeline.confined.landlock import confine
from kdgov.processes import collect_rarely

_DIE_WITH_PARENT = 1


def main(descriptor: int) -> None:
    """Serve until standard input ends."""
    collect_rarely()
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(descriptor, "w", encoding="utf-8")
    # What a suite prints is for people, and nothing is read from where the requests come from.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    places = _next(requests)
    # Its own mark of the most memory it used, which measuring cost sets back.
    writable = (*places["writable"], Path("/proc/self/clear_refs"))
    _say(answers, {"is_confined": confine(hidden=places["hidden"], writable=writable)})
    while (request := _next(requests)) is not None:
        _say(answers, _answered(request, answers))


def _answered(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    def progress(label: str, done: int, total: int) -> None:
        _say(answers, {"progress": [label, done, total]})

    try:
        module, _, function = request["call"].partition(":")
        return {"done": getattr(importlib.import_module(module), function)(**request["arguments"], progress=progress)}
    except KdgovError as error:
        faults = [[f.file, f.key, f.what, f.mend, f.line] for f in error.faults]
        return {"fault": {"exit_code": error.exit_code, "what": error.what, "where": error.where, "mend": error.mend, "faults": faults}}
    except Exception as error:  # noqa: BLE001 - told to the parent, which says what it says of every error nobody foresaw
        return {"crash": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-20_000:]}


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, allow_nan=True) + "\n")
    answers.flush()


def _next(requests: BinaryIO) -> Any:
    try:
        return pickle.load(requests)  # noqa: S301 - from the parent, before anything of a suite is loaded or while none of it runs
    except EOFError:
        return None


if __name__ == "__main__":
    main(int(sys.argv[1]))
