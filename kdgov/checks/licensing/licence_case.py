"""The licence case of a release: every upstream the release, its recipe and its cards name, as one question to `kdgov.license`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.cards.card_file import CardFile
from kdgov.checks.cards.hub_data_card import items_license
from kdgov.checks.cards.known_facts import is_from_memory
from kdgov.checks.cards.release_inputs import Body, ModelFacts, ReleaseInputs
from kdgov.checks.licensing.endpoint_operator import operator_of
from kdgov.checks.licensing.published_terms import UNKNOWN, with_published_terms
from kdgov.declarations.cards import Card, DatasetCard, ModelCard
from kdgov.declarations.data_origin import Generation, Lineage, PersonalData
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release_parts.further_teachers import stated_logits
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.errors import DeclarationError, Fault
from kdgov.license.catalogue.expression import parse

USES_OF_TERM: dict[str, tuple[str, ...]] = {
    "soft_targets": ("logits",),
    "universal_logits": ("logits",),
    "hidden_states": ("hidden_states",),
    "attention": ("hidden_states",),
    "attention_relation": ("hidden_states",),
    "teacher_text": ("generated_text",),
    "on_policy": ("logits",),
    "embeddings": ("hidden_states",),
    "margin_mse": ("logits",),
    "hard_labels": (),
}
"""What each distillation term takes from the teacher."""


def licence_case(materials: ReleaseInputs, *, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The case in the contract's JSON form; texts are named by path, unknown licences are NOASSERTION.

    Raises:
        DeclarationError: naming every licence expression that does not parse, by the file and key that hold it.
    """
    if faults := list(_expression_faults(materials)):
        raise DeclarationError(faults)
    release = materials.release
    student: dict[str, Any] = {"name": release.student.name or release.name, "license": _outbound(materials), "kind": release.student.kind}
    if release.student.similar_to_teacher is not None:
        student["similar_to_teacher"] = release.student.similar_to_teacher
    if is_distilled(release.distillation):
        student["distilled"] = True
    further = [
        (stated, _of_further(model, stated, materials))
        for model in materials.further
        for stated in stated_logits(materials.release, model.name)
    ]
    told = [stated for stated, entry in further if entry["license"] == stated["license"]]
    uses = [*_teacher_uses(materials), *(entry for _, entry in further), *_student_uses(materials), *_data_uses(materials)]
    uses += [*_suite_uses(materials), *(use for use in release.uses if use not in told)]
    return {
        "student": {key: value for key, value in student.items() if value is not None},
        "uses": uses,
        "release": release.release.model_dump(),
        "organization": {key: value for key, value in release.organization.model_dump().items() if value is not None},
        "choices": dict(choices),
        "evidence": [_evidence(piece, materials) for piece in release.evidence],
    }


def is_distilled(recipe: Distillation | None) -> bool:
    """Whether a recipe makes the student perform like a teacher: any term that takes from one."""
    return recipe is not None and any(USES_OF_TERM[term.kind] for term in recipe.terms)


def _expression_faults(materials: ReleaseInputs) -> Iterator[Fault]:
    """Expressions that do not parse, in the words of the user's own files rather than the case made from them."""
    if materials.release.student.license:
        yield from _fault_of(materials.release.student.license, materials.where, "student.license")
    models = [materials.teacher, materials.student, *materials.further]
    named = [*(model.card for model in models), *(body.card for body in materials.described), *materials.upstream.values()]
    for file in {card.path: card for card in named if card is not None}.values():
        yield from _fault_of(file.card.license, str(file.path), "license")
        yield from _lineage_faults(file.card.lineage, str(file.path), "lineage")


def _lineage_faults(entries: Sequence[Lineage], file: str, key: str) -> Iterator[Fault]:
    for number, entry in enumerate(entries):
        yield from _fault_of(entry.license, file, f"{key}[{number}].license")
        yield from _lineage_faults(entry.made_by, file, f"{key}[{number}].made_by")


def _fault_of(expression: str | None, file: str, key: str) -> Iterator[Fault]:
    if expression and isinstance(why := parse(expression), str):
        mend = "Write an SPDX expression, a LicenseRef or a hub tag."
        yield Fault(file=file, key=key, what=f"{expression!r} does not parse: {why}", mend=mend)


def _evidence(piece: Mapping[str, Any], materials: ReleaseInputs) -> dict[str, Any]:
    """Evidence with its file named from where the release lies: everything else in the case is found from cards."""
    file = piece.get("file")
    if not isinstance(file, str) or Path(file).expanduser().is_absolute():
        return dict(piece)
    beside = Path(materials.where).parent / file
    return {**piece, "file": str(beside if beside.exists() else Path(file))}


