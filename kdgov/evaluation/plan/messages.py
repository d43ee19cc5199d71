"""A plan for models that can only be asked in messages: every question as messages, and what such a model cannot answer left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdgov.evaluation.plan.request import CHAT, Plan, PlannedItem, PlannedTask, Request, chat_context, frozen_item, messages_of

_NEEDS = {
    "loglikelihood": "log-probabilities of given texts",
    "rolling": "log-probabilities of whole texts",
    "next_token": "the distribution of the next token",
    "classify": "a classifier's weights",
    "transcribe": "a speech model's weights",
    "retrieve": "an encoder's vectors",
    "tag": "an encoder's tags",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """One task that a model without weights cannot answer."""

    task: str
    """``suite/task``."""
    needs: str
    """What it needs that an endpoint does not give."""
    items: int
    """Items it has."""
    metrics: tuple[str, ...]
    """Metrics that are therefore not measured."""


def answerable(plan: Plan) -> tuple[Plan, tuple[NotApplicable, ...]]:
    """The tasks that are answered in text, every question as messages; and the others, by name.

    A question in plain text becomes one message of the user. The text itself is frozen beside it: a model whose tokenizer has no chat
    template is shown that.
    """
    kept, left = [], []
    for task in plan.tasks:
        if (needs := _needs(task)) is None:
            kept.append(_in_messages(task))
        else:
            metrics = tuple(str(m["metric"]) for m in task.metrics)
            left.append(NotApplicable(task=task.name, needs=needs, items=len(task.items), metrics=metrics))
    return plan.part(kept), tuple(left)


def _needs(task: PlannedTask) -> str | None:
    for item in task.items:
        for request in item.requests:
            if request.kind in _NEEDS:
                return _NEEDS[request.kind]
            if request.context.startswith(CHAT) and messages_of(request.context)[-1].get("role") == "assistant":
                return "an answer that continues the assistant's own first words"
    return None


def _in_messages(task: PlannedTask) -> PlannedTask:
    items = tuple(_item(item) for item in task.items)
    return replace(task, items=items, settings={**task.settings, "chat": True})


def _item(item: PlannedItem) -> PlannedItem:
    if all(request.context.startswith(CHAT) for request in item.requests):
        return item
    asked = tuple(_request(request) for request in item.requests)
    return frozen_item(item_id=item.item_id, doc=item.doc, requests=asked, cluster=item.cluster, group=item.group)


def _request(request: Request) -> Request:
    if request.context.startswith(CHAT):
        return request
    return replace(request, context=chat_context([{"role": "user", "content": request.context}], plain=request.context))
