"""Good students: releases that must be promoted. They measure how often a policy blocks without cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from kdgov.decision.decision import Waiver
from kdgov.decision.drill.plant import Builder, Plant
from kdgov.decision.drill.planted_files import equal_logs
from kdgov.decision.drill.simulation import Case, World, draw
from kdgov.decision.judgement import judge
from kdgov.items import ItemTable
from kdgov.passing_rules import passing


def _equal(disagreement: float | None = None, drop: float = 0.0) -> Builder:
    def build(world: World, rng: np.random.Generator) -> Case:
        shapes = [s for s in world.shapes if s.role != "privacy"]
        spread = {} if disagreement is None else {s.key: min(disagreement, 2 * (1 - s.level)) for s in shapes}
        return world.case(rng, disagreement=spread, drops={s.key: drop for s in shapes if s.role == "capability"})

    return build


def _copy(world: World, rng: np.random.Generator) -> Case:
    return world.case(rng, identical=True)


def _better(world: World, rng: np.random.Generator) -> Case:
    return world.case(rng, drops={s.key: -0.02 for s in world.of_role("capability", "helpfulness")})


def _less_biased(world: World, rng: np.random.Generator) -> Case | None:
    shapes = world.of_role("bias")
    return world.case(rng, drops={s.key: -0.08 for s in shapes}) if shapes else None


def _shuffled(world: World, rng: np.random.Generator) -> Case:
    case = world.case(rng, identical=True)
    order = pa.array(rng.permutation(len(case.student)))
    return replace(case, student=ItemTable(case.student.data.take(order), "drill"))


def _one_group_better(world: World, rng: np.random.Generator) -> Case | None:
    shapes = [s for s in world.shapes if s.attributes and s.role != "privacy"]
    if not shapes:
        return None
    shape = shapes[0]
    half = np.where(np.arange(shape.n) % 2 == 0, -min(0.05, 1 - shape.level), 0.0)
    return world.case(rng, drops={shape.key: half})


def _waived(world: World, rng: np.random.Generator) -> Case | None:
    shapes = [s for s in world.shapes if np.isfinite(s.margin)]
    if not world.policy.waivers.allowed or not shapes or world.policy.approvals:
        return None
    pairs = []
    for shape in world.shapes:
        teacher, student = draw(shape, rng, drop=4 * shape.margin if shape is shapes[0] else 0.0)
        pairs.append((teacher, student if shape is shapes[0] or shape.role == "privacy" else teacher))
    case = world.case_of(pairs)
    base = judge(case.teacher, case.student, world.policy, **case.further)
    failing = sorted({r.id for r in base.criteria if r.verdict in ("fail", "inconclusive")})
    waivers = tuple(
        Waiver(decision=base.digest, criterion=name, owner="risk", reason="accepted", issued="2026-01-01", expires="2026-01-20")
        for name in failing
    )
    return replace(case, further={**case.further, "waivers": waivers, "as_of": "2026-01-15"})


def _attributed(world: World, rng: np.random.Generator) -> Case:
    found = passing("licence", "licence.allow", "data → student", "share-alike data, attributed", looked_for={"uses": 1})
    return world.case(rng, identical=True, findings=(found,))


def _calibrated(world: World, rng: np.random.Generator) -> Case:
    case = world.case(rng)
    place = case.teacher.data.column_names.index("confidence")
    sure = np.minimum(case.teacher.column("confidence").to_numpy() + 0.08, 1.0)
    return replace(case, teacher=ItemTable(case.teacher.data.set_column(place, "confidence", pa.array(sure)), "drill"))


def _good(name: str, title: str, build: Builder, *, by_files: bool = False) -> Plant:
    return Plant(id=name, title=title, family="statistical", build=build, by_files=by_files)


GOODS: tuple[Plant, ...] = (
    _good("G01", "exact copy", _copy),
    _good("G02", "equal student, as many items won as lost, at the policy's own sizes", _equal()),
    _good("G03", "one point worse on every capability, inside the margin", _equal(drop=0.01)),
    _good("G04", "two points better", _better),
    _good("G05", "equal student, one item in ten differs", _equal(0.10)),
    _good("G06", "equal student near the ceiling, 1.5 % differ", _equal(0.015)),
    _good("G09", "less biased", _less_biased),
    _good("G10", "same results in another order", _shuffled),
    _good("G11", "quantisation-like churn of 2 %, equal accuracy", _equal(0.02)),
    _good("G12", "failing criterion with a valid waiver", _waived),
    _good("G13", "compatible licences, share-alike data attributed", _attributed),
    _good("G14", "better calibrated, equal accuracy", _calibrated),
    _good("G15", "one group improved, the others unchanged", _one_group_better),
    _good("G16", "equal student in lm_eval's logs, log-likelihoods per item", equal_logs, by_files=True),
)
"""Every good student. G07 (eight groups) and G08 (less over-refusal) are G02 and G04 where a policy has groups and look-alikes."""
