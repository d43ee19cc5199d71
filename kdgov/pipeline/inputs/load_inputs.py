"""What a release is made from, read from its declaration: cards, data files, suites, identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checkpoints.fit.pair_fit import refuse_unfit_pairs
from kdgov.checkpoints.identity import model_identity, read_config, resolve_model
from kdgov.checkpoints.layer_choice import depths_of, refuse_absent_starts
from kdgov.checkpoints.tasks import refuse_unfit_recipes
from kdgov.checkpoints.weights.packed_weights import refuse_packed_models
from kdgov.checks.cards.data_bodies import read_bodies, read_prompts
from kdgov.checks.cards.logged_body import read_logged
from kdgov.checks.cards.release_inputs import ModelFacts, ReleaseInputs, SuiteFile, follow_cards, model_facts
from kdgov.declarations.load import resolve
from kdgov.declarations.suite import find_suite, load_suite
from kdgov.declarations.suite_parts.judging_models import refuse_absent_models
from kdgov.pipeline.context import ReleaseContext


def load_release_inputs(context: ReleaseContext) -> ReleaseInputs:
    """Everything the release is made from: cards, data files, suites, identities.

    Raises:
        InputError: if a card or suite is at fault, a lineage runs in a circle, or a student starts from layers that are not there.
        UnavailableError: if a pinned hub model is not at hand and the hub cannot be reached.
    """
    release, where = context.release, str(context.path)
    teacher_identity = _identity(context, release.teacher.model, release.teacher.revision) if release.teacher.model else {}
    refuse_absent_starts(release, _depths(context) if teacher_identity else {}, context.path_of, file=where)
    refuse_unfit_recipes(release, context.path_of)
    refuse_unfit_pairs(release, context.path_of)
    refuse_packed_models(release, context.path_of)
    teacher = model_facts(
        "teacher",
        release.teacher.called,
        release.teacher.card,
        context.path_of,
        where=where,
        revision=release.teacher.revision,
        identity=teacher_identity,
    )
    own = release.student.model or ""
    student = model_facts(
        "student",
        own,
        release.student.card,
        context.path_of,
        where=where,
        revision=release.student.revision,
        identity=_identity(context, own, release.student.revision) if own else {},
    )
    bodies = read_bodies(release, context.path_of, where=where, digest_of=remembered_digest)
    logged = read_logged(release, context.path_of, where=where, digest_of=remembered_digest)
    bodies_with_cards = (*bodies, *([logged] if logged is not None else []))
    prompts = read_prompts(release, context.path_of, where=where, digest_of=remembered_digest)
    further = _further(context)
    named = [*(one.card for one in (teacher, student, *further)), *(body.card for body in (*bodies_with_cards, *prompts))]
    cards = {file.name: file for file in named if file is not None}
    suites = suite_files(context)
    return ReleaseInputs(
        release=release,
        where=where,
        teacher=teacher,
        student=student,
        further=further,
        bodies=bodies,
        prompts=prompts,
        logged=logged,
        suites=suites,
        upstream=follow_cards(cards, context.path_of),
    )


def _further(context: ReleaseContext) -> tuple[ModelFacts, ...]:
    """Every teacher beside the first that a recipe names, once."""
    release = context.release
    recipes = [one for one in (*(stage.distillation for stage in release.stages), release.distillation) if one is not None]
    named = {(one.model, one.revision): one for recipe in recipes for one in recipe.further_teachers}
    return tuple(
        model_facts(
            "teacher",
            one.model,
            one.card,
            context.path_of,
            where=str(context.path),
            revision=one.revision,
            identity=_identity(context, one.model, one.revision),
        )
        for one in named.values()
    )


def _identity(context: ReleaseContext, name: str, revision: str | None) -> Mapping[str, Any]:
    """Identity of a model; empty for a hub id that no commit pins: that is a finding, not an error."""
    is_local = resolve(name, beside=context.path).is_dir()
    if not is_local and (revision is None or len(revision) != 40) and not name.startswith((".", "/")):
        return {}
    return model_identity(resolve_model(name, beside=context.path, revision=revision)).as_json()


def _depths(context: ReleaseContext) -> Mapping[str, int]:
    """Layers of the teacher's stacks, whose identity is known."""
    teacher = context.release.teacher
    return depths_of(read_config(resolve_model(str(teacher.model), beside=context.path, revision=teacher.revision)))


def suite_files(context: ReleaseContext) -> tuple[SuiteFile, ...]:
    """The suites a release names, each with where it lies.

    Raises:
        InputError: if a suite does not exist or is at fault.
    """
    found = {name: find_suite(name, beside=context.path) for name in context.release.suites}
    files = tuple(SuiteFile(suite=load_suite(path), path=path, name=name) for name, path in found.items())
    for file in files:
        refuse_absent_models(file.suite, file.path)
    return files
