"""The criterion `gap`: the largest gap between groups, judged by a bound that holds for the largest one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from kdgov.decision import wording
from kdgov.decision.criteria.comparison_cells import Cell, Tables
from kdgov.decision.criteria.group_fairness.gap_bounds import GapBounds, GroupMeans, largest_gap, smallest_ratio
from kdgov.decision.criteria.group_fairness.rates import Mask, Rate, rates_of
from kdgov.decision.criteria.groups import attribute_sets, group_masks
from kdgov.decision.decision import CriterionResult, Verdict
from kdgov.decision.statistics.methods import absolute, compare, is_binary
from kdgov.items import MetricKey

METHOD = "mover-iut"


def judge_gaps(cell: Cell, tables: Tables) -> Iterator[CriterionResult]:
    """One result per rate, attribute and demand: below the ceiling, at most the margin wider than the teacher's, above the ratio."""
    rates = rates_of(cell, tables)
    if isinstance(rates, str):
        yield cell.result("invalid", rates)
        return
    sets = attribute_sets(cell.criterion.by, cell.pairs)
    if not sets:
        # A pattern stands for what the items state: where they state nothing, silence would be taken for no gap.
        yield cell.result("invalid", f"a gap is between groups, and no item of {cell.key} states an attribute that `by` stands for")
        return
    for rate in rates:
        for attributes in sets:
            masks = {" & ".join(values): mask & rate.taken for values, mask in group_masks(cell.pairs, attributes).items()}
            if masks:
                yield from _of_attribute(cell, rate, " & ".join(attributes), masks)


def _of_attribute(cell: Cell, rate: Rate, attribute: str, masks: Mapping[str, Mask]) -> Iterator[CriterionResult]:
    key = MetricKey(cell.key.suite, cell.key.task, f"{cell.key.metric}:{rate.name}" if rate.name else cell.key.metric)
    here = replace(cell, key=key, group=f"largest gap over {attribute}")
    filled = {name: mask for name, mask in masks.items() if mask.any()}
    if len(filled) < 2:
        only = ", ".join(filled) or "none"
        yield here.result("invalid", f"a gap is between groups, and {key} has items of one value of {attribute} only ({only})")
        return
    criterion = cell.criterion
    level = _levels(cell, rate, filled)
    small = {name: int(mask.sum()) for name, mask in filled.items() if int(mask.sum()) < cell.criterion.least_group_items}
    absent = sorted(set(masks) - set(filled))
    open_because = _why_open(small, cell.criterion.least_group_items, absent, level)
    shown = _shown(rate, filled, masks, cell)
    if criterion.ceiling is not None:
        yield _below_ceiling(here, level, criterion.ceiling, open_because, shown)
    if criterion.gap_margin is not None:
        yield _no_wider(here, rate, filled, criterion.gap_margin, open_because, shown)
    if criterion.min_ratio is not None:
        yield _above_ratio(here, level, criterion.min_ratio, open_because, shown)


def _levels(cell: Cell, rate: Rate, masks: Mapping[str, Mask]) -> GroupMeans:
    clusters, reach = cell.pairs.clusters, cell.scale.reach
    estimates = {
        name: absolute(rate.student[mask], clusters=None if clusters is None else clusters[mask], reach=reach)
        for name, mask in masks.items()
    }
    return GroupMeans(estimates=estimates, shares_clusters=_shares_clusters(cell, masks))


def _shares_clusters(cell: Cell, masks: Mapping[str, Mask]) -> bool:
    codes = cell.pairs.clusters if cell.pairs.clusters is not None else cell.pairs.repeats
    if codes is None:
        return False
    owners = [set(np.unique(codes[mask]).tolist()) for mask in masks.values()]
    return sum(len(owner) for owner in owners) > len(set().union(*owners))


def _why_open(small: Mapping[str, int], asked: int, absent: list[str], level: GroupMeans) -> str:
    parts = []
    if small:
        parts.append(f"fewer than {asked} items in {', '.join(f'{name} ({n})' for name, n in sorted(small.items()))}")
    if absent:
        parts.append(f"no item counts in {', '.join(absent)}")
    if level.hindrance:
        parts.append(level.hindrance)
    return "; ".join(parts)


def _shown(rate: Rate, filled: Mapping[str, Mask], masks: Mapping[str, Mask], cell: Cell) -> dict[str, object]:
    in_any = np.zeros(cell.pairs.n, dtype=bool)
    for mask in masks.values():
        in_any |= mask
    return {
        "groups": {
            name: {"n": int(mask.sum()), "teacher": float(rate.teacher[mask].mean()), "student": float(rate.student[mask].mean())}
            for name, mask in filled.items()
        },
        "group_gap_teacher": _gap_of(rate.teacher, filled),
        "group_gap_student": _gap_of(rate.student, filled),
        "without_value": int((rate.taken & ~in_any).sum()),
    }


