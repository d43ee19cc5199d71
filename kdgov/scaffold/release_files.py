"""A release that runs as it is, from a teacher, data and items: declaration, cards, suites, policy, schemas for editors, CI jobs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kdgov.checkpoints.identity import read_config
from kdgov.checks.cards.draft_card import card_yaml, new_dataset_card, new_model_card
from kdgov.declarations.cards import MODEL_CARD, DatasetCard, ModelCard
from kdgov.declarations.data_origin import Lineage
from kdgov.declarations.file_schemas import declaration_schema
from kdgov.declarations.load import validate
from kdgov.declarations.release import Release
from kdgov.scaffold.ci_jobs import JobSettings
from kdgov.scaffold.hub_answers import hub_card_name, hub_card_to_complete, hub_entry
from kdgov.scaffold.input_field import input_field
from kdgov.scaffold.item_files import ItemTask, in_letters, read_item_files
from kdgov.scaffold.release_answers import ADDRESS, FIRST_PARTY, HUB, ReleaseAnswers, open_questions, refuse_faults
from kdgov.scaffold.repository import ci_files
from kdgov.scaffold.starter_policy import starter_policy
from kdgov.scaffold.suite_files import FOLDER, suite_files

SCHEMAS = ".kdgov/schemas"
_KINDS = ("release", "suite", "card", "policy")
_WRITTEN_TOKENS = 256
_DISTILLATION = {
    "terms": [
        {"kind": "soft_targets", "loss": "forward_kl", "temperature": 2.0, "weight": 0.7},
        {"kind": "hard_labels", "weight": 0.3},
    ],
    "steps": 1000,
    "seed": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseScaffold:
    """The files, and what only a person can fill."""

    name: str
    """The release's name: that of the registered model."""
    files: dict[str, str]
    """Path → text."""
    suites: tuple[str, ...]
    """Names of the suites written."""
    tasks: tuple[str, ...]
    """One sentence per task: what its items were read as."""
    open_questions: tuple[str, ...]
    """One sentence each: file, key and what to write."""


def release_scaffold(folder: Path, answers: ReleaseAnswers, settings: JobSettings) -> ReleaseScaffold:
    """Everything a release needs, written for a folder; nothing is written here.

    Raises:
        InputError: if a model, data or items file is absent or is none, or an answer is missing.
    """
    refuse_faults(answers)
    name = answers.name or re.sub(r"[^\w.-]+", "-", folder.resolve().name) or "student"
    tasks = read_item_files(answers.items, classes=_classes(answers))
    if answers.is_asked or answers.student_is_asked:
        tasks = [in_letters(task) for task in tasks]
    cards = _cards(folder, answers)
    files = {f"registry/{kind}": _schema_line("card", 2) + card_yaml(card) for kind, card in cards.items()}
    files["release.yaml"] = _release(folder, name, answers, tasks, cards)
    licence = FIRST_PARTY if "items" in answers.ours else None
    files |= suite_files(tasks, schema=_schema_line("suite", 2), licence=licence, context=_context(answers))
    asks = ("teacher",) * answers.is_asked + ("student",) * answers.student_is_asked
    files["policies/own.yaml"] = _schema_line("policy", 1) + starter_policy(name, tasks, asked=asks, replays=answers.has_inputs)
    files |= {f"{SCHEMAS}/{kind}.json": json.dumps(declaration_schema(kind), indent=1) + "\n" for kind in _KINDS}
    files |= ci_files(replace(settings, policy="policies/own.yaml"))
    suites = tuple(sorted({task.suite for task in tasks}))
    return ReleaseScaffold(
        name=name,
        files=files,
        suites=suites,
        tasks=tuple(task.read_as for task in tasks),
        open_questions=tuple(open_questions(cards, answers, suites)),
    )


def _classes(answers: ReleaseAnswers) -> tuple[str, ...]:
    """Names of the teacher's classes in order, where it is a text classifier on disk; empty otherwise."""
    if answers.is_asked or not Path(answers.teacher).is_dir():
        return ()
    config = read_config(Path(answers.teacher))
    architectures = config.get("architectures") or []
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
        return ()
    names = config.get("id2label")
    if isinstance(names, dict) and names:
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(f"LABEL_{number}" for number in range(int(config.get("num_labels") or 2)))


def _context(answers: ReleaseAnswers) -> int | None:
    """Tokens that every model on disk takes; None where no configuration says so."""
    said = [
        read_config(Path(named)).get("max_position_embeddings")
        for named in (answers.teacher, answers.student)
        if named and not named.startswith(ADDRESS) and Path(named).is_dir()
    ]
    return min((length for length in said if isinstance(length, int)), default=None)


