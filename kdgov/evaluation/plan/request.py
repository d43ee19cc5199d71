"""What both models are asked, frozen before either is loaded: requests, items, tasks and the plan they make up.

Standard library only: a plan can be compared, stored and proven without a model, lm-eval or torch in the process.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from kdgov.digest import canonical_json, digest_json, merkle_root
from kdgov.items.text_digest import hidden_name

FEW = 5
"""Items below which a value of a group attribute is one person's rather than a group's."""

_LIKE_A_NAME = re.compile(r"@|\d[\d ()/.-]{3,}\d|[^\W\d_a-z][\w'’-]+\s+[^\W\d_a-z][\w'’-]+")
"""An address, a long number, or two words with capitals."""

RequestKind = Literal["loglikelihood", "rolling", "generate", "classify", "next_token", "transcribe", "retrieve", "tag"]
CHAT = "\x00chat:"
"""Marks a context that holds canonical JSON of messages: every model renders it through its own template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a model."""

    kind: RequestKind
    """What is asked for: log-likelihood of a continuation, of a whole text, an answer, a class, the next token, a transcript."""
    context: str
    """Text (or marked messages) the model is shown."""
    continuation: str = ""
    """Text whose log-likelihood is asked for."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """Settings of an answer: ``until``, ``max_gen_toks``, ``do_sample``, ``temperature`` …"""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary that the digests are taken of."""
        return {"kind": self.kind, "context": self.context, "continuation": self.continuation, "generation": dict(self.generation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """One item of a task with every request it makes."""

    item_id: str
    """Name, unique within the task."""
    doc: Mapping[str, Any]
    """The source item."""
    requests: tuple[Request, ...]
    """What is asked, in order."""
    cluster: str
    """Items that share it are not independent of each other."""
    group: Mapping[str, str]
    """Attribute → value."""
    item_digest: str
    """Digest of the source item."""
    prompt_digest: str
    """Digest of the requests, before any model's template."""

    @property
    def leaf(self) -> str:
        """Digest of all that identifies the item: what the task's root is built over."""
        return digest_json(
            {
                "item": self.item_id,
                "doc": self.item_digest,
                "prompt": self.prompt_digest,
                "cluster": self.cluster,
                "group": dict(self.group),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One frozen task."""

    suite: str
    """Suite name."""
    task: str
    """Task name in the item table."""
    kind: str
    """How it is asked and scored."""
    items: tuple[PlannedItem, ...]
    """Its items, in the order of their names."""
    settings: Mapping[str, Any]
    """All else that decides the numbers: few-shot count and seed, filters, metric code, judges, data digests, versions."""
    metrics: tuple[Mapping[str, Any], ...]
    """Metric declarations, as the suite states them."""
    of_whole: int
    """Items of the whole set, before ``limit`` drew from it."""
    of_suite: int = 0
    """Items that the suite itself would ask, with the ``limit`` it declares; 0 where nobody says."""
    scorer: Any = field(default=None, compare=False, repr=False)
    """Turns an item's answers into rows; in memory only."""

    @property
    def name(self) -> str:
        """``suite/task``."""
        return f"{self.suite}/{self.task}"

    @property
    def in_part(self) -> dict[str, int]:
        """How many items the suite would have had asked, where fewer were; empty where all were."""
        return {"of_suite": self.of_suite} if self.of_suite > len(self.items) else {}

    @property
    def root(self) -> str:
        """Merkle root over the items and the settings: equal roots mean equal questions asked and scored alike."""
        return merkle_root([*(item.leaf for item in self.items), digest_json({"settings": dict(self.settings)})])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroup:
    """One metric that a group averages over its tasks."""

    suite: str
    """Suite name."""
    group: str
    """Name of the group in policies and reports."""
    alias: str
    """Name for people; empty where it has none."""
    metric: str
    """Metric of the tasks."""
    tasks: tuple[str, ...]
    """Tasks that are averaged; one that is named twice counts twice."""
    weighted: bool
    """Whether every item counts alike; else every task does."""
    of_numbers: bool = False
    """Whether it is a mean of the tasks' own numbers, such as perplexities, which are no means over items: shown, and not judged."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary, with lists."""
        found = {**asdict(self), "tasks": list(self.tasks)}
        return found if self.of_numbers else {name: value for name, value in found.items() if name != "of_numbers"}

    def holds(self, names: Sequence[str]) -> bool:
        """Whether every one of its tasks is among these names, ``suite/task``."""
        return {f"{self.suite}/{task}" for task in self.tasks} <= {*names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything both models will be asked."""

    tasks: tuple[PlannedTask, ...]
    """Frozen tasks, sorted by suite and task."""
    groups: tuple[PlannedGroup, ...] = ()
    """What groups average over their tasks."""

    @property
    def root(self) -> str:
        """Merkle root over the tasks' roots and the definitions of groups."""
        tasks = [digest_json({"task": t.name, "root": t.root}) for t in self.tasks]
        return merkle_root([*tasks, *(digest_json(group.as_json()) for group in self.groups)])

    def part(self, tasks: Sequence[PlannedTask]) -> Plan:
        """A plan of some tasks, with the groups that still are whole."""
        names = [task.name for task in tasks]
        return Plan(tasks=tuple(tasks), groups=tuple(group for group in self.groups if group.holds(names)))

    def as_json(self, *, with_items: bool = True) -> dict[str, Any]:
        """The plan as a document: roots and, per item, its digests; never the items' text, which may be licensed."""
        return {
            "schema": "kdgov.plan/1",
            "root": self.root,
            "tasks": [_task_json(t, with_items=with_items) for t in self.tasks],
            **({"groups": [group.as_json() for group in self.groups]} if self.groups else {}),
        }


def _task_json(task: PlannedTask, *, with_items: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "suite": task.suite,
        "task": task.task,
        "kind": task.kind,
        "root": task.root,
        "items": len(task.items),
        "of_whole": task.of_whole,
        **task.in_part,
        "requests": sum(len(i.requests) for i in task.items),
        "settings": dict(task.settings),
        "metrics": [dict(m) for m in task.metrics],
    }
    if with_items:
        document["leaves"] = {i.item_id: i.leaf for i in task.items}
    return document


def frozen_item(
    *,
    item_id: str,
    doc: Mapping[str, Any],
    requests: tuple[Request, ...],
    cluster: str,
    group: Mapping[str, str],
) -> PlannedItem:
    """An item with its digests computed."""
    return PlannedItem(
        item_id=item_id,
        doc=doc,
        requests=requests,
        cluster=cluster,
        group=group,
        item_digest=digest_json(jsonable(doc)),
        prompt_digest=digest_json([r.as_json() for r in requests]),
    )


def chat_context(messages: Sequence[Mapping[str, Any]], *, plain: str | None = None, tools: Sequence[Any] = ()) -> str:
    """A frozen context of messages, after which the model answers.

    Args:
        messages: role and content of each.
        plain: the same as one text, for a model whose tokenizer has no chat template; None: such a model is refused.
        tools: tools that are offered, as OpenAI lists them.
    """
    said: dict[str, Any] = {"messages": [dict(m) for m in messages], "add_generation_prompt": True}
    if tools:
        said["tools"] = list(tools)
    return CHAT + canonical_json(said if plain is None else {**said, "plain": plain}).decode()


def messages_of(context: str) -> list[dict[str, Any]]:
    """The messages of a frozen context; a plain text is one message of the user."""
    if not context.startswith(CHAT):
        return [{"role": "user", "content": context}]
    return list(json.loads(context.removeprefix(CHAT))["messages"])


def tools_of(context: str) -> list[Any]:
    """Tools that a frozen context offers."""
    return list(json.loads(context.removeprefix(CHAT)).get("tools", ())) if context.startswith(CHAT) else []


def shown_text(context: str) -> str:
    """A frozen context as a person reads it: the text itself, or what the messages say, one a line."""
    if not context.startswith(CHAT):
        return context
    said = messages_of(context)
    return str(said[0].get("content")) if len(said) == 1 else "\n".join(f"{m.get('role')}: {m.get('content')}" for m in said)


def jsonable(value: Any) -> Any:
    """A value as canonical JSON can hold it: NaN, dates, bytes and numpy scalars become text with their type's name."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value == value and value not in (float("inf"), float("-inf")) else f"float:{value}"
        case Mapping():
            return {str(k): jsonable(v) for k, v in value.items()}
        case list() | tuple():
            return [jsonable(v) for v in value]
        case _ if hasattr(value, "item") and getattr(value, "shape", None) == ():
            return jsonable(value.item())
        case _ if hasattr(value, "tolist"):
            return jsonable(value.tolist())
        case _:
            return f"{type(value).__name__}:{value}"


def hidden_names(items: Sequence[PlannedItem]) -> list[PlannedItem]:
    """The items under names that say nothing; values of attributes stay where `FEW` items share them and they do not read like a name."""
    shared = Counter((name, value) for item in items for name, value in item.group.items())

    def is_shared(name: str, value: str) -> bool:
        return shared[name, value] >= FEW and not _LIKE_A_NAME.search(value)

    return [
        replace(
            item,
            item_id=hidden_name(item.item_id),
            cluster="/".join(hidden_name(part) for part in item.cluster.split("/")),
            group={name: value if is_shared(name, value) else hidden_name(value) for name, value in item.group.items()},
        )
        for item in items
    ]
