"""Keys of ``evaluation:`` that would change nothing in a release. A value that says what happens anyway is no fault."""

from __future__ import annotations

from collections.abc import Iterator

from kdgov.declarations.effects.asked_endpoints import ROLES, asked_endpoints, endpoint_roles
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.evaluation_settings import ENDPOINT_BACKENDS, EvaluationSettings, Reasoning, RoleSettings

Idle = tuple[str, str, str]
"""Key, why it has no effect, and what to do instead."""
_HERE = ("backend", "device", "dtype", "devices", "batch_tokens", "endpoint")
"""Keys of a model that is asked by its weights."""
_UNHEARD = ("requests_per_minute", "tokens_per_minute", "extra_body", "price", "budget_usd", "answers_as")
"""Keys of an endpoint that backend completions does not use: lm-eval's own client asks there."""
_CONCURRENCY = 16
"""What DESIGN and docs write for ``concurrency``; what an endpoint has without it."""


def idle_evaluation(release: Release) -> Iterator[Idle]:
    """Every key of ``evaluation:`` that changes nothing."""
    said = release.evaluation
    yield from _addresses(release, said)
    yield from _common(release, said)
    yield from _asking(release, said)
    yield from _completions(release, said)
    for key, thinks in (("", said.reasoning), *((f"{role}.", getattr(said, role).reasoning) for role in ROLES)):
        if thinks is not None and thinks.enabled is False and _budget_says(thinks):
            mend = "Remove it, or switch thoughts on: without them there is nothing to budget."
            yield f"evaluation.{key}reasoning.budget_tokens", "has no effect beside `enabled: false`", mend


def _budget_says(thinks: Reasoning) -> bool:
    return bool(thinks.budget_tokens != Reasoning.model_fields["budget_tokens"].default)


def _addresses(release: Release, said: EvaluationSettings) -> Iterator[Idle]:
    """Backends that ask an address where none is named."""
    alone = endpoint_roles(release)
    lacking = [role for role in ROLES if role not in alone and said.of(role).backend in ENDPOINT_BACKENDS and not said.of(role).endpoint]
    for place in dict.fromkeys(f"{role}." if getattr(said, role).backend is not None else "" for role in lacking):
        backend = (getattr(said, place[:-1]) if place else said).backend
        mend = f"Add `endpoint: {{base_url: …, model: …, api: {backend}}}` beside it."
        yield f"evaluation.{place}backend", f"is {backend}, and no endpoint says where that is", mend


def _common(release: Release, said: EvaluationSettings) -> Iterator[Idle]:
    """Keys for both models that neither of them takes."""
    alone = endpoint_roles(release)
    here = [role for role in ROLES if role not in alone]
    for key in _HERE:
        if not _is_set(said, key):
            continue
        if not here:
            yield f"evaluation.{key}", "has no effect: both models are endpoints, which decide that themselves", "Remove it."
        elif all(getattr(getattr(said, role), key) is not None for role in here):
            whose = " and ".join(f"evaluation.{role}.{key}" for role in here)
            yield f"evaluation.{key}", f"has no effect: {whose} say otherwise", "Keep one of them."
    for key in ("concurrency", "reasoning"):
        if _is_set(said, key) and all(getattr(getattr(said, role), key) is not None for role in ROLES):
            yield f"evaluation.{key}", "has no effect: teacher and student each have their own", "Keep one of them."


def _is_set(said: EvaluationSettings, key: str) -> bool:
    return key in said.model_fields_set and getattr(said, key) != EvaluationSettings.model_fields[key].default


def _asking(release: Release, said: EvaluationSettings) -> Iterator[Idle]:
    """Keys that only an endpoint, or only a trained student, gives a meaning to."""
    messages, completions = asked_endpoints(release), _by_completions(release)
    for place, own in (("", said), *((f"{role}.", getattr(said, role)) for role in ROLES)):
        asked = [*messages, *completions] if not place else [role for role in (*messages, *completions) if place == f"{role}."]
        if own.concurrency not in (None, _CONCURRENCY) and not asked:
            mend = "Remove it; `batch_tokens` says how much a model here is asked at once."
            yield f"evaluation.{place}concurrency", "has no effect: no endpoint is asked", mend
    if _is_set(said, "reask") and said.reask and not messages:
        yield "evaluation.reask", "has no effect: no chat endpoint is asked", "Remove it."
    if not said.prove and not completions:
        yield "evaluation.prove", "has no effect: no model is asked by backend completions", "Remove it."
    if said.baseline and (release.distillation is None or release.student.model is None):
        lacks = "no distillation" if release.distillation is None else "no `student.model` that could be asked untrained"
        yield (
            "evaluation.baseline",
            f"has no effect: the release has {lacks}",
            "Remove it.",
        )


def _by_completions(release: Release) -> dict[str, RoleSettings]:
    alone = endpoint_roles(release)
    said = {role: release.evaluation.of(role) for role in ROLES if role not in alone}
    return {role: one for role, one in said.items() if one.backend == "completions"}


def _completions(release: Release, said: EvaluationSettings) -> Iterator[Idle]:
    for place, own in (("", said), *((f"{role}.", getattr(said, role)) for role in ROLES)):
        if own.endpoint is None or own.endpoint.api != "completions":
            continue
        fields = type(own.endpoint).model_fields
        for key in _UNHEARD:
            value = getattr(own.endpoint, key)
            if key in own.endpoint.model_fields_set and value != fields[key].get_default(call_default_factory=True):
                mend = "Remove it, or ask by `backend: chat`, which counts, waits and pays as it says."
                yield f"evaluation.{place}endpoint.{key}", "has no effect on backend completions", mend
