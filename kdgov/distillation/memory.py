"""How a run holds memory: freed pages kept between steps, and advice where memory runs out."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.checkpoints.loading import is_out_of_memory
from kdgov.declarations.distillation import Distillation
from kdgov.errors import UnavailableError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MOST_BYTES, _TOP_PAD_BYTES, _MMAP_BYTES = 2**31 - 1, 64 * 2**20, 32 * 2**20
_USUAL_BYTES = 128 * 1024
_LARGE_BYTES = 2 * _MMAP_BYTES
_LOGITS_BYTES = 16 * 2**20
"""Logits of one chunk on a CPU: below the size from which glibc maps every block anew, and enough rows for a product of matrices."""
_LEAST_ROWS = 128
"""Fewer rows read the whole matrix from memory for too little work: of 151,936 classes, products of 27, 64, 128 and 256 rows at a time
reach 45, 72, 85 and 96 thousand million operations a second of one core that could do 110."""


def rows_at_once(chunk_tokens: int, classes: int, device: torch.device) -> int:
    """Rows whose logits are held at a time: as declared, on a CPU no more than stay in memory that is used again."""
    if device.type != "cpu":
        return chunk_tokens
    return min(chunk_tokens, max(_LEAST_ROWS, _LOGITS_BYTES // (4 * classes)))


@contextlib.contextmanager
def kept_heap() -> Iterator[None]:
    """Keeps freed memory in the process while a run lasts, instead of giving it back and asking for it at every step.

    Every step frees its activations and takes them again; handed back to the system in between, each page is zeroed anew,
    which was measured as a tenth of a step. Afterwards all of it is given back. Elsewhere than on glibc nothing is done.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    for name, value in ((_M_MMAP_THRESHOLD, _MMAP_BYTES), (_M_TRIM_THRESHOLD, _MOST_BYTES), (_M_TOP_PAD, _TOP_PAD_BYTES)):
        libc.mallopt(name, value)
    try:
        yield
    finally:
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _MMAP_BYTES)
        libc.mallopt(_M_TOP_PAD, _USUAL_BYTES)
        libc.malloc_trim(0)


def _glibc() -> Any:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None


def give_back(coming: Tensor) -> None:
    """Hands freed memory back to the system where a block as large as ``coming`` is asked for next, on a CPU with glibc.

    Such a block (the gradient of a matrix over 151,936 classes takes 148 MB) never comes out of what `kept_heap` keeps, so the two would
    stand in memory side by side, and just where a step needs most of it: 100 of 2,170 MB at that size. Zeroing the pages anew takes less
    than a hundredth of a step that has such matrices; of smaller ones nothing is given back.
    """
    if coming.device.type == "cpu" and coming.nbytes >= _LARGE_BYTES and (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def give_back_before_gradients(model: nn.Module) -> None:
    """Has `give_back` run before the gradient of a large embedding of ``model`` is made: the last of a step, when all between is freed."""

    def asked(module: nn.Module, _given: Any, embedded: Tensor) -> None:
        if embedded.requires_grad and not torch.compiler.is_compiling():
            embedded.register_hook(lambda _gradient: give_back(module.weight))

    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.weight.device.type == "cpu" and module.weight.nbytes >= _LARGE_BYTES:
            module.register_forward_hook(asked)


@contextlib.contextmanager
def memory_advice(recipe: Distillation) -> Iterator[None]:
    """Turns memory that ran out into the levers of this recipe that save some.

    Raises:
        UnavailableError: naming them in the order in which they cost least.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _out_of_memory(recipe) from error


def _out_of_memory(recipe: Distillation) -> UnavailableError:
    levers = [f"raise `gradient_accumulation` above {recipe.gradient_accumulation} (same result, smaller parts)"]
    levers += [] if recipe.fused_head else ["set `fused_head: true`"]
    levers += [f"lower `chunk_tokens` below {recipe.chunk_tokens}"] if recipe.fused_head and recipe.chunk_tokens > 64 else []
    levers += [] if recipe.cache else ["add `cache: {kind: top_k}`, so that the teacher need not be in memory"]
    levers += [f"lower `max_length` below {recipe.max_length}"]
    return UnavailableError("memory ran out during distillation", where="distillation", mend=f"In this order: {'; '.join(levers)}.")
