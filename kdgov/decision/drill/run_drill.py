"""The drill: mutation testing for policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np

from kdgov.decision.decision import Decision, rounded
from kdgov.decision.drill.baselines import BASELINES, baseline_verdicts
from kdgov.decision.drill.good_students import GOODS
from kdgov.decision.drill.operating_characteristics import OperatingCurve, operating_curve
from kdgov.decision.drill.plant import Door, Plant
from kdgov.decision.drill.planted_files import FILES_ONLY
from kdgov.decision.drill.planted_regressions import PLANTED_RULES, PLANTS
from kdgov.decision.drill.simulation import Case, World, world_of
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.decision.statistics.intervals import exact_bounds
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.progress import Progress

Each = Callable[[Callable[[str], "PlantResult"], Sequence[str]], Iterable["PlantResult"]]
FULL_RUNS, QUICK_RUNS = 200, 20
FULL_CURVE_RUNS, QUICK_CURVE_RUNS = 20_000, 2_000
_CERTAIN_RUNS = 3
REFUSED = "invalid input"
"""Stands under *stopped by* for what is refused with exit code 2."""
_SEEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantResult:
    """How often one plant was promoted."""

    id: str
    """The plant."""
    title: str
    """What it is."""
    family: str
    """statistical or deterministic."""
    runs: int
    """Cases made; 0 where the policy looks at nothing the plant could be put into."""
    promoted: int
    """Cases promoted."""
    low: float
    """Lower bound of the promoted share, 95 % two-sided, exact."""
    high: float
    """Upper bound."""
    stopped_by: tuple[str, ...]
    """Criteria and finding rules that stopped it, most frequent first."""
    baselines: dict[str, int]
    """Baseline → cases it would have promoted."""
    mend: str = ""
    """What a policy needs to see it; empty where every policy does."""
    tolerated: float = 0.01
    """Share that may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """What a policy lets through and what it stops without cause."""

    policy: dict[str, str]
    """name, version, digest, and ``drilled``: the digest of those parts that the drill's figures rest on."""
    items: int | None
    """Items every metric was given; None: as the policy plans."""
    runs: int
    """Cases per statistical plant."""
    seed: int
    """Random seed."""
    sizes: dict[str, int]
    """Metric → items."""
    planted: tuple[PlantResult, ...]
    """Regressions: promoted is bad."""
    good: tuple[PlantResult, ...]
    """Good students: promoted is good."""
    curves: tuple[OperatingCurve, ...]
    """Chance of promotion by true drop, per criterion."""

    @property
    def unseen(self) -> tuple[PlantResult, ...]:
        """Harms the policy cannot see: it has no place to look, or promotes them more often than not."""
        return tuple(r for r in self.planted if r.runs == 0 or r.promoted / r.runs > _SEEN)

    @property
    def weak(self) -> tuple[PlantResult, ...]:
        """Harms the policy sees and still lets through more often than they may, beyond chance."""
        return tuple(r for r in self.planted if r not in self.unseen and r.low > r.tolerated)

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        judged = {"unseen": [r.id for r in self.unseen], "weak": [r.id for r in self.weak]}
        document: dict[str, Any] = rounded({"schema": "kdgov.drill/1", **asdict(self), **judged})
        return document


def drill(
    policy: Policy,
    *,
    items: int | None = None,
    quick: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    only: Sequence[str] = (),
    runs: int | None = None,
    each: Each = map,
    door: Door | None = None,
) -> DrillReport:
    """Plant every regression and every good student, and count what the policy does with them.

    Args:
        policy: the policy under drill.
        items: items per metric; None: what each criterion plans.
        quick: a tenth of the cases: seconds instead of minutes, wider intervals.
        seed: seed of all chance; the same seed gives the same report.
        progress: called with (label, done, total).
        only: ids of plants to run; empty: all.
        runs: cases per statistical plant; None: 200, or 20 where quick.
        each: how plants are run, as `map` does: every plant's figures rest on its own stream of chance, so that several
            processes give the same report.
        door: judges the plants that come as files; None: their tables are judged as they are, and what only files can carry is
            left out.

    Raises:
        InputError: if ``only`` names a plant that is not in the catalogue.
    """
    world = world_of(policy, items=items)
    runs = runs or (QUICK_RUNS if quick else FULL_RUNS)
    chosen = [name for name in _chosen(only) if door is not None or name not in FILES_ONLY]
    results: dict[str, PlantResult] = {}
    if progress is not None:
        progress("drill", 0, len(chosen))
    for result in each(partial(plant_result, policy=policy, items=items, runs=runs, seed=seed, door=door), chosen):
        results[result.id] = result
        if progress is not None:
            progress("drill", len(results), len(chosen))
    curves = _curves(world, QUICK_CURVE_RUNS if quick else FULL_CURVE_RUNS, seed)
    return DrillReport(
        policy={"name": policy.name, "version": policy.version, "digest": policy.digest, "drilled": drilled_digest(policy)},
        items=items,
        runs=runs,
        seed=seed,
        sizes={str(shape.key): shape.n for shape in world.shapes},
        planted=tuple(results[p.id] for p in PLANTS if p.id in results),
        good=tuple(results[p.id] for p in GOODS if p.id in results),
        curves=curves,
    )


