"""An error inside a model's own code, told as what it is: a model that cannot be asked this way, by its class and the task."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdgov.errors import InputError

_OURS = Path(__file__).parents[3]
_FAULTS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, NotImplementedError)


@contextlib.contextmanager
def named_fault(model: Any, path: Path, task: str) -> Iterator[None]:
    """Within, what fails in code that is not kdgov's is an `InputError` that names model and task; too little memory stays what it is.

    Raises:
        InputError: naming them, with what was said.
    """
    try:
        yield
    except _FAULTS as error:
        if "OutOfMemory" in type(error).__name__ or "out of memory" in str(error) or _is_ours(error):
            raise
        said = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise InputError(
            f"{type(model).__name__} cannot answer {task}: {type(error).__name__}: {said}",
            where=str(path),
            mend="Leave the task out, or ask the model where it is served (`backend: chat`, `completions`).",
        ) from error


def _is_ours(error: BaseException) -> bool:
    """Whether the innermost line that failed is kdgov's own."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is None or _OURS in Path(last.tb_frame.f_code.co_filename).parents
