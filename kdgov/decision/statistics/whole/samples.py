"""Several samples of one item as one number: the chance that one of k is right, or what most of them say."""

from __future__ import annotations

import math
import re

import numpy as np

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.paired import Values

_PASS = re.compile(r"^pass@([1-9][0-9]{0,3})$")
MAJORITY = "majority"


def is_of_samples(name: str) -> bool:
    """Whether a statistic's name is ``pass@k`` or ``majority``."""
    return name == MAJORITY or _PASS.match(name) is not None


def per_item(name: str, scores: Values, items: Codes) -> Values | str:
    """One number per item, in the order of the item codes; or why there is none.

    ``pass@k`` is the unbiased chance that at least one of k samples is right, 1 - C(n - c, k) / C(n, k); ``majority`` is 1 where
    more than half of the samples are right, 0 where fewer are, and 1/2 in a tie.

    Source: Chen et al. 2021, arXiv:2107.03374, for pass@k.
    """
    drawn = np.bincount(items).astype(np.float64)
    right = np.bincount(items, weights=scores)
    if name == MAJORITY:
        return np.where(2 * right > drawn, 1.0, np.where(2 * right < drawn, 0.0, 0.5))
    found = _PASS.match(name)
    k = int(found[1]) if found else 1
    if drawn.min() < k:
        return f"an item has {int(drawn.min())} samples, and {name} needs at least {k}"
    return 1.0 - np.array([math.comb(int(n - c), k) / math.comb(int(n), k) for n, c in zip(drawn, right, strict=True)])
