"""One task asked of a model that is no language model: batch after batch, going on where an earlier run stopped, and some items twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kdgov.evaluation.backends.asked_twice import AGAIN_ITEMS
from kdgov.evaluation.backends.response_log import Answered, AnswerLog, Record
from kdgov.evaluation.plan.item_data import draw
from kdgov.evaluation.plan.request import PlannedTask

Said = tuple[Any, str, bool]
"""An answer, the digest of what entered the model, and whether the input was cut."""


def asked_in_batches(
    task: PlannedTask,
    log: AnswerLog,
    batches: Sequence[Sequence[int]],
    ask: Callable[[Sequence[int]], Sequence[Said]],
    *,
    mark: str,
    progress: Any = None,
) -> Record:
    """The record of one task.

    Args:
        task: what is asked.
        log: where its answers are collected.
        batches: numbers of requests, asked together.
        ask: what is said to the requests of a batch; not called for batches that an earlier run reached.
        mark: letter before a batch's number in the log.
        progress: called with (name, done, total).
    """
    reached = log.reached()
    with log.appending() as stream:
        for number, batch in enumerate(batches):
            if (name := f"{mark}{number}") not in reached:
                said = ask(batch)
                reached[name] = [Answered(index=i, answer=a, delivered=d, is_truncated=c) for i, (a, d, c) in zip(batch, said, strict=True)]
                log.append(stream, name, reached[name])
            if progress is not None:
                progress(task.name, number + 1, len(batches))
    return log.seal({a.index: a for n in range(len(batches)) for a in reached[f"{mark}{n}"]})


def asked_again_in_batches(task: PlannedTask, ask: Callable[[Sequence[str]], Sequence[Said]], *, size: int) -> dict[str, list[Any]]:
    """Some items, drawn by hash, asked a second time in batches of another size: item → its answers."""
    chosen = [task.items[n] for n in draw([item.item_id for item in task.items], limit=AGAIN_ITEMS, seed=1)]
    asked = [(item.item_id, request.context) for item in chosen for request in item.requests]
    found: dict[str, list[Any]] = {}
    for start in range(0, len(asked), size):
        part = asked[start : start + size]
        for (name, _), (said, _, _) in zip(part, ask([text for _, text in part]), strict=True):
            found.setdefault(name, []).append(said)
    return found