def _gap_of(values: np.ndarray, masks: Mapping[str, Mask]) -> float:
    means = [float(values[mask].mean()) for mask in masks.values()]
    return max(means) - min(means)


def _below_ceiling(cell: Cell, level: GroupMeans, ceiling: float, open_because: str, shown: Mapping[str, object]) -> CriterionResult:
    found = largest_gap(level, cell.criterion.alpha)
    result = _concluded(cell, found, ceiling, open_because, shown, of=level)
    what = f"the gap is {_n(cell, level.gap)} (at most {_n(cell, found.upper)}, ceiling {_n(cell, ceiling)}; {_pair(found)})"
    return replace(result, reference="absolute", difference=ceiling - level.gap, bound=ceiling - found.upper, margin=0.0,
                   upper=ceiling - found.proven, reason=_sentence(cell, what, result.verdict, open_because))  # fmt: skip


def _no_wider(cell: Cell, rate: Rate, masks: Mapping[str, Mask], margin: float, why: str, shown: Mapping[str, object]) -> CriterionResult:
    clusters, reach = cell.pairs.clusters, cell.scale.reach
    changes = GroupMeans(
        estimates={
            name: compare(rate.teacher[mask], rate.student[mask], clusters=None if clusters is None else clusters[mask], reach=reach)
            for name, mask in masks.items()
        },
        shares_clusters=_shares_clusters(cell, masks),
    )
    found = largest_gap(changes, cell.criterion.alpha)
    wider = _gap_of(rate.student, masks) - _gap_of(rate.teacher, masks)
    # Proven wider: the student's gap from below and the teacher's from above, each at half the level.
    half = cell.criterion.alpha / 2
    apart = [largest_gap(_levels(cell, one, masks), half) for one in (rate, replace(rate, student=rate.teacher))]
    proven = apart[0].proven - apart[1].upper
    open_because = why or changes.hindrance
    verdict: Verdict = "fail" if proven > margin else "pass" if found.upper < margin and not open_because else "inconclusive"
    what = (
        f"the gap goes from {_n(cell, _gap_of(rate.teacher, masks))} to {_n(cell, _gap_of(rate.student, masks))} "
        f"(wider by at most {_n(cell, found.upper)}, allowed {_n(cell, margin)}; {_pair(found)})"
    )
    return replace(
        _concluded(cell, found, margin, why, shown, of=None),
        verdict=verdict,
        difference=-wider,
        bound=-found.upper,
        upper=-proven,
        margin=margin,
        reason=_sentence(cell, what, verdict, open_because),
    )


def _above_ratio(cell: Cell, level: GroupMeans, ratio: float, open_because: str, shown: Mapping[str, object]) -> CriterionResult:
    found = smallest_ratio(level, cell.criterion.alpha, ratio)
    means = [estimate.interval.estimate for estimate in level.estimates.values()]
    seen = min(means) / max(means) if max(means) > 0 else 1.0
    result = _concluded(cell, found, 0.0, open_because, shown, of=None)
    short = f"short by at most {_n(cell, max(found.upper, 0.0))}"
    what = f"the lowest rate is {seen:.2f} of the highest (asked {ratio:g}, {short}; {_pair(found)})"
    return replace(result, reference="absolute", difference=-(ratio * max(means) - min(means)), bound=-found.upper, margin=0.0,
                   upper=-found.proven, reason=_sentence(cell, what, result.verdict, open_because))  # fmt: skip


def _concluded(
    cell: Cell, found: GapBounds, limit: float, open_because: str, shown: Mapping[str, object], *, of: GroupMeans | None
) -> CriterionResult:
    verdict: Verdict = "pass" if found.upper < limit else "fail" if found.proven > limit else "inconclusive"
    if verdict == "pass" and open_because:
        verdict = "inconclusive"
    details = {**shown, "limit": limit, "upper_bound": found.upper, "widest_pair": list(found.pair)}
    return replace(
        cell.result(verdict, "", method=METHOD, details=details),
        teacher=float(str(shown["group_gap_teacher"])),
        student=float(str(shown["group_gap_student"])),
    )


def _sentence(cell: Cell, what: str, verdict: Verdict, open_because: str) -> str:
    attribute = cell.group.removeprefix("largest gap over ")
    end = {"pass": "holds", "fail": "blocked"}.get(verdict, "inconclusive")
    tail = f"; {open_because}" if open_because and verdict == "inconclusive" else ""
    more = "; more items of the two groups would decide it" if verdict == "inconclusive" and not open_because else ""
    return f"{cell.key.metric} on `{cell.key.task}` by {attribute}: {what}: {end}{tail}{more}"


def _pair(found: GapBounds) -> str:
    return f"widest between {found.pair[0]} and {found.pair[1]}"


def _n(cell: Cell, value: float) -> str:
    share = is_binary(cell.pairs.student) or ":" in cell.key.metric
    return wording.number(value, share).replace(" %", " points") if share else wording.number(value, share)
