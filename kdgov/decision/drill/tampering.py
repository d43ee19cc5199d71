"""Releases whose evidence is at fault: planted regressions that a gate must always stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from kdgov.decision.decision import Waiver
from kdgov.decision.drill.plant import Builder, with_scores, with_text
from kdgov.decision.drill.simulation import Case, World
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion
from kdgov.finding import CheckName, Finding, FindingVerdict
from kdgov.items import ItemTable, MetricDeclaration

OTHER = "sha256:" + "1" * 64


def finding(check: CheckName, rule: str, verdict: FindingVerdict, subject: str) -> Builder:
    """Equal students, and one finding of a check."""

    def build(world: World, rng: np.random.Generator) -> Case:
        return world.case(rng, identical=True, findings=(_found(check, rule, verdict, subject),))

    return build


def _found(check: CheckName, rule: str, verdict: FindingVerdict, subject: str) -> Finding:
    return Finding(check=check, verdict=verdict, subject=subject, reason="planted by the drill", rule=rule)


def digests(**changed: str) -> Builder:
    """Equal students, and changed digests."""

    def build(world: World, rng: np.random.Generator) -> Case:
        case = world.case(rng, identical=True)
        return replace(case, further={**case.further, "digests": {**case.further["digests"], **changed}})

    return build


def edited_row(world: World, rng: np.random.Generator) -> Case:
    """One score changed after its table was sealed."""
    case = world.case(rng, identical=True)
    sealed = case.student.content_digest
    scores = case.student.scores.copy()
    scores[0] = 1.0 - scores[0] if scores[0] in (0.0, 1.0) else scores[0] + 1.0
    digests = {**case.further["digests"], "student_items": sealed}
    return replace(case, student=with_scores(case.student, scores), further={**case.further, "digests": digests})


def other_prompts(share: float) -> Builder:
    """A share of the requests asked differently of the student."""

    def build(world: World, rng: np.random.Generator) -> Case:
        case = world.case(rng, identical=True)
        n = len(case.teacher)
        asked = [f"sha256:{k:064d}" for k in range(n)]
        told = [f"sha256:{k + n:064d}" if k < max(1, int(share * n)) else asked[k] for k in range(n)]
        return replace(
            case, teacher=with_text(case.teacher, "prompt_digest", asked), student=with_text(case.student, "prompt_digest", told)
        )

    return build


def not_a_number(world: World, rng: np.random.Generator) -> Case:
    """One score that is NaN."""
    case = world.case(rng, identical=True)
    scores = case.student.scores.copy()
    scores[int(rng.integers(len(scores)))] = np.nan
    return replace(case, student=with_scores(case.student, scores))


def waiver(**wrong: str) -> Builder:
    """A failing criterion with a waiver that must not count."""

    def build(world: World, rng: np.random.Generator) -> Case | None:
        shapes = [s for s in world.shapes if np.isfinite(s.margin)]
        if not shapes:
            return None
        case = world.case(rng, drops={shapes[0].key: 4 * shapes[0].margin})
        base = judge(case.teacher, case.student, world.policy, **case.further)
        stated = {
            "decision": base.digest,
            "criterion": shapes[0].criteria[0],
            "owner": "risk",
            "reason": "known",
            "issued": "2026-01-01",
            "expires": "2026-02-01",
            **wrong,
        }
        further = {**case.further, "waivers": (Waiver(**stated),), "as_of": "2026-01-15"}
        return replace(case, further=further)

    return build


def dropped_items(world: World, rng: np.random.Generator) -> Case:
    """Half of the items the student got wrong are gone."""
    case = world.case(rng, identical=True)
    kept = np.flatnonzero((case.student.scores > 0) | (rng.random(len(case.student)) < 0.5))
    kept = kept if len(kept) < len(case.student) else kept[1:]
    return replace(case, student=ItemTable(case.student.data.take(pa.array(kept)), "drill"))


def labels_swapped(world: World, rng: np.random.Generator) -> Case:
    """Reference labels swapped for the student."""
    case = world.case(rng, identical=True)
    labels = ["a" if k % 2 else "b" for k in range(len(case.teacher))]
    swapped = ["b" if k % 2 else "a" for k in range(len(case.teacher))]
    return replace(case, teacher=with_text(case.teacher, "label", labels), student=with_text(case.student, "label", swapped))


def inverted(world: World, rng: np.random.Generator) -> Case | None:
    """A worse student, and a suite that declares every metric the other way round."""
    named = [c for c in world.policy.criteria if c.direction in ("higher", "lower") and c.kind != "exposure"]
    if not named:
        return None
    case = world.case(rng, drops={s.key: min(5 * s.margin, 0.2) for s in world.shapes if np.isfinite(s.margin)})
    turned = tuple(_turned(m) for m in world.metrics)
    return replace(case, further={**case.further, "metrics": turned})


def _turned(metric: MetricDeclaration) -> MetricDeclaration:
    match metric.direction:
        case "higher":
            return replace(metric, direction="lower", chance=None)
        case "lower":
            return replace(metric, direction="higher")
        case _:
            return metric


def teacher_swapped(*, described: bool) -> Builder:
    """A weaker model in the teacher's place, so that the student looks no worse: evidence and results agree.

    Args:
        described: whether the release has the teacher's card, whose digest the check of provenance compares.
    """

    def build(world: World, rng: np.random.Generator) -> Case:
        found = (_found("provenance", "provenance.model-changed", "block", "teacher"),) if described else ()
        case = world.case(rng, drops={s.key: 3 * s.margin for s in world.shapes if np.isfinite(s.margin)}, findings=found)
        weights = {"teacher_weights": OTHER, "teacher_weights_evaluated": OTHER}
        # The weaker model was trained on the same canaries.
        privacy = np.concatenate([np.full(shape.n, shape.role == "privacy") for shape in world.shapes])
        weaker = with_scores(case.student, np.where(privacy, case.teacher.scores, case.student.scores))
        return replace(case, teacher=weaker, further={**case.further, "digests": {**case.further["digests"], **weights}})

    return build


def _looser(criterion: Criterion) -> Criterion:
    """The criterion with four times the loss allowed."""
    if criterion.kind == "retention":
        return replace(criterion, share=max(0.01, 1.0 - 4 * (1.0 - criterion.share)))
    return replace(criterion, margin=criterion.margin * 4) if criterion.kind == "non_inferiority" else criterion


def edited_policy(world: World, rng: np.random.Generator) -> Case:
    """Margins four times as wide as in the policy the evidence was sealed under."""
    case = world.case(rng, drops={s.key: 2 * s.margin for s in world.shapes if np.isfinite(s.margin)})
    looser = tuple(_looser(criterion) for criterion in world.policy.criteria)
    edited = replace(world.policy, criteria=looser, digest=OTHER)
    digests = {**case.further["digests"], "policy": world.policy.digest}
    return replace(case, policy=edited, further={**case.further, "digests": digests})


def no_skill(world: World, rng: np.random.Generator) -> Case | None:
    """A suite on which a model that knows nothing does as well as the teacher."""
    shapes = [s for s in world.shapes if s.direction == "higher" and np.isfinite(s.margin)]
    if not shapes:
        return None
    case = world.case(rng, identical=True)
    return replace(case, further={**case.further, "control": case.teacher})


def out_of_range(world: World, rng: np.random.Generator) -> Case | None:
    """One score of 100 where scores end at 1."""
    if not any(s.role != "privacy" for s in world.shapes):
        return None
    case = world.case(rng, identical=True)
    row = int(case.student.partitions[next(s.key for s in world.shapes if s.role != "privacy")][0])
    scores = case.student.scores.copy()
    scores[row] = 100.0
    return replace(case, student=with_scores(case.student, scores))


def twice(world: World, rng: np.random.Generator) -> Case:
    """One row twice."""
    case = world.case(rng, identical=True)
    data = pa.concat_tables([case.student.data, case.student.data.slice(0, 1)])
    return replace(case, student=ItemTable(data, "drill"))


def absent_suite(world: World, rng: np.random.Generator) -> Case:
    """One metric missing from both tables."""
    case = world.case(rng, identical=True)
    gone = world.shapes[0].key
    sides = []
    for table in (case.teacher, case.student):
        rows = np.concatenate([r for k, r in table.partitions.items() if k != gone] or [np.array([], dtype=np.int64)])
        sides.append(ItemTable(table.data.take(pa.array(np.sort(rows))), "drill"))
    return replace(case, teacher=sides[0], student=sides[1])
