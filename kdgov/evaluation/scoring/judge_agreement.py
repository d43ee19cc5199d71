"""How well a judge agrees with people: share, its 95 % Wilson interval, and Cohen's kappa.

Sources: Wilson 1927, JASA 22:209; Cohen 1960, Educational and Psychological Measurement 20:37.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any


def cohens_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float:
    """Agreement beyond chance of two labels per answer; 1 where both give one and the same label to every answer.

    Example:
        >>> cohens_kappa([("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")])
        0.0
    """
    n = len(pairs)
    by_people, by_judge = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    agreed = sum(a == b for a, b in pairs) / n
    by_chance = sum(count * by_judge[label] for label, count in by_people.items()) / n**2
    return 1.0 if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)


def agreement_facts(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Share of answers on which a person and a judge agree, with interval and kappa, as the evidence states them.

    Where people gave every answer one and the same label, kappa is None: a judge that always says so would agree as well.
    """
    share, low, high = wilson(sum(a == b for a, b in pairs), len(pairs))
    return {
        "agreement": share,
        "low": low,
        "high": high,
        "kappa": cohens_kappa(pairs) if len({label for label, _ in pairs}) > 1 else None,
        "n": len(pairs),
    }


def wilson(right: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson interval."""
    z = 1.959963984540054
    share = right / n
    centre, spread = share + z * z / (2 * n), z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5
    scale = 1 + z * z / n
    return share, (centre - spread) / scale, (centre + spread) / scale
