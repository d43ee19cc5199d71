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
from kdgov.errors import InputError
from kdgov.scaffold.ci_jobs import JobSettings
from kdgov.scaffold.item_files import ItemTask, in_letters, read_item_files
from kdgov.scaffold.repository import ci_files
from kdgov.scaffold.starter_policy import starter_policy
from kdgov.scaffold.suite_files import FOLDER, suite_files

FIRST_PARTY = "LicenseRef-FirstParty"
SCHEMAS = ".kdgov/schemas"
_KINDS = ("release", "suite", "card", "policy")
_HUB = re.compile(r"^(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})$")
_WRITTEN_TOKENS = 256
_ADDRESS = ("http://", "https://")
_LEARNED = ("logits", "hidden_states", "generated_text", "judge_scores", "weights_init")
_DISTILLATION = {
    "terms": [
        {"kind": "soft_targets", "loss": "forward_kl", "temperature": 2.0, "weight": 0.7},
        {"kind": "hard_labels", "weight": 0.3},
    ],
    "steps": 1000,
    "seed": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAnswers:
    """What a release is written from."""

    teacher: str
    """Model folder, ``org/name@commit`` of the Hub, or the address of an OpenAI-compatible endpoint, such as ``https://host/v1``."""
    served_as: str = ""
    """Model name to ask for at the teacher's address."""
    terms: str = ""
    """Licence or terms under which the address answers; empty: unsaid."""
    student: str = ""
    """A model folder or Hub model: trained elsewhere, or, with a teacher that is an address and data, the base that learns from what
    the teacher writes. Empty: every second layer of the teacher, distilled."""
    data: tuple[Path, ...] = ()
    """Text to distil on."""
    items: tuple[Path, ...] = ()
    """Files of items."""
    organization: str = ""
    """Name of who releases."""
    distribution: str = "internal"
    """Who gets what."""
    name: str = ""
    """Name of the released model; default the folder's."""
    learned_from: str = ""
    """What a student trained elsewhere learned from its teacher: a use, such as ``logits``; empty: unsaid."""
    ours: frozenset[str] = frozenset()
    """Which of teacher, student, data and items are the organisation's own work."""

    @property
    def is_asked(self) -> bool:
        """Whether the teacher is only an address."""
        return self.teacher.startswith(_ADDRESS)


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


def looks_like_a_model(named: str) -> bool:
    """Whether a name is a checkpoint folder, a pinned Hub model or an address, and not a place of results."""
    return named.startswith(_ADDRESS) or (Path(named) / "config.json").is_file() or _HUB.match(named) is not None


def release_scaffold(folder: Path, answers: ReleaseAnswers, settings: JobSettings) -> ReleaseScaffold:
    """Everything a release needs, written for a folder; nothing is written here.

    Raises:
        InputError: if a model, data or items file is absent or is none, or an answer is missing.
    """
    _faults(answers)
    name = answers.name or re.sub(r"[^\w.-]+", "-", folder.resolve().name) or "student"
    tasks = read_item_files(answers.items, classes=_classes(answers))
    if answers.is_asked:
        tasks = [in_letters(task) for task in tasks]
    cards = _cards(folder, answers)
    files = {f"registry/{kind}": _schema_line("card", 2) + card_yaml(card) for kind, card in cards.items()}
    files["release.yaml"] = _release(folder, name, answers, tasks, cards)
    licence = FIRST_PARTY if "items" in answers.ours else None
    files |= suite_files(tasks, schema=_schema_line("suite", 2), licence=licence, context=_context(answers))
    files["policies/own.yaml"] = _schema_line("policy", 1) + starter_policy(name, tasks, asks_endpoint=answers.is_asked)
    files |= {f"{SCHEMAS}/{kind}.json": json.dumps(declaration_schema(kind), indent=1) + "\n" for kind in _KINDS}
    files |= ci_files(replace(settings, policy="policies/own.yaml"))
    suites = tuple(sorted({task.suite for task in tasks}))
    return ReleaseScaffold(
        name=name,
        files=files,
        suites=suites,
        tasks=tuple(task.read_as for task in tasks),
        open_questions=tuple(_open(cards, answers, suites)),
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
        if named and not named.startswith(_ADDRESS) and Path(named).is_dir()
    ]
    return min((length for length in said if isinstance(length, int)), default=None)


def _faults(answers: ReleaseAnswers) -> None:
    if not answers.items:
        raise InputError("names no items", where="kdgov init", mend="Add --items FILE: questions with answers, choices, prompts to refuse.")
    if not answers.student and not answers.data:
        raise InputError(
            "names neither data to distil on nor a student", where="kdgov init", mend="Add --data FILE, or --student for one you trained."
        )
    if answers.learned_from and answers.learned_from not in _LEARNED:
        mend = f"Write one of {', '.join(_LEARNED)}."
        raise InputError(f"--learned-from {answers.learned_from} is not a use of a teacher", where="kdgov init", mend=mend)
    if unknown := sorted(answers.ours - {"teacher", "student", "data", "items"}):
        raise InputError(
            f"--ours takes teacher, student, data or items, not {', '.join(unknown)}", where="kdgov init", mend="Correct the word."
        )
    if answers.is_asked and not answers.served_as:
        mend = "Add --served-as NAME: the dated model name that the address is asked for."
        raise InputError("--teacher is an address and no model is named there", where=answers.teacher, mend=mend)
    if answers.is_asked and not answers.student:
        mend = "Add --student BASE: the model that learns from what the teacher writes (with --data), or that did so elsewhere."
        raise InputError("--teacher is an address, which has no layers to make a student of", where=answers.teacher, mend=mend)
    if answers.student.startswith(_ADDRESS):
        mend = "Name its weights; a student that can only be asked has no digest to release, and is written by hand (docs/endpoints.md)."
        raise InputError("--student is an address", where=answers.student, mend=mend)
    for role, named in (("--teacher", answers.teacher), ("--student", answers.student)):
        if named and not looks_like_a_model(named):
            mend = "Name a folder with config.json and weights, or org/name@ and the commit of 40 digits."
            raise InputError(f"{role} is neither a model folder nor a pinned Hub model", where=named, mend=mend)


def _cards(folder: Path, answers: ReleaseAnswers) -> dict[str, ModelCard | DatasetCard]:
    """Path below registry/ → card, with what was said of it filled in."""
    cards: dict[str, ModelCard | DatasetCard] = {}
    if not answers.is_asked:
        cards["models/teacher.yaml"] = _model_card(folder, answers.teacher)
    if answers.student:
        cards["models/student.yaml"] = _model_card(folder, answers.student)
        if answers.learned_from:
            of = {"name": answers.served_as} if answers.is_asked else {"name": cards["models/teacher.yaml"].name, "card": "teacher.yaml"}
            link = Lineage.model_validate(
                {"use": answers.learned_from, **of, **({"license": answers.terms} if answers.is_asked and answers.terms else {})}
            )
            cards["models/student.yaml"] = cards["models/student.yaml"].model_copy(update={"lineage": [link]})
    if answers.data:
        cards["datasets/data.yaml"] = new_dataset_card(answers.data, beside=folder / "registry" / "datasets")
    for path, card in cards.items():
        if path.split("/")[1].removesuffix(".yaml") in answers.ours:
            holder = answers.organization or None
            cards[path] = card.model_copy(update={"license": FIRST_PARTY, "rights_holder": holder, "issuer": answers.organization})
    return cards


def _model_card(folder: Path, named: str) -> ModelCard:
    if pinned := _HUB.match(named):
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
        student = {**_model(folder, answers.student), "card": "registry/models/student.yaml"}
    outbound = cards["models/student.yaml" if answers.is_asked else "models/teacher.yaml"].license
    recipe = _teacher_text(answers) if answers.is_asked and answers.data else None if answers.student else _DISTILLATION
    value: dict[str, Any] = {
        "schema": "kdgov.release/1",
        "name": name,
        "teacher": _teacher(folder, answers),
        "student": {**student, **({"license": outbound} if outbound else {}), **({"kind": "classifier"} if _classes(answers) else {})},
        **({"data": [{"card": "registry/datasets/data.yaml"}]} if answers.data else {}),
        **({"distillation": recipe} if recipe is not None else {}),
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


def _teacher_text(answers: ReleaseAnswers) -> dict[str, Any]:
    # Prompt and answer together must fit the model that learns from them.
    context = _context(answers)
    tokens = _WRITTEN_TOKENS if context is None else min(_WRITTEN_TOKENS, max(1, context // 4))
    return {"terms": [{"kind": "teacher_text", "max_new_tokens": tokens}], "steps": 300, "seed": 0}


def _teacher(folder: Path, answers: ReleaseAnswers) -> dict[str, Any]:
    if not answers.is_asked:
        return {**_model(folder, answers.teacher), "card": "registry/models/teacher.yaml"}
    return {"endpoint": {"base_url": answers.teacher, "model": answers.served_as, "terms": answers.terms or "NOASSERTION"}}


def _model(folder: Path, named: str) -> dict[str, str]:
    if pinned := _HUB.match(named):
        return {"model": pinned["id"], "revision": pinned["revision"]}
    relative = Path(os.path.relpath(Path(named).resolve(), folder.resolve())).as_posix()
    return {"model": relative if relative.startswith(".") else f"./{relative}"}


def _open(cards: dict[str, ModelCard | DatasetCard], answers: ReleaseAnswers, suites: Sequence[str]) -> list[str]:
    said = []
    for path, card in cards.items():
        word = path.split("/")[1].removesuffix(".yaml")
        if card.license is None:
            said.append(
                f"registry/{path}: `license:` - the terms it came under; "
                f"`{FIRST_PARTY}` where it is {answers.organization or 'your organisation'}'s own work (or --ours {word})."
            )
        if isinstance(card, DatasetCard) and card.personal_data is None:
            said.append(f"registry/{path}: `personal_data:` - whether it holds data about people: false, or what and on which basis.")
    if answers.is_asked:
        said.append(
            "release.yaml: `teacher.endpoint.price` and `budget_usd:` - what it charges, and when to stop; `kdgov check` shows the plan."
        )
        if not answers.terms:
            said.append(
                "release.yaml: `teacher.endpoint.terms:` - the terms its answers come under (or --terms); the release is held until then."
            )
    if answers.student and not answers.learned_from and not (answers.is_asked and answers.data):
        said.append(
            "registry/models/student.yaml: `lineage: [{use: logits, name: TEACHER, card: teacher.yaml}]` - what it learned "
            "(or --learned-from logits, generated_text …); the release is held until then."
        )
    if "items" not in answers.ours:
        files = " and ".join(f"{FOLDER}/{suite}/suite.yaml" for suite in suites)
        said.append(f"{files}: `license:` - the terms of the items (or --ours items).")
    origin = "student" if answers.is_asked else "teacher"
    outbound = cards[f"models/{origin}.yaml"].license
    if outbound != FIRST_PARTY:
        said.append(f"release.yaml: `student.license:` - under what the student is released; now {outbound or 'unsaid'}, as the {origin}.")
    said.append("release.yaml: `accountable:` and `trade_offs:` - who answers for the release, what the student gives up. Asked by audits.")
    return said


def _schema_line(kind: str, depth: int) -> str:
    return f"# yaml-language-server: $schema={'../' * depth}{SCHEMAS}/{kind}.json\n"
