"""Which endpoints answer for the two models of a release."""

from __future__ import annotations

from collections.abc import Iterable

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.evaluation_settings import ENDPOINT_BACKENDS
from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_parts.suite_task import TaskInSuite

ROLES = ("teacher", "student")


def endpoint_roles(release: Release) -> dict[str, Endpoint]:
    """Role → endpoint, for every model of the release that can only be asked."""
    declared = {"teacher": release.teacher.endpoint, "student": release.student.endpoint}
    return {role: endpoint for role, endpoint in declared.items() if endpoint is not None}


def serving_endpoints(release: Release) -> dict[str, Endpoint]:
    """Role → endpoint that answers for it by ``backend: chat`` or ``completions``, while its weights are at hand."""
    alone = endpoint_roles(release)
    said = {role: release.evaluation.of(role) for role in ROLES if role not in alone}
    return {role: one.endpoint for role, one in said.items() if one.endpoint is not None and one.backend in ENDPOINT_BACKENDS}


def chat_endpoint(release: Release, role: str) -> Endpoint | None:
    """The chat endpoint that answers for a role whose weights are at hand; None where they answer here."""
    served = serving_endpoints(release).get(role)
    return served if served is not None and served.api == "chat" else None


def asked_endpoints(release: Release) -> dict[str, Endpoint]:
    """Role → endpoint that is asked in messages: its own, or the chat endpoint that serves its weights."""
    served = {role: at for role in ROLES if (at := chat_endpoint(release, role)) is not None}
    return {**endpoint_roles(release), **served}


def one_endpoint_for_both(release: Release) -> Endpoint | None:
    """The endpoint that answers for teacher and student alike, as far as declarations tell; None where two models are asked.

    Terms, limits and prices do not make another model of it, nor do the spelling of a host and a slash at the end; `extra_body` may.
    """
    asked = {**serving_endpoints(release), **endpoint_roles(release)}
    both = [asked[role] for role in ROLES if role in asked]
    if len(both) < len(ROLES):
        return None
    places = [(one.place, one.model, one.extra_body) for one in both]
    return both[0] if places[0] == places[1] else None


def judges_at_addresses(suite: Suite, task: TaskInSuite) -> list[str]:
    """Names of the judges behind an address that a task's metrics are judged by."""
    named = dict.fromkeys(metric.judge for metric in task.metrics if metric.judge)
    return [name for name in named if name in suite.judges and suite.judges[name].kind == "openai"]


def asks_judges(release: Release, suites: Iterable[Suite]) -> bool:
    """Whether answers of a release are judged by a model behind an address: those to its suites, or to its logged inputs."""
    logged = release.production_inputs
    if logged is not None and logged.judge is not None and logged.judge.kind == "openai":
        return True
    return any(judges_at_addresses(suite, task) for suite in suites for task in suite.tasks)
