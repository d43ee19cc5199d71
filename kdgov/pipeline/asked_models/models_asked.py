"""Which models a release asks, who each of them is, how it is asked, and the key of what it will have answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdgov.checkpoints.endpoint_identity import Identity, endpoint_identity, identity_of
from kdgov.checkpoints.identity import ModelIdentity, resolve_model
from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.effects.asked_endpoints import chat_endpoint
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import resolve
from kdgov.declarations.suite_parts.suite_options import file_field
from kdgov.digest import digest_json
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.replay_inputs import data_digest, replay_inputs
from kdgov.evaluation.plan.sources import suites_digest
from kdgov.evaluation.release_settings import asks_baseline, asks_in_messages, how_for
from kdgov.evaluation.scoring.judge_labels import read_labels
from kdgov.evidence.bundle_layout import PAIR
from kdgov.pipeline.asked_models.release_mitigations import mitigations_digest
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.pipeline.inputs.named_media import media_digest
from kdgov.source_digest import source_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One model of a release and the key of its evaluation."""

    role: str
    """teacher, student, control, root or base."""
    source: Path | Endpoint
    """Checkpoint folder, or the endpoint where it can only be asked."""
    identity: Identity
    """Who it is."""
    how: BackendSettings
    """How it is asked."""
    key: str
    """Digest of everything that decides its evaluation."""


def teacher_source(context: ReleaseContext) -> Path | Endpoint:
    """Folder of the teacher, or the endpoint where it can only be asked.

    Raises:
        InputError: if there is no such folder.
        UnavailableError: if a pinned hub model is not at hand and the hub cannot be reached.
    """
    declared = context.release.teacher
    return declared.endpoint or resolve_model(declared.model, beside=context.path, revision=declared.revision)


def asked_models(context: ReleaseContext, teacher: Path | Endpoint, student: Path | Endpoint) -> list[Asked]:
    """Teacher, student and whoever else answers the plan, in the order they are asked: the two models come first."""
    release = context.release
    stored = stored_types(teacher, student)
    common = _common(context, teacher, stored)
    models: list[tuple[str, Path | Endpoint]] = [("teacher", teacher), ("student", student)]
    if release.teacher.root is not None:
        models.append(("root", resolve_model(release.teacher.root, beside=context.path)))
    if asks_baseline(release) and release.student.model is not None:
        models.append(("base", resolve_model(release.student.model, beside=context.path, revision=release.student.revision)))
    found = []
    for role, model in models:
        is_student_alone = role == "student" and isinstance(model, Endpoint)
        who = endpoint_identity(model, is_subject=True) if is_student_alone and isinstance(model, Endpoint) else identity_of(model)
        # An endpoint may answer for weights that are at hand: their identity, its answers. It serves the two models alone.
        served = chat_endpoint(release, role) if role in PAIR and isinstance(model, Path) else None
        how = how_for(release, _LIKE.get(role, role), served or model, stored=stored)
        how = _here(how) if role in _LIKE else how
        key = digest_json({**common, "how": how.key_json(), "model": who.as_json()})
        found.append(Asked(role=role, source=served or model, identity=who, how=how, key=key))
    if isinstance(student, Path) and isinstance(found[1].identity, ModelIdentity):
        found.append(_control(student, found[1], common))
    return found


def _control(student: Path, asked: Asked, common: Mapping[str, Any]) -> Asked:
    # The control is drawn here and asked here, whatever answers for the others: an endpoint serves no untrained model.
    how = _here(asked.how)
    identity = asked.identity.as_json()
    shape = {**common, "how": how.key_json(), "config": identity["config"], "tokenizer": identity["tokenizer"]}
    return Asked(role="control", source=student, identity=asked.identity, how=how, key=digest_json({**shape, "control": 1}))


def _here(how: BackendSettings) -> BackendSettings:
    """As one is asked, but by its weights: an address answers for the two models alone."""
    is_elsewhere = how.address or how.endpoint is not None
    return replace(how, backend="hf", address="", served_as="", connection=None, endpoint=None) if is_elsewhere else how


def stored_types(*models: Path | Endpoint) -> frozenset[str]:
    """Types that the weights of some models are stored in; nothing for an endpoint."""
    return frozenset(who.dtype for model in models if isinstance(who := identity_of(model), ModelIdentity))


_LIKE = {"root": "teacher", "base": "student"}
"""Role → the role whose settings it is asked with."""


def _data_media(materials: ReleaseInputs) -> str:
    """Digest of the images and sounds that the data names, by which those of the suites are told near or far; empty without any."""
    asked = any(file_field(task.kind, task.options) for file in materials.suites for task in file.suite.tasks)
    uses = {f"data[{n}]": DataUse(columns=item.columns) for n, item in enumerate(materials.release.data)}
    named = ((file.path, uses.get(body.key, DataUse())) for body in materials.bodies for file in body.files if file.digest)
    return media_digest(named) if asked else ""


def _common(context: ReleaseContext, teacher: Path | Endpoint, stored: frozenset[str]) -> dict[str, Any]:
    """What decides every model's evaluation."""
    release = context.release
    materials = load_release_inputs(context)
    replayed = replay_inputs(materials, release=context.path, store=context.store.root)
    who = identity_of(teacher)
    return {
        "suites": suites_digest(release.suites, beside=context.path),
        "data": data_digest(materials),
        **({"media": media} if (media := _data_media(materials)) else {}),
        "logged": replayed.digest if replayed is not None else "",
        "code": source_digest("kdgov.pipeline.evaluate"),
        "teacher": who.weights if isinstance(who, ModelIdentity) else who.as_json(),
        "teacher_how": how_for(release, "teacher", chat_endpoint(release, "teacher") or teacher, stored=stored).key_json(),
        "messages": asks_in_messages(release),
        **({"labels": read_labels(files).digest} if (files := label_files(context)) else {}),
        **mitigations_digest(context),
        "limit": release.evaluation.limit,
    }


def label_files(context: ReleaseContext) -> list[Path]:
    """The files of people's labels that a release names."""
    return [resolve(name, beside=context.path) for name in context.release.judge_labels]
