"""What was observed of an endpoint while it was asked: who answered, when, at what cost, how steadily; and its answers, for the bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.evaluation_settings import Reasoning
from kdgov.digest import canonical_json, digest_bytes, digest_json
from kdgov.endpoints.reply import WITHHELD, Reply
from kdgov.evaluation.backends.chat_endpoint import EndpointTask, changed_again, parsed
from kdgov.evaluation.backends.raw_answers import RawAnswer
from kdgov.evaluation.scoring.thoughts import split_thoughts

_NAMED = 10


def endpoint_evidence(tasks: Sequence[EndpointTask], endpoint: Endpoint, reasoning: Reasoning | None) -> dict[str, Any]:
    """The block ``endpoint`` of an evaluation's evidence."""
    kept = [line for one in tasks for line in (*one.raw.received().values(), *one.raw.again().values())]
    replies = [parsed(line, endpoint) for line in kept]
    days = sorted({line.day for line in kept})
    again = list(changed_again(tasks, endpoint, reasoning))
    changed = [name for name, is_changed in again if is_changed]
    thoughts = [split_thoughts(reply.text, reasoning) for reply in replies]
    return {
        "address": endpoint.address,
        "asked": endpoint.model,
        "api": endpoint.api,
        "terms": endpoint.terms,
        **({"extra": digest_json(endpoint.extra_body)} if endpoint.extra_body else {}),
        "answered": dict(sorted(Counter(reply.model for reply in replies).items())),
        "fingerprints": dict(sorted(Counter(reply.fingerprint for reply in replies).items())),
        "first_day": days[0] if days else "",
        "last_day": days[-1] if days else "",
        "answers": digest_bytes(answers_file(tasks)),
        "asked_again": len(again),
        "changed": len(changed),
        "changed_requests": changed[:_NAMED],
        "finish_reasons": dict(sorted(Counter(reply.finish_reason for reply in replies).items())),
        "thoughts": {
            "reasoning": None if reasoning is None else reasoning.model_dump(),
            "with": sum(bool(split.thoughts or reply.reasoning) for split, reply in zip(thoughts, replies, strict=True)),
            "unfinished": sum(split.is_open or _ran_out(reply) for split, reply in zip(thoughts, replies, strict=True)),
        },
        "withheld": sum(reply.finish_reason == WITHHELD for reply in replies),
        "empty": sum(_says_nothing(reply) and reply.finish_reason != WITHHELD and not _ran_out(reply) for reply in replies),
        "usage": {**_usage(kept), "is_priced": endpoint.price is not None},
    }


def _says_nothing(reply: Reply) -> bool:
    return not reply.text.strip() and not reply.tool_calls


def _ran_out(reply: Reply) -> bool:
    """Whether the longest answer was used up before anything was said: by thoughts that came apart, or that nobody shows."""
    return _says_nothing(reply) and reply.finish_reason == "length"


def _usage(kept: Sequence[RawAnswer]) -> dict[str, Any]:
    return {
        "answers": len(kept),
        "requests": sum(line.tries for line in kept),
        "input_tokens": sum(line.input_tokens for line in kept),
        "output_tokens": sum(line.output_tokens for line in kept),
        "is_counted": all(line.is_counted for line in kept),
        "usd": round(sum(line.usd for line in kept), 6),
    }


def answers_file(tasks: Sequence[EndpointTask]) -> bytes:
    """Every answer as it came, one JSON line each; of personal tasks the digests alone."""
    return b"".join(canonical_json(row) + b"\n" for one in tasks for row in _rows(one))


def _rows(one: EndpointTask) -> Iterator[dict[str, Any]]:
    owner = [(item.item_id, number) for item in one.task.items for number in range(len(item.requests))]
    is_personal = one.task.scorer is not None and one.task.scorer.declared.sensitive == "personal"
    for is_again, answers in ((False, one.raw.received()), (True, one.raw.again())):
        for place, kept in sorted(answers.items()):
            item, number = owner[place]
            yield {
                "suite": one.task.suite,
                "task": one.task.task,
                "item_id": item,
                "request": number,
                "again": is_again,
                "day": kept.day,
                "digest": kept.digest,
                "answer": None if is_personal else dict(kept.answer),
            }
