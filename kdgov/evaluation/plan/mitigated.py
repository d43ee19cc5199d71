"""A plan under the mitigations of a release: the system prompt stands in every written question, guards and filters withhold answers.

Both models are asked and scored alike: what is compared is the system that users meet, and the plan's roots name every part of it.
Log-likelihoods are measured without them: no user reads those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdgov.declarations.load import resolve
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.digest import digest_bytes, digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import CHAT, Plan, PlannedItem, PlannedTask, Request, chat_context, frozen_item, messages_of, shown_text
from kdgov.evaluation.scoring.guards.guard_forms import FOREIGN_WORDS
from kdgov.evaluation.scoring.judges import guard_asked_with
from kdgov.time_limit import TimeLimitError, time_limit

Harmful = Callable[[Sequence[tuple[str, str]]], Sequence[bool | None]]
"""Prompts and answers → whether a guard calls them harmful; None where it could not tell."""
_MOST_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Withholding:
    """One guard or filter."""

    says: str
    """What stands in place of a withheld answer."""
    identity: Mapping[str, Any]
    """What decides it, for the plan's root."""
    guard: JudgeInSuite | None = None
    """A guard model."""
    asked_with: str = ""
    """Whose words the guard is asked in."""
    beside: Path = field(default_factory=Path)
    """File that the guard's place is relative to."""
    patterns: tuple[str, ...] = ()
    """What a filter looks for."""


def system_prompt_of(mitigations: Sequence[Mitigation], path: Path) -> str:
    """The system prompt of a release, several joined in order; empty where it declares none.

    Raises:
        InputError: if a file cannot be read or says nothing.
    """
    texts = []
    for one in mitigations:
        if one.kind == "system_prompt":
            try:
                texts.append((one.text or "") if one.file is None else resolve(one.file, beside=path).read_text(encoding="utf-8").strip())
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"mitigations: the system prompt {one.file!r} cannot be read", where=str(path), mend="Correct the path; text is UTF-8."
                ) from error
            if not texts[-1].strip():
                raise InputError(
                    f"mitigations: the system prompt {one.file or ''!r} is blank",
                    where=str(path),
                    mend="Write the prompt, or leave it out.",
                )
    return "\n\n".join(texts)


def withholdings_of(mitigations: Sequence[Mitigation], path: Path, identity: Callable[[JudgeInSuite, Path], str]) -> list[Withholding]:
    """Guards and filters of a release, in their order; ``identity`` names a guard by its weights."""
    found = []
    for one in mitigations:
        if one.kind == "guard_model":
            guard = JudgeInSuite(kind="guard", form=one.form or "llama_guard", model=one.model, prompt=one.prompt)
            named = {"guard": identity(guard, path), "says": one.says}
            words = guard_asked_with(guard, path)
            found.append(Withholding(says=one.says, identity=named, guard=guard, asked_with=words, beside=path))
        if one.kind == "output_filter":
            found.append(Withholding(says=one.says, identity={"patterns": one.patterns, "says": one.says}, patterns=tuple(one.patterns)))
    return found


def mitigated(plan: Plan, system: str, withheld: Sequence[Withholding]) -> Plan:
    """The plan with the system prompt in every written question, and guards and filters in every such task's settings and scorer."""
    if not system and not withheld:
        return plan
    return replace(plan, tasks=tuple(_task(task, system, withheld) for task in plan.tasks))


def _task(task: PlannedTask, system: str, withheld: Sequence[Withholding]) -> PlannedTask:
    if not all(request.kind == "generate" for item in task.items for request in item.requests):
        return task
    named = digest_json([dict(one.identity) for one in withheld])
    facts: dict[str, Any] = {"system_prompt": digest_bytes(system.encode()), "withheld": named}
    if foreign := sorted({one.asked_with for one in withheld if one.asked_with in FOREIGN_WORDS}):
        # Named only where there are any: the finding `evidence.judge-wording` reads it.
        facts["guards_asked_with"] = foreign
    items = tuple(_item(item, system) for item in task.items) if system else task.items
    return replace(
        task, items=items, settings={**task.settings, "mitigations": facts}, scorer=replace(task.scorer, withheld=tuple(withheld))
    )


def _item(item: PlannedItem, system: str) -> PlannedItem:
    asked = tuple(_request(request, system) for request in item.requests)
    return frozen_item(item_id=item.item_id, doc=item.doc, requests=asked, cluster=item.cluster, group=item.group)


def _request(request: Request, system: str) -> Request:
    if not request.context.startswith(CHAT):
        return replace(request, context=f"{system}\n\n{request.context}")
    messages = messages_of(request.context)
    own = str(messages[0]["content"]) if messages[0].get("role") == "system" else ""
    turns = messages[1:] if own else messages
    said = [{"role": "system", "content": "\n\n".join(filter(None, (system, own)))}, *turns]
    return replace(request, context=chat_context(said, plain="\n\n".join(str(m["content"]) for m in said)))


def shown_answers(
    items: Sequence[PlannedItem],
    answers: Mapping[str, Sequence[Any]],
    withheld: Sequence[Withholding],
    harmful: Callable[[Withholding], Harmful],
) -> dict[str, Sequence[Any]]:
    """Answers as users read them: what a guard calls harmful or a filter finds is replaced, one withholding after the other.

    Where a guard could not tell, nobody knows what a user would have read: the answer is missing (None).

    Raises:
        InputError: if a pattern takes too long.
    """
    shown = {item.item_id: list(answers[item.item_id]) for item in items}
    for one in withheld:
        places = [(item, number) for item in items for number, said in enumerate(shown[item.item_id]) if isinstance(said, str)]
        pairs = [(shown_text(item.requests[number].context), shown[item.item_id][number]) for item, number in places]
        stopped: Sequence[bool | None] = (
            harmful(one)(pairs) if one.guard is not None else _found(one.patterns, [answer for _, answer in pairs])
        )
        for (item, number), stops in zip(places, stopped, strict=True):
            if stops is not False:
                shown[item.item_id][number] = None if stops is None else one.says
    return {**answers, **shown}


def _found(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
    compiled = [re.compile(pattern) for pattern in patterns]
    try:
        with time_limit(_MOST_S):
            return [any(pattern.search(text) for pattern in compiled) for text in texts]
    except TimeLimitError as error:
        raise InputError(f"mitigations: the patterns of an output filter {error}", mend="Write them without nested repetition.") from error
