"""Shape of a set of values: how lopsided they are, and on how many of them their spread rests."""

from __future__ import annotations

import numpy as np

from kdgov.decision.statistics.paired import Values


def effective_events(difference: Values) -> float:
    """How many items carry the spread: n / kurtosis about the median; about n p where a share p of items differs.

    A third of n for normal differences, n for a coin's, and the number of odd items where all others agree.
    """
    centred = difference - np.median(difference)
    second = float(np.sum(centred**2))
    fourth = float(np.sum(centred**4))
    return second * second / fourth if fourth > 0 else 0.0


def skewness(values: Values) -> float:
    """Third standardised moment; 0 where nothing varies."""
    centred = values - values.mean()
    spread = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / spread**1.5 if spread > 0 else 0.0
