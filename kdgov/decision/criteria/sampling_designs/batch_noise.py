"""Noise of low precision: what an item scores hangs on its neighbours in the batch, and that variance is added to every bound.

Items asked a second time among other neighbours carry `again`, their second score. Half the mean square of the two scores' difference is
the noise variance of one score; divided by the items, it is added to the variance that a bound already holds, and its 95 % upper limit
stands beside it. The spread between items holds independent noise once already: the second time is for noise that neighbours share. Noise
that pulls one way is no variance: it is a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.distributions import normal_quantile
from kdgov.decision.statistics.intervals import exact_bounds
from kdgov.decision.wording import signed
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricKey
from kdgov.items.arrays import floats

COLUMN = "again"
_LEVEL = 0.05
_ONE_WAY = 1e-3
_PAIR = 2
_SEEN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What asking again showed of one model's scores."""

    asked: int
    """Items asked a second time."""
    up: int
    """Items that scored higher the second time, by more than a hundredth of the spread between items."""
    down: int
    """Items that scored lower."""
    variance: float
    """Noise variance of one score."""
    limit: float
    """Its 95 % upper limit."""

    @property
    def changed(self) -> int:
        """Items that scored otherwise."""
        return self.up + self.down

    @property
    def pulls_one_way(self) -> bool:
        """Whether ups and downs differ by more than chance allows at a level of 0.001 (exact sign test)."""
        tail = sum(math.comb(self.changed, hits) for hits in range(min(self.up, self.down) + 1))
        return bool(tail * 2 < _ONE_WAY * 2**self.changed)


def noise_of(table: ItemTable, keys: Iterable[MetricKey], reach: float | None) -> Noise | None:
    """The noise of a model's scores on some metrics; None where no item was asked a second time.

    Args:
        table: the model's items.
        keys: metrics, pooled.
        reach: largest possible difference of two scores; None where nobody says.
    """
    parts = [table.partitions[key] for key in keys if key in table.partitions]
    if not table.has(COLUMN) or not parts:
        return None
    rows = np.concatenate(parts)
    second = floats(table.column(COLUMN, rows))
    known = np.isfinite(second)
    if not known.any():
        return None
    scores = table.scores[rows]
    difference, seen = second[known] - scores[known], _SEEN * float(scores.std())
    squares, asked = difference**2, int(known.sum())
    changed = int(np.count_nonzero(squares))
    # No change seen may still hide one in a few hundred: of the whole range, where nothing says that it is smaller.
    size = float(squares.max()) if changed else (1.0 if reach is None else reach) ** 2
    share = exact_bounds(changed, asked, _LEVEL)[1]
    return Noise(
        asked=asked,
        up=int(np.count_nonzero(difference > seen)),
        down=int(np.count_nonzero(difference < -seen)),
        variance=float(squares.mean()) / _PAIR,
        limit=share * size / _PAIR,
    )


def with_noise(result: CriterionResult, cell: Cell, tables: Tables) -> CriterionResult:
    """The result with the noise of both models in its bounds; the very result where no item was asked a second time."""
    found = _noises(result, cell, tables)
    if not found or result.bound is None or result.upper is None or result.difference is None or result.method == "gamma-exact":
        return result
    alpha = 1.0 - (result.confidence or 0.95)
    error = _error(result, cell, sum(noise.variance for noise in found.values()))
    most = _error(result, cell, sum(noise.limit for noise in found.values()))
    extra, margin = normal_quantile(1.0 - alpha) * error, result.margin or 0.0
    low, high = (_wider(result, cell, bound, extra) for bound in (result.bound, result.upper))
    verdict = result.verdict
    if (verdict == "pass" and not (low >= 0.0 if result.reference == "absolute" else low > -margin)) or (
        verdict == "fail" and not high < -margin
    ):
        verdict = "inconclusive"
    told = ", ".join(f"{noise.changed} of {noise.asked} of the {role}" for role, noise in found.items())
    why = f"asked again in other batches, {told} scored otherwise; with that noise the bound is {signed(low, result.unit == 'share')}"
    noises = {f"noise_changed_{role}": noise.changed / noise.asked for role, noise in found.items()}
    reason = result.reason
    if verdict != result.verdict:
        reason = f"{reason.removesuffix(': holds').removesuffix(': blocked')}: inconclusive"
    return replace(
        result,
        verdict=verdict,
        reason=f"{reason}; {why}",
        bound=low,
        upper=high,
        n_needed=_needed(result, low, margin) if verdict == "inconclusive" != result.verdict else result.n_needed,
        p_worse=_p_worse(result, error) if verdict == "fail" else None,
        details={**result.details, "noise_error": error, "noise_error_at_most": most, **noises},
    )


