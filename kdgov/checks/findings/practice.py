"""Practice: the field's common mistakes, as findings. Warnings by default; a policy decides which of them stop a release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.checks.findings.capability_tags import is_known, missing_families, nearest_tag, sensitive_capability
from kdgov.checks.findings.general_purpose_finding import general_purpose_findings
from kdgov.checks.findings.rules import Stances
from kdgov.declarations.cards import ModelCard
from kdgov.declarations.distillation import Distillation, OnPolicy, SoftTargets, UniversalLogits
from kdgov.declarations.release_parts.parts_kept import SidesKept
from kdgov.finding import Finding
from kdgov.quantities import quantity

LITTLE_DATA_PASSES = 100
"""More passes than this over the same examples: the student learns the examples, not the teacher."""


def practice_findings(materials: ReleaseInputs, stances: Stances, *, rows: int) -> list[Finding]:
    """The common mistakes of this release; ``rows`` is the number of distillation examples the scan has read."""
    checks: tuple[Callable[[ReleaseInputs, Stances], Iterable[Finding]], ...] = (
        _signal,
        _temperature,
        _production,
        _sensitive,
        _size,
        _before_and_after,
        _chain,
        general_purpose_findings,
    )
    return [*(f for check in checks for f in check(materials, stances)), *_amount(materials, stances, rows)]


def _signal(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    recipe = materials.release.distillation
    if recipe is None or not materials.teacher.identity:
        return
    if {term.kind for term in recipe.terms} <= {"teacher_text", "hard_labels"}:
        yield stances.finding(
            "practice.completions-only",
            "distillation.terms",
            "The student learns from sampled text alone, although the teacher's logits are available: they say far more per example.",
            mend="Add `{kind: soft_targets}` with a temperature of 2 to 4.",
        )


def _temperature(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    recipe = materials.release.distillation
    if recipe is None or recipe.calibration is not None:
        return
    if plain := _at_temperature_one(recipe):
        yield stances.finding(
            "practice.temperature-uncalibrated",
            f"distillation.terms ({', '.join(plain)})",
            "The temperature is 1 and nothing says that this was found by calibration.",
            mend="Run `kdgov distill RELEASE --calibrate` and write the digest of its table under `distillation.calibration`.",
        )


def _at_temperature_one(recipe: Distillation) -> list[str]:
    return [t.kind for t in recipe.terms if isinstance(t, (SoftTargets, UniversalLogits, OnPolicy)) and t.temperature == 1.0]


def _production(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    if materials.release.production_inputs is None:
        yield stances.finding(
            "practice.benchmarks-only",
            "production_inputs",
            "The student is judged on suites only, on no input of the kind it will serve.",
            mend="Add `production_inputs: {path: logged-inputs.jsonl}` with inputs you may use.",
        )


def _sensitive(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    tags = list(dict.fromkeys(_capability_tags(materials)))
    names = [name for item in materials.suites for name in (item.suite.name, *(task.task for task in item.suite.tasks))]
    for tag in tags:
        capability = sensitive_capability(tag)
        missing = missing_families(capability, names) if capability is not None else []
        if missing:
            yield stances.finding(
                "practice.sensitive-without-safety",
                f"capabilities ({tag})",
                f"{tag} is the sensitive capability {capability}, and no {' or '.join(missing)} suite judges the student: "
                "distillation often loses refusals and fairness.",
                mend=f"Add {' and '.join(f'`{family}`' for family in missing)}, or a suite of your own of such a name, to `suites:`.",
                details={"capability": capability, "missing": list(missing)},
            )
    for tag in (tag for tag in tags if not is_known(tag)):
        near = nearest_tag(tag)
        yield stances.finding(
            "practice.capability-unknown",
            f"capabilities ({tag})",
            f"No vocabulary holds the tag {tag!r}, so nothing is known of what it asks for.",
            mend=(f"Did you mean `{near}`? " if near else "") + "docs/practice.md lists the tags.",
        )


def _capability_tags(materials: ReleaseInputs) -> list[str]:
    cards = [materials.student.model_card, *(body.dataset for body in materials.bodies)]
    return [*materials.release.capabilities, *(tag for card in cards if card is not None for tag in card.capabilities)]


def _size(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    if is_smaller(materials) is not False or _is_cheaper(materials):
        return
    yield stances.finding(
        "practice.student-not-smaller",
        f"student {materials.release.student.name or materials.release.name}",
        "The student is no smaller than the teacher, and no declared measure says that it is faster or cheaper.",
        mend="Keep fewer layers, quantise it, or declare its `price:` where it is cheaper.",
    )


def is_smaller(materials: ReleaseInputs) -> bool | None:
    """Whether the student is smaller than the teacher by what is known before training; None where that cannot be told yet."""
    student, teacher = materials.release.student, materials.teacher.identity
    if student.quantization is not None:
        return True
    if isinstance(student.keep_layers, list) and teacher:
        return len(set(student.keep_layers)) < int(teacher["layers"])
    if isinstance(student.keep_layers, SidesKept) and teacher and (sides := _listed(student.keep_layers)):
        return sum(sides) < int(teacher["layers"])
    if student.keep_layers is not None:
        return True
    own = materials.student.identity or _declared_size(materials.student.model_card)
    if own and teacher:
        return int(own["parameters"]) < int(teacher["parameters"])
    return None


def _listed(keep: SidesKept) -> list[int]:
    """How many layers each side keeps, where both are listed."""
    sides = [len(set(side)) for side in (keep.encoder, keep.decoder) if isinstance(side, list)]
    return sides if len(sides) == len(type(keep).model_fields) else []


def _declared_size(card: ModelCard | None) -> Mapping[str, int]:
    return {"parameters": card.parameters} if card is not None and card.parameters is not None else {}


def _is_cheaper(materials: ReleaseInputs) -> bool:
    price = materials.release.price
    return price is not None and price.student_usd_per_million_tokens < price.teacher_usd_per_million_tokens


def _before_and_after(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    card = materials.student.model_card
    if materials.release.distillation is None and (card is None or not (card.training_method or card.base_model or card.lineage)):
        yield stances.finding(
            "practice.no-before-after",
            f"student {materials.student.name}",
            "The student was trained elsewhere, and nothing says what it was before: a change cannot be traced to the distillation.",
            mend="Give it a card with `lineage` and `training_method`.",
        )


def _chain(materials: ReleaseInputs, stances: Stances) -> Iterable[Finding]:
    card = materials.teacher.model_card
    taught = [entry for entry in card.lineage if entry.use in ("logits", "hidden_states", "generated_text")] if card is not None else []
    if taught and materials.release.teacher.root is None:
        yield stances.finding(
            "practice.chain-without-root",
            f"teacher {materials.teacher.name} ← {taught[0].name}",
            "The teacher was distilled itself: margins that are small at each step add up along the chain.",
            mend="Name the first teacher under `teacher.root`, so that the student is compared with it as well.",
        )


def _amount(materials: ReleaseInputs, stances: Stances, rows: int) -> Iterable[Finding]:
    recipe = materials.release.distillation
    if recipe is None or rows == 0:
        return
    passes = recipe.steps * recipe.batch_size / rows
    if passes > LITTLE_DATA_PASSES:
        yield stances.finding(
            "practice.little-data",
            "data",
            f"{quantity(rows, 'example is', 'examples are')} seen {passes:.0f} times: the student learns by heart.",
            mend="Add data, have the teacher write more (`teacher_text`), or train fewer steps.",
            details={"rows": rows, "passes": round(passes, 1)},
        )
