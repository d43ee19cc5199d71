"""Retention: the student keeps at least a share of the teacher's score, proven on the paired contrast student - share x teacher."""

from __future__ import annotations

from dataclasses import replace

from kdgov.decision.criteria.comparison_cells import Cell
from kdgov.decision.decision import CriterionResult
from kdgov.decision.statistics.conclusion import conclude
from kdgov.decision.statistics.intervals import p_worse
from kdgov.decision.statistics.methods import is_binary
from kdgov.decision.statistics.sizes.sample_size_projection import items_to_settle
from kdgov.quantities import plain_number, quantity


def judge_retention(cell: Cell) -> CriterionResult:
    """Pass if mean(student - share x teacher) is proven to be above 0, fail if it is proven to be below.

    A share has a meaning on scores with a true zero only: higher is better, and none is negative.
    """
    share = cell.criterion.share
    if (fault := _fault(cell)) is not None:
        return cell.result("invalid", fault)
    pairs = cell.pairs
    binary = is_binary(pairs.teacher) and is_binary(pairs.student)
    reach = 1.0 if binary else cell.scale.high
    estimate = pairs.difference(share * pairs.teacher, pairs.student, reach=reach)
    found = conclude((estimate,), margin=0.0, alpha=cell.criterion.alpha)
    teacher, student = pairs.mean(pairs.teacher), pairs.mean(pairs.student)
    too_few, hindrance = cell.pairs.n < cell.min_items, found.hindrance or cell.unevenness
    verdict = "inconclusive" if found.verdict == "pass" and (too_few or hindrance) else found.verdict
    needed = None
    if verdict == "inconclusive":
        sizes = {"n": pairs.n, "min_items": cell.min_items}
        needed = items_to_settle(estimate, estimate.interval, **sizes, margin=0.0, alpha=cell.criterion.alpha)
    kept = student / teacher
    least = share + found.lower / teacher
    said = f"keeps {100 * kept:.1f} % of the teacher's {cell.key.metric} on `{cell.key.task}`" + (
        f" for {cell.group}" if cell.group else ""
    )
    limits = f"at least {100 * least:.1f} %, asked {plain_number(100 * share)} %"
    asked = f"{quantity(pairs.n, 'item')}, the policy asks for {cell.min_items}" if too_few else ""
    many = f"about {quantity(needed, 'item')} would decide it" if needed else "no practical number of items would decide it"
    open_ = "; ".join(filter(None, ("inconclusive", asked, hindrance))) if asked or hindrance else f"inconclusive; {many}"
    end = {"pass": "holds", "fail": "blocked"}.get(verdict, open_)
    return replace(
        cell.result(verdict, f"{said} ({limits}): {end}"),
        clusters=estimate.clusters,
        teacher=teacher,
        student=student,
        difference=student - share * teacher,
        bound=found.lower,
        upper=found.upper,
        margin=0.0,
        method=estimate.interval.method,
        n_needed=needed,
        p_worse=p_worse(estimate.interval, 0.0) if verdict == "fail" else None,
        details={"share": share, "kept": kept, "kept_at_least": least},
    )


def _fault(cell: Cell) -> str | None:
    metric = cell.key.metric
    if cell.scale.direction != "higher":
        return f"a share of {metric} can be kept only where higher is better; `direction` is {cell.scale.direction or 'not named'}"
    if float(cell.pairs.teacher.min()) < 0 or float(cell.pairs.student.min()) < 0 or (cell.scale.low or 0.0) < 0:
        return f"a share of {metric} has no meaning where scores are negative"
    if float(cell.pairs.teacher.mean()) <= 0:
        return f"the teacher scores 0 on {metric}: there is nothing to keep"
    return None