def noise_findings(tables: Tables) -> list[Finding]:
    """Metrics whose second answers score higher, or lower, than the first more often than chance allows."""
    found = []
    for role, table in (("teacher", tables.teacher), ("student", tables.student)):
        for key in tables.metric_keys() if table.has(COLUMN) else ():
            noise = noise_of(table, [key], None)
            if noise is not None and noise.pulls_one_way:
                found.append(_one_way(role, key, noise))
    return found


def _one_way(role: str, key: MetricKey, noise: Noise) -> Finding:
    told = f"{noise.up} of {noise.asked} items scored higher and {noise.down} lower"
    return Finding(
        check="evidence",
        verdict="review",
        subject=f"{role} {key}",
        reason=f"Asked again in other batches, {told}: that is no noise around a value, and no bound can hold it.",
        mend="Evaluate in float32, or with `evaluation.batch_tokens: 1`, so that every request stands alone.",
        rule="evidence.batch-shift",
        source="docs/gate.md, noise of low precision",
    )


def _noises(result: CriterionResult, cell: Cell, tables: Tables) -> dict[str, Noise]:
    other = tables.root_teacher if cell.reference == "root_teacher" and tables.root_teacher is not None else tables.teacher
    is_alone = result.reference == "absolute" and result.kind != "churn"
    sides = {} if is_alone else {"teacher": other}
    sides["student"] = tables.student
    found = {role: noise_of(table, cell.pairs.keys, cell.scale.reach) for role, table in sides.items()}
    return {role: noise for role, noise in found.items() if noise is not None}


def _error(result: CriterionResult, cell: Cell, variance: float) -> float:
    groups = result.details.get("groups")
    if isinstance(groups, dict) and (pair := result.details.get("widest_pair")):
        return math.sqrt(sum(variance / max(groups[name]["n"], 1) for name in pair))
    if result.details.get("statistic"):
        # A statistic's bound is about as many times wider than a mean's as its items weigh in it.
        spread = float(np.var(cell.pairs.student - cell.pairs.teacher))
        half = max(abs((result.difference or 0.0) - (result.bound or 0.0)), abs((result.upper or 0.0) - (result.difference or 0.0)))
        alpha = 1.0 - (result.confidence or 0.95)
        return half / normal_quantile(1.0 - alpha) * math.sqrt(variance / max(spread, variance))
    return math.sqrt(variance / max(result.n if cell.pairs.strata is None else cell.pairs.worth, 1))


def _wider(result: CriterionResult, cell: Cell, bound: float, extra: float) -> float:
    centre = result.difference or 0.0
    if cell.scale.direction == "target":
        # Such a bound is that of the worse of two parts, neither of which lies round the difference.
        return bound - extra if bound <= centre else bound + extra
    return centre + math.copysign(math.hypot(bound - centre, extra), bound - centre)


def _needed(result: CriterionResult, low: float, margin: float) -> int | None:
    room = (result.difference or 0.0) + margin
    if result.verdict != "pass" or room <= 0:
        return None
    return math.ceil(result.n * (((result.difference or 0.0) - low) / room) ** 2) + 1


def _p_worse(result: CriterionResult, error: float) -> float | None:
    if result.p_worse is None:
        return None
    beyond = -(result.margin or 0.0) - (result.difference or 0.0)
    z = normal_quantile(1.0 - max(min(result.p_worse, 0.5), 1e-15))
    if z <= 0 or beyond <= 0:
        return 0.5
    return 1.0 - NormalDist().cdf(beyond / math.hypot(beyond / z, error))