def _outbound(materials: ReleaseInputs) -> str | None:
    card = materials.student.model_card
    return materials.release.student.license or (card.license if card is not None and not materials.release.distillation else None)


def _teacher_uses(materials: ReleaseInputs) -> list[dict[str, Any]]:
    release = materials.release
    recipe, student = release.distillation, release.student
    uses: list[str] = []
    if recipe is not None:
        uses += [use for one in (*(stage.distillation for stage in release.stages), recipe) for use in _uses_of(one)]
        if student.keep_layers is not None:
            uses.append("weights_init")
        if student.model is None:
            uses.append("tokenizer")
    elif not release.uses and not (materials.student.model_card is not None and materials.student.model_card.lineage):
        # How a student from elsewhere was taught is not known: the use that most licences restrict is assumed.
        uses.append("generated_text")
    found = [_of_model(materials.teacher, use, materials) for use in dict.fromkeys(uses)]
    return [*found, *_endpoint_uses(recipe), *_engine_uses(materials)]


def _of_further(model: ModelFacts, stated: Mapping[str, Any], materials: ReleaseInputs) -> dict[str, Any]:
    """A further teacher with what its card says it was made from; where the card states another licence, both count."""
    entry = _of_model(model, "logits", materials)
    return entry | ({"license": stated["license"]} if entry["license"] in (UNKNOWN, stated["license"]) else {})


def _uses_of(recipe: Distillation) -> list[str]:
    uses: list[str] = []
    for term in recipe.terms:
        is_told = recipe.cache is not None and recipe.cache.source == "endpoint" and term.kind == "soft_targets"
        if not is_told and not (isinstance(term, TeacherText) and term.endpoint is not None):
            uses += USES_OF_TERM[term.kind]
    return uses


def _endpoint_uses(recipe: Distillation | None) -> list[dict[str, Any]]:
    terms = recipe.terms if recipe is not None else []
    return [
        {"use": "generated_text", "name": term.endpoint.model, "license": term.endpoint.terms, "access": "api"}
        | operator_of(term.endpoint.base_url)
        for term in terms
        if isinstance(term, TeacherText) and term.endpoint is not None
    ]


def _engine_uses(materials: ReleaseInputs) -> list[dict[str, Any]]:
    """Log-probabilities that an engine tells, under its own terms."""
    cache = materials.release.distillation.cache if materials.release.distillation is not None else None
    engine = None if cache is None else cache.asked(materials.release.teacher.endpoint)
    if engine is None:
        return []
    return [{"use": "logits", "name": engine.model, "license": engine.terms, "access": "api"} | operator_of(engine.base_url)]


def _student_uses(materials: ReleaseInputs) -> list[dict[str, Any]]:
    """Where the student's own weights come from, beyond the teacher."""
    model, student = materials.student, materials.release.student
    if student.model is None and student.endpoint is None:
        return []
    if materials.release.distillation is None:
        # The student itself: its own upstreams stand in its card.
        card = model.model_card
        return _lineage(card, model.card, materials) if card is not None and model.card is not None else []
    return [_of_model(model, "weights_init", materials)]


def _data_uses(materials: ReleaseInputs) -> list[dict[str, Any]]:
    uses = ["dataset_train"] + (["dataset_publish"] if materials.release.release.distribution == "data" else [])
    return [_of_data(body, use, materials) for use in uses for body in materials.described]


def _suite_uses(materials: ReleaseInputs) -> list[dict[str, Any]]:
    """Each suite under each licence its items carry."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for file in materials.suites:
        for task in file.suite.tasks:
            own = items_license(task, where=str(file.path))
            name, licence = (file.suite.name, file.suite.license) if own is None else (f"{file.suite.name}/{task.task}", own)
            found[name, licence] = {"use": "dataset_eval", "name": name, "license": licence}
    return list(found.values())


def _of_model(model: ModelFacts, use: str, materials: ReleaseInputs) -> dict[str, Any]:
    card = model.model_card
    entry: dict[str, Any] = {"use": use, "name": _name_of(model), "license": UNKNOWN}
    if card is None or model.card is None:
        return with_published_terms(entry)
    return with_published_terms(entry | _licence_of(card, model.card) | {"made_by": _lineage(card, model.card, materials)})


def _name_of(model: ModelFacts) -> str:
    """The name that its licence facts are found by: a Hub snapshot's owner and name over a title that hides them."""
    card = model.model_card
    if card is None:
        return model.hub_name or model.name
    return card.id if card.id and "/" in card.id and "/" not in card.name else card.name