def _cards(folder: Path, answers: ReleaseAnswers) -> dict[str, ModelCard | DatasetCard]:
    """Path below registry/ → card, with what was said of it filled in."""
    cards: dict[str, ModelCard | DatasetCard] = {}
    if not answers.is_asked:
        cards["models/teacher.yaml"] = _model_card(folder, answers.teacher)
    if answers.student:
        cards["models/student.yaml"] = _model_card(folder, answers.student, answers.student_served_as or answers.served_as)
        if answers.learned_from:
            of = {"name": answers.served_as} if answers.is_asked else {"name": cards["models/teacher.yaml"].name, "card": "teacher.yaml"}
            link = Lineage.model_validate(
                {"use": answers.learned_from, **of, **({"license": answers.terms} if answers.is_asked and answers.terms else {})}
            )
            cards["models/student.yaml"] = cards["models/student.yaml"].model_copy(update={"lineage": [link]})
    if answers.inputs:
        cards["datasets/inputs.yaml"] = new_dataset_card(answers.inputs, beside=folder / "registry" / "datasets")
    if answers.data:
        cards["datasets/data.yaml"] = new_dataset_card(answers.data, beside=folder / "registry" / "datasets")
    for item in (*answers.hub_data, *answers.hub_inputs):
        cards[hub_card_name(item)] = hub_card_to_complete(item, option="kdgov init")
    for path, card in cards.items():
        if path.split("/")[1].removesuffix(".yaml") in answers.ours:
            holder = answers.organization or None
            cards[path] = card.model_copy(update={"license": FIRST_PARTY, "rights_holder": holder, "issuer": answers.organization})
    return cards


def _data(answers: ReleaseAnswers) -> list[dict[str, Any]]:
    return [*([{"card": "registry/datasets/data.yaml"}] if answers.data else []), *(hub_entry(item) for item in answers.hub_data)]


def _model_card(folder: Path, named: str, served_as: str = "") -> ModelCard:
    if named.startswith(ADDRESS):
        return ModelCard.model_validate({"schema": MODEL_CARD, "name": served_as, "access": "api"})
    if pinned := HUB.match(named):
        value = {
            "schema": MODEL_CARD,
            "name": pinned["id"].split("/")[1],
            "id": pinned["id"],
            "revision": pinned["revision"],
            "access": "weights",
        }
        return ModelCard.model_validate(value)
    return new_model_card(Path(named), beside=folder / "registry" / "models")


def _release(folder: Path, name: str, answers: ReleaseAnswers, tasks: Sequence[ItemTask], cards: dict[str, ModelCard | DatasetCard]) -> str:
    student: dict[str, Any] = {"keep_layers": "every_second"}
    if answers.student:
        student = {**_student(folder, answers), "card": "registry/models/student.yaml"}
    outbound = cards["models/student.yaml" if answers.is_asked else "models/teacher.yaml"].license
    recipe = _teacher_text(answers) if answers.is_asked and answers.has_data else None if answers.student else _DISTILLATION
    value: dict[str, Any] = {
        "schema": "kdgov.release/1",
        "name": name,
        "teacher": _teacher(folder, answers),
        "student": {**student, **({"license": outbound} if outbound else {}), **({"kind": "classifier"} if _classes(answers) else {})},
        **({"data": _data(answers)} if answers.has_data else {}),
        **({"distillation": recipe} if recipe is not None else {}),
        **({"production_inputs": _inputs(answers)} if answers.has_inputs else {}),
        "suites": [f"{FOLDER}/{suite}" for suite in dict.fromkeys(task.suite for task in tasks)],
        "policy": "policies/own.yaml",
        "release": {"distribution": answers.distribution},
        **({"organization": {"name": answers.organization}} if answers.organization else {}),
    }
    validate(value, Release, file="kdgov init", lines={})
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    note = (
        "# Written by kdgov init. Next: kdgov check release.yaml, then kdgov run release.yaml. Defaults: kdgov check release.yaml --show\n"
    )
    return _schema_line("release", 0) + note + text


def _inputs(answers: ReleaseAnswers) -> dict[str, Any]:
    named = {"field": answers.input_field} if answers.input_field else {}
    if answers.hub_inputs:
        return {**hub_entry(answers.hub_inputs[0]), **named}
    return {"card": "registry/datasets/inputs.yaml", **(named or input_field(answers.inputs[0]))}


def _teacher_text(answers: ReleaseAnswers) -> dict[str, Any]:
    # Prompt and answer together must fit the model that learns from them.
    context = _context(answers)
    tokens = _WRITTEN_TOKENS if context is None else min(_WRITTEN_TOKENS, max(1, context // 4))
    return {"terms": [{"kind": "teacher_text", "max_new_tokens": tokens}], "steps": 300, "seed": 0}


def _teacher(folder: Path, answers: ReleaseAnswers) -> dict[str, Any]:
    if not answers.is_asked:
        return {**_model(folder, answers.teacher), "card": "registry/models/teacher.yaml"}
    return {"endpoint": _endpoint(answers, answers.teacher, answers.served_as)}


def _student(folder: Path, answers: ReleaseAnswers) -> dict[str, Any]:
    if not answers.student_is_asked:
        return dict(_model(folder, answers.student))
    return {"endpoint": _endpoint(answers, answers.student, answers.student_served_as or answers.served_as)}


def _endpoint(answers: ReleaseAnswers, address: str, served_as: str) -> dict[str, Any]:
    key = {"key_variable": answers.key_variable} if answers.key_variable else {}
    return {"base_url": address, "model": served_as, "terms": answers.terms or "NOASSERTION", **key}


def _model(folder: Path, named: str) -> dict[str, str]:
    if pinned := HUB.match(named):
        return {"model": pinned["id"], "revision": pinned["revision"]}
    relative = Path(os.path.relpath(Path(named).resolve(), folder.resolve())).as_posix()
    return {"model": relative if relative.startswith(".") else f"./{relative}"}


def _schema_line(kind: str, depth: int) -> str:
    return f"# yaml-language-server: $schema={'../' * depth}{SCHEMAS}/{kind}.json\n"
