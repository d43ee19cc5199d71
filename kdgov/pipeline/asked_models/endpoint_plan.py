"""What a release will ask of endpoints, before anything is paid: requests, tokens, price, and what they cannot answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.checkpoints.identity import resolve_model
from kdgov.checkpoints.loading import load_tokenizer
from kdgov.decision.policy import Policy
from kdgov.declarations.distillation import TeacherText
from kdgov.declarations.effects.asked_endpoints import asked_endpoints, one_endpoint_for_both
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError
from kdgov.evaluation.plan.messages import NotApplicable
from kdgov.evaluation.plan.replay_inputs import replay_inputs
from kdgov.finding import Finding
from kdgov.finding_rules import RULES
from kdgov.passing_rules import passing
from kdgov.pipeline.asked_models.asking_estimate import Estimate
from kdgov.pipeline.confined.release_calls import suite_calls
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.progress import silent
from kdgov.quantities import quantity

_NOT_APPLICABLE, _PLAN, _BACKEND = "evidence.task-not-applicable", "evidence.endpoint-plan", "evidence.backend"
_SAME = "evidence.same-model"
_TEXT_PROMPT_TOKENS = 100
"""Tokens that a prompt of the distillation data is taken to have, for planning."""


def same_model_findings(context: ReleaseContext) -> list[Finding]:
    """The finding that one address and model name would answer for both models: what is asked there compares a model with itself."""
    same = one_endpoint_for_both(context.release)
    if same is None:
        return []
    return [
        Finding(
            check="evidence",
            verdict="invalid",
            subject=same.model,
            reason=f"Teacher and student are both {same.model} at {same.address}: the teacher would be compared with itself.",
            mend="Name the address or the model name under which the student answers.",
            rule=_SAME,
            source=RULES[_SAME].source,
        )
    ]


def endpoint_plan_findings(context: ReleaseContext, policy: Policy, rows: Mapping[str, int]) -> list[Finding]:
    """Findings on what the release's endpoints, its judges among them, will be asked.

    Args:
        context: the release.
        policy: its policy.
        rows: key of a body of data → examples in it.

    Raises:
        InputError: if no task of its suites can be asked of an endpoint.
    """
    release = context.release
    # The log as it will be replayed is written here: the confined process may not write into the store.
    replay_inputs(load_release_inputs(context), release=context.path, store=context.store.root)
    with suite_calls(context) as calls:
        questions = calls.call("endpoint_questions", context=replace(context, progress=silent))
    roles = asked_endpoints(release)
    if roles:
        _refuse_unfit_template(context, questions["messages"])
    found = [_not_applicable(NotApplicable(**{**one, "metrics": tuple(one["metrics"])})) for one in questions["left"]]
    if len(roles) == 1 and "backend" not in policy.allowed_differences:
        found.append(_unlike(next(iter(roles)), policy))
    for role, endpoint in roles.items():
        asked = Estimate(**questions["asked"][role])
        taught = _teaching(context, rows) if role == "teacher" else Estimate()
        found.append(_told(role, endpoint, asked, taught))
    return [*found, *map(_judged, questions["judges"])]


def _judged(row: Mapping[str, Any]) -> Finding:
    endpoint, asked = Endpoint.model_validate(row["endpoint"]), Estimate(**row["asked"])
    usd = asked.usd(endpoint)
    told = f"The judge {endpoint.model} at {endpoint.address} will be asked at most {quantity(asked.requests, 'request')}: "
    told += f"about {asked.input_tokens:,} tokens read and at most {asked.output_tokens:,} written"
    told += f", at most {usd:,.4f} USD" if usd is not None else "; no price is declared"
    told += f" (paid before: {row['paid_usd']:,.4f} USD)." if row["paid_usd"] else "."
    subject, details = f"judge {row['name']}", dict(_details(asked, usd))
    if usd is not None and endpoint.budget_usd is not None and usd > endpoint.budget_usd:
        return _over(subject, told, endpoint.budget_usd, details)
    return passing("evidence", _PLAN, subject, told, looked_for={"requests": asked.requests}, source=RULES[_PLAN].source, **details)


def _over(subject: str, told: str, budget_usd: float, details: dict[str, Any]) -> Finding:
    return Finding(
        check="evidence",
        verdict=RULES[_PLAN].verdict,
        subject=subject,
        reason=f"{told} That may pass budget_usd {budget_usd:g}, at which asking stops.",
        mend="Raise `budget_usd`, ask fewer items (`evaluation.limit`), or allow shorter answers.",
        rule=_PLAN,
        source=RULES[_PLAN].source,
        details=details,
    )


def _refuse_unfit_template(context: ReleaseContext, messages: Mapping[str, list[dict[str, Any]]]) -> None:
    """Nothing, if the chat template of every model that is asked here takes the messages of every task.

    Raises:
        InputError: naming the task whose messages it does not take, such as a system message that its family does not know.
    """
    elsewhere = asked_endpoints(context.release)
    for role, model in (("teacher", context.release.teacher), ("student", context.release.student)):
        if model.model and role not in elsewhere:
            folder = resolve_model(model.model, beside=context.path, revision=model.revision)
            _refuse_messages(folder, messages)


def _refuse_messages(folder: Path, messages: Mapping[str, list[dict[str, Any]]]) -> None:
    tokenizer = load_tokenizer(folder)
    if not getattr(tokenizer, "chat_template", None):
        return
    for task, said in messages.items():
        try:
            chat_text(tokenizer, said, where=str(folder), add_generation_prompt=True)
        except InputError as error:
            has_system = any(message.get("role") == "system" for message in said)
            mend = "Its family knows no system message: ask this task without one." if has_system else error.mend
            raise InputError(f"{task} cannot be asked: {error.what}", where=str(folder), mend=mend) from error


def _not_applicable(one: NotApplicable) -> Finding:
    return Finding(
        check="evidence",
        verdict=RULES[_NOT_APPLICABLE].verdict,
        subject=one.task,
        reason=f"Not applicable: it needs {one.needs}, which an endpoint does not give; {quantity(one.items, 'item')} left out, "
        f"and {', '.join(one.metrics)} not measured.",
        mend="Name suites that are answered in text instead, or let the policy accept it: "
        f"`findings: {{{_NOT_APPLICABLE}: warn}}`, as policies/black-box.yaml does.",
        rule=_NOT_APPLICABLE,
        source=RULES[_NOT_APPLICABLE].source,
        details={"needs": one.needs, "items": one.items, "metrics": list(one.metrics)},
    )


def _unlike(role: str, policy: Policy) -> Finding:
    return Finding(
        check="evidence",
        verdict="invalid",
        subject="backend",
        reason=f"The {role} is asked at its endpoint and the other model here, and policy {policy.name} does not allow that.",
        mend="Judge by policies/black-box.yaml, or let the policy allow it: `allowed_differences: [backend]`.",
        rule=_BACKEND,
        source=RULES[_BACKEND].source,
    )


def _teaching(context: ReleaseContext, rows: Mapping[str, int]) -> Estimate:
    recipe = context.release.distillation
    total = Estimate()
    for number, term in enumerate(recipe.terms if recipe is not None else ()):
        if isinstance(term, TeacherText) and term.endpoint is not None:
            own = rows.get(f"distillation.terms[{number}].prompts")
            prompts = own if own is not None else sum(count for key, count in rows.items() if key.startswith("data["))
            count = prompts * term.samples_per_prompt
            total += Estimate(requests=count, input_tokens=count * _TEXT_PROMPT_TOKENS, output_tokens=count * term.max_new_tokens)
    return total


def _told(role: str, endpoint: Endpoint, asked: Estimate, taught: Estimate) -> Finding:
    whole = asked + taught
    usd = whole.usd(endpoint)
    parts = [f"{asked.requests:,} to evaluate", *([f"{taught.requests:,} to write examples"] if taught.requests else [])]
    told = f"{endpoint.model} at {endpoint.address} will be asked {quantity(whole.requests, 'request')} ({', '.join(parts)}): "
    told += f"about {whole.input_tokens:,} tokens read and at most {whole.output_tokens:,} written"
    told += f", at most {usd:,.4f} USD." if usd is not None else "; no price is declared."
    subject = f"{role} {endpoint.model}"
    details = dict(_details(whole, usd))
    over = [part for part in (asked.usd(endpoint), taught.usd(endpoint)) if part and endpoint.budget_usd and part > endpoint.budget_usd]
    if over and endpoint.budget_usd is not None:
        return _over(subject, told, endpoint.budget_usd, details)
    return passing("evidence", _PLAN, subject, told, looked_for={"requests": whole.requests}, source=RULES[_PLAN].source, **details)


def _details(whole: Estimate, usd: float | None) -> Iterator[tuple[str, Any]]:
    yield from (("requests", whole.requests), ("input_tokens", whole.input_tokens), ("output_tokens", whole.output_tokens), ("usd", usd))