def _of_data(body: Body, use: str, materials: ReleaseInputs) -> dict[str, Any]:
    card = body.dataset
    # A pretty name hides the id that licence facts are found by.
    name = card.id if card is not None and card.id and "/" in card.id else body.name
    entry: dict[str, Any] = {"use": use, "name": name, "license": UNKNOWN}
    if card is None or body.card is None:
        return entry
    entry |= _licence_of(card, body.card)
    if body.personal_data is not None:
        entry["personal_data"] = body.personal_data
    return entry | {"made_by": _lineage(card, body.card, materials)}


def _licence_of(card: Card, file: CardFile) -> dict[str, Any]:
    found: dict[str, Any] = {"license": UNKNOWN if is_from_memory(card, "license") else card.license or UNKNOWN}
    if card.license_text is not None:
        found["license_text"] = _text_path(card.license_text, file.path)
    if isinstance(card, ModelCard):
        found |= {key: value for key in ("access", "hosted_by") if (value := getattr(card, key)) is not None}
    if card.rights_holder is not None:
        found["rights_holder"] = card.rights_holder
    return found


def _lineage(card: Card, file: CardFile, materials: ReleaseInputs, above: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The upstreams a card names: its lineage, its generators, and what the Hub's own fields name without saying how."""
    above = (*above, str(file.path), card.name, card.id or card.name)
    stated = _stated(card)
    entries = [_of_lineage(entry, file, materials, above) for entry in stated if not _names_itself(entry, above)]
    named = {entry["name"] for entry in entries}
    if isinstance(card, DatasetCard):
        records = [card.generation, *(f.generation for f in card.files)]
        entries += [e for e in _generators(records) if e["name"] not in named]
    else:
        unsaid = [Lineage(use="weights_init", name=name) for name in card.base_model if name not in named]
        unsaid += [Lineage(use="dataset_train", name=name) for name in card.datasets if name not in named]
        entries += [_of_lineage(entry, file, materials, above) for entry in unsaid]
    return entries


def _stated(card: Card) -> list[Lineage]:
    """The lineage as somebody stated it: what a draft took from kdgov's memory of an id is no statement.

    A whole upstream that came from there is left out here, for the licence facts bring it back with its duties.
    """
    found = []
    for number, entry in enumerate(card.lineage):
        if not is_from_memory(card, f"lineage[{number}]"):
            found.append(entry.model_copy(update={"license": None}) if is_from_memory(card, f"lineage[{number}].license") else entry)
    return found


def _generators(records: list[Generation | None]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        if record is None or record.kind == "program":
            continue
        use = {"text": "generated_text"}.get(record.signal, record.signal)
        licence = record.license or record.terms or UNKNOWN
        entry: dict[str, Any] = {"use": use, "name": record.generator, "license": licence}
        found[record.generator, licence] = entry | _given(record, "access", "hosted_by")
    return list(found.values())


def _of_lineage(entry: Lineage, file: CardFile, materials: ReleaseInputs, above: tuple[str, ...]) -> dict[str, Any]:
    upstream = materials.upstream.get(entry.card if entry.card is not None else entry.name)
    found: dict[str, Any] = {"use": entry.use, "name": entry.name, "license": entry.license or UNKNOWN}
    made_by = [_of_lineage(inner, file, materials, above) for inner in entry.made_by]
    # Cards of the Hub may name each other in a circle: each is opened once on the way down.
    if upstream is not None and str(upstream.path) not in above:
        card = upstream.card
        found |= _licence_of(card, upstream) if entry.license is None else {}
        made_by += _lineage(card, upstream, materials, above)
        if isinstance(card, DatasetCard) and card.personal_data is not None:
            found["personal_data"] = isinstance(card.personal_data, PersonalData) or card.personal_data
    if entry.license_text is not None:
        found["license_text"] = _text_path(entry.license_text, file.path)
    found |= _given(entry, "access", "hosted_by", "rights_holder", "personal_data")
    return with_published_terms(found | ({"made_by": made_by} if made_by else {}))


def _names_itself(entry: Lineage, above: tuple[str, ...]) -> bool:
    # A quantised copy's card may name itself as its base; a declared circle, with licences, stays a fault of the input.
    return entry.name in above and entry.license is None and entry.card is None and not entry.made_by


def _given(source: Any, *names: str) -> dict[str, Any]:
    """Those of some fields that were stated."""
    return {name: value for name in names if (value := getattr(source, name)) is not None}


def _text_path(name: str, card: Path) -> str:
    path = Path(name).expanduser()
    return str(path if path.is_absolute() else card.parent / path)