def _stated(criterion: Criterion) -> dict[str, Any]:
    usual = Criterion(id="", kind="")
    return {f.name: getattr(criterion, f.name) for f in fields(criterion) if getattr(criterion, f.name) != getattr(usual, f.name)}


def _plain(value: Any) -> Any:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()} if isinstance(value, Mapping) else value


def drilled_digest(policy: Policy) -> str:
    """Digest of what the drill's figures rest on: a change elsewhere in the policy leaves them as they are."""
    parts = {
        # Without defaults: one more optional key leaves the figures of policies that do not name it as they are.
        "criteria": [{n: _plain(v) for n, v in _stated(c).items()} for c in policy.criteria],
        "findings": {rule: level for rule, level in policy.findings.items() if any(fnmatchcase(own, rule) for own in PLANTED_RULES)},
        "approvals": list(policy.approvals),
        "waivers": asdict(policy.waivers),
        "pins": dict(policy.pins),
        "root_teacher": policy.root_teacher,
        "looks": policy.looks,
    }
    return digest_json(parts)


def _chosen(only: Sequence[str]) -> list[str]:
    known = [plant.id for plant in (*PLANTS, *GOODS)]
    if strange := [name for name in only if name not in known]:
        raise InputError(f"names no plant: {', '.join(strange)}", where="--only", mend=f"Known are {known[0]} … {known[-1]}.")
    return [name for name in known if not only or name in only]


def plant_result(name: str, *, policy: Policy, items: int | None, runs: int, seed: int, door: Door | None = None) -> PlantResult:
    """What the policy does with one plant; the arguments are those of `drill`."""
    plant = next(plant for plant in (*PLANTS, *GOODS) if plant.id == name)
    return _run_plant(plant, world_of(policy, items=items), runs if plant.family == "statistical" else _CERTAIN_RUNS, seed, door)


def _run_plant(plant: Plant, world: World, runs: int, seed: int, door: Door | None) -> PlantResult:
    # One stream per plant: adding a plant changes no other plant's figures.
    rng = np.random.default_rng([seed, *plant.id.encode()])
    promoted, made = 0, 0
    stoppers: dict[str, int] = {}
    would = dict.fromkeys(BASELINES, 0)
    for _ in range(runs):
        case = plant.build(world, rng)
        if case is None:
            break
        made += 1
        is_promoted, stopped = _judged(case, world.policy, door if plant.by_files else None)
        promoted += is_promoted
        for name in stopped:
            stoppers[name] = stoppers.get(name, 0) + 1
        for name, promotes in baseline_verdicts(world, case).items():
            would[name] += promotes
    low, high = (exact_bounds(promoted, made, 0.025)) if made else (0.0, 1.0)
    ordered = tuple(sorted(stoppers, key=lambda name: (-stoppers[name], name)))
    return PlantResult(
        id=plant.id,
        title=plant.title,
        family=plant.family,
        runs=made,
        promoted=promoted,
        low=low,
        high=high,
        stopped_by=ordered[:3],
        baselines=would if made else {},
        mend=plant.mend,
        tolerated=plant.tolerated,
    )


def _judged(case: Case, policy: Policy, door: Door | None) -> tuple[bool, set[str]]:
    """Whether a case is promoted, and what stops it."""
    try:
        decision = judge(case.teacher, case.student, case.policy or policy, **case.further) if door is None else door(case, policy)
    except InputError:
        # Only what must be refused may be: a plant that the door cannot read would prove nothing.
        if case.is_refused:
            return False, {REFUSED}
        raise
    return numbers_hold(decision), _stoppers(decision)


def numbers_hold(decision: Decision) -> bool:
    """Whether nothing but an awaited approval keeps the student back: people cannot be drilled."""
    if decision.promotes:
        return True
    awaits = any(row["state"] == "awaited" for row in decision.approvals)
    return (
        awaits
        and decision.verdict == "inconclusive"
        and not any(r.stops for r in decision.criteria)
        and not any(f.stops for f in decision.findings)
    )


def _stoppers(decision: Decision) -> set[str]:
    return {r.id for r in decision.criteria if r.stops} | {f.rule for f in decision.findings if f.stops}


def _curves(world: World, runs: int, seed: int) -> tuple[OperatingCurve, ...]:
    rng = np.random.default_rng([seed, 99])
    found = []
    for shape in world.shapes:
        for criterion in world.policy.criteria:
            if criterion.id in shape.criteria and criterion.kind == "non_inferiority" and criterion.margin > 0:
                found.append(operating_curve(criterion, shape, runs=runs, rng=rng))
    return tuple(found)
