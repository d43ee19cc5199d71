"""Which examples meet in which step: fixed in advance by the seed, so that a run can be repeated, resumed and split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Batches are cut from sorted stretches this many batches long: little padding, and still a new mixture every epoch.
_STRETCH = 50


def batch_order(lengths: NDArray[np.int64], *, steps: int, batch_size: int, seed: int, by_length: bool) -> NDArray[np.int64]:
    """Row numbers of the examples in the order they are trained on.

    Every pass over the data is a fresh permutation; passes run on into each other, so every batch is full. With
    ``by_length``, batches hold examples of similar length, in shuffled order.

    Args:
        lengths: (examples,) tokens per example; at least one.
        steps: batches wanted.
        batch_size: examples per batch.
        seed: decides everything.
        by_length: whether to gather similar lengths.

    Returns:
        (steps * batch_size,) row numbers.
    """
    rng = np.random.default_rng([seed, 0x6B64])
    wanted = steps * batch_size
    passes = -(-wanted // len(lengths))
    rows = np.concatenate([rng.permutation(len(lengths)) for _ in range(passes)])[:wanted]
    if not by_length:
        return rows
    stretch = _STRETCH * batch_size
    batches = [_similar(rows[start : start + stretch], lengths, batch_size, rng) for start in range(0, wanted, stretch)]
    return np.concatenate(batches)


def _similar(rows: NDArray[np.int64], lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    by_length = rows[np.argsort(lengths[rows], kind="stable")]
    batches = by_length.reshape(-1, batch_size)
    return batches[rng.permutation(len(batches))].reshape(-1)
