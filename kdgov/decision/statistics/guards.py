"""What a set of scores leaves open beyond its spread: the few-events bound of its items, or of its clusters."""

from __future__ import annotations

import math

import numpy as np

from kdgov.decision.statistics.clusters import ClusterSums, Codes, cluster_sums, freedom, jackknife_error
from kdgov.decision.statistics.few_events import MOST_EVENTS, FewEventsInterval
from kdgov.decision.statistics.intervals import StudentInterval
from kdgov.decision.statistics.paired import Values


def losable_of(teacher: Values, clusters: Codes | None, worst: float) -> float:
    """What the unit that the teacher does best on could lose at most."""
    best = teacher if clusters is None else cluster_sums(teacher, clusters).means
    return max(float(best.max()) - worst, 0.0)


def guard_of_clusters(sums: ClusterSums, reach: float, losable: float | None) -> FewEventsInterval | None:
    """The clusters that may have collapsed, seen or unseen; None where so many have that their variance tells."""
    off = sums.means - float(np.median(sums.means))
    lost, gained = off < -reach / 2, off > reach / 2
    worth = sums.effective / sums.n
    losses, gains = float(sums.sizes @ lost) * worth, float(sums.sizes @ gained) * worth
    if max(losses, gains) > MOST_EVENTS:
        return None
    rests = [_mean_of(sums.keep(~odd) if odd.any() else sums) for odd in (lost, gained)]
    return FewEventsInterval(
        estimate=sums.mean,
        losses=losses,
        gains=gains,
        n=sums.effective,
        reach=_least(reach, losable),
        reach_up=reach,
        rest=rests[0],
        not_gained=rests[1],
    )


def _least(reach: float, losable: float | None) -> float:
    return reach if losable is None else min(reach, losable)


def _mean_of(sums: ClusterSums) -> StudentInterval | None:
    return StudentInterval(estimate=sums.mean, error=jackknife_error(sums), df=freedom(sums)) if sums.k > 1 else None


def guard_of_items(difference: Values, reach: float, losable: float | None) -> FewEventsInterval | None:
    """The rare large losses that a spread cannot have seen; None where they are too many to be rare."""
    off = difference - np.median(difference)
    lost, gained = off < -reach / 2, off > reach / 2
    losses, gains = int(np.count_nonzero(lost)), int(np.count_nonzero(gained))
    if max(losses, gains) > MOST_EVENTS:
        return None
    rests = [_plain_mean(difference[~odd] if count else difference) for odd, count in ((lost, losses), (gained, gains))]
    return FewEventsInterval(
        estimate=float(difference.mean()),
        losses=losses,
        gains=gains,
        n=len(difference),
        reach=_least(reach, losable),
        reach_up=reach,
        rest=rests[0],
        not_gained=rests[1],
    )


def _plain_mean(values: Values) -> StudentInterval | None:
    n = len(values)
    return StudentInterval(estimate=float(values.mean()), error=math.sqrt(float(values.var()) / (n - 1)), df=n - 1) if n > 1 else None


def few_events_of(difference: Values, reach: float, events: float, spread: float) -> FewEventsInterval:
    """The interval of numbers hardly any of which differ."""
    n = len(difference)
    residual = difference - np.median(difference)
    widest = float(np.max(np.abs(residual), initial=0.0))
    odd = np.abs(residual) > widest / 2
    others = difference[~odd]
    # The mean of equal numbers may be off by a rounding: what doesn't vary has no error.
    varies = len(others) > 1 and float(np.ptp(others)) > 0
    error = float(others.std(ddof=1)) / math.sqrt(len(others)) if varies else 0.0
    rest = StudentInterval(estimate=float(others.mean()), error=error, df=max(len(others) - 1, 1)) if len(others) else None
    return FewEventsInterval(
        estimate=float(difference.mean()),
        losses=int(np.count_nonzero(odd & (residual < 0))),
        gains=int(np.count_nonzero(odd & (residual > 0))),
        n=n,
        reach=max(reach, widest),
        rest=rest,
        events=events,
        variance=spread,
    )


def hidden_words(guard: FewEventsInterval, units: int, name: str) -> str:
    """What the units seen leave open, in words."""
    worth = f", worth {guard.n:.0f} equal ones" if guard.n < units - 0.5 else ""
    seen = "none" if guard.losses == 0 else f"about {max(guard.losses, 1):.0f}"
    return f"{seen} of the {units:,} {name}{worth} lost more than half of what one can lose, which proves little of the rarest losses"
