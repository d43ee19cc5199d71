"""What an endpoint answered, re-read from the bundle: is it what the evidence names, and do the scores follow from it?"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.digest import digest_file, digest_json
from kdgov.evidence.bundle_layout import ITEMS, PAIR, RAW_ANSWERS, of_role
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.items import read_items
from kdgov.quantities import quantity

Line = Mapping[str, Any]
Key = tuple[str, str, str, str]
"""Suite, task, item and metric."""
Said = tuple[float, str]
"""A score, and the answer that stands beside it."""


def review_answers(bundle: BundleReader) -> Iterator[AuditFinding]:
    """Whether the raw answers of a bundle are those its evidence names; nothing where no endpoint was asked."""
    for role in PAIR:
        seen = bundle.evaluations[role].get("endpoint")
        if not isinstance(seen, Mapping):
            continue
        subject = of_role(role, RAW_ANSWERS)
        path = bundle.folder / subject
        if not path.is_file():
            mend = "Evaluate again; the answers belong to the evidence."
            yield violated("evidence", subject, "An endpoint answered, and its answers are not in the bundle.", mend=mend)
            continue
        digest = digest_file(path)
        if digest != seen.get("answers"):
            mend = "Do not rely on them: the evidence names other answers."
            yield violated("evidence", subject, "The raw answers are not those the evaluation names.", mend=mend, digest=digest)
            continue
        yield _as_observed(subject, read_lines(bundle, role), seen, digest)


def read_lines(bundle: BundleReader, role: str) -> list[Line]:
    """Raw answers of a role, line by line; a line that is none is left out."""
    found: list[Line] = []
    for row in (bundle.folder / of_role(role, RAW_ANSWERS)).read_bytes().splitlines():
        try:
            value = json.loads(row)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _as_observed(subject: str, lines: Sequence[Line], seen: Mapping[str, Any], digest: str) -> AuditFinding:
    kept = [line for line in lines if isinstance(line.get("answer"), Mapping)]
    changed = [line for line in kept if digest_json(line["answer"]) != line.get("digest")]
    if changed:
        where = f"{changed[0].get('suite')}/{changed[0].get('task')}/{changed[0].get('item_id')}"
        return violated("evidence", subject, f"{len(changed)} answers lack their own digest, such as that of {where}.", digest=digest)
    names = Counter(str(line["answer"].get("model") or "") for line in kept)
    if len(kept) == len(lines) and dict(names) != dict(seen.get("answered") or {}):
        return violated("evidence", subject, f"The answers name {dict(names)}, the evidence {seen.get('answered')}.", digest=digest)
    hidden = f"; of {len(lines) - len(kept)} of personal tasks the digests alone" if len(kept) < len(lines) else ""
    told = f"{quantity(len(kept), 'raw answer')}, each with its own digest, from {', '.join(names) or 'nobody'}{hidden}."
    return verified("evidence", subject, told, digest=digest)


def scores_again(bundle: BundleReader, role: str, plan: Any) -> Iterator[AuditFinding]:
    """Every score of a role that follows from its raw answers, computed again by the suites at hand and compared.

    Args:
        bundle: the evidence.
        role: whose answers.
        plan: the sealed plan's tasks, built again, with items of the sealed leaves alone.
    """
    recorded = _scores(bundle, role)
    lines = [line for line in read_lines(bundle, role) if not line.get("again")]
    for task in plan.tasks:
        subject = f"{role} {task.name}"
        if (why := _cannot(task, lines)) is not None:
            yield unverifiable("replay", subject, why)
            continue
        if gone := _unanswered(task, lines):
            told = f"The raw answers lack {len(gone)} of {len(task.items)} items that were scored, such as {gone[0]}."
            yield violated("replay", subject, told, mend="Evaluate again; the answers belong to the evidence.")
            continue
        fresh = _scored(bundle, role, task, lines)
        odd = [key for key, score in fresh.items() if not _same(recorded.get(key), score)]
        odd += [key for key in recorded if key[:2] == (task.suite, task.task) and key not in fresh and key[2] in _names(task)]
        if odd:
            told = f"{len(odd)} of {len(fresh)} scores do not follow from the raw answers, such as {'/'.join(odd[0][2:])}."
            yield violated("replay", subject, told, mend="The recorded scores are not those of these answers.")
        else:
            told = f"Judged again from the raw answers: {quantity(len(fresh), 'score')}, each as recorded."
            yield verified("replay", subject, told, digest=task.root)


def _cannot(task: Any, lines: Sequence[Line]) -> str | None:
    own = [line for line in lines if (line.get("suite"), line.get("task")) == (task.suite, task.task)]
    if any(line.get("answer") is None for line in own):
        return "Its answers are personal: the bundle holds their digests alone."
    if task.scorer.compares:
        return "It compares with the teacher's answers, which are judged with the student's."
    judges = {metric.judge for metric in task.scorer.declared.metrics if metric.judge}
    kinds = {task.scorer.suite.judges[name].kind for name in judges if name in task.scorer.suite.judges}
    if asked := kinds & {"openai", "classifier"}:
        return f"It is judged by a {asked.pop()}, which is not asked again."
    return None


def _unanswered(task: Any, lines: Sequence[Line]) -> list[str]:
    there = {
        (line.get("item_id"), line.get("request")) for line in lines if (line.get("suite"), line.get("task")) == (task.suite, task.task)
    }
    return [item.item_id for item in task.items if any((item.item_id, number) not in there for number in range(len(item.requests)))]


def _scored(bundle: BundleReader, role: str, task: Any, lines: Sequence[Line]) -> dict[Key, Said]:
    from kdgov.declarations.endpoint_declaration import Endpoint  # noqa: PLC0415 - only where answers are judged again
    from kdgov.declarations.release_parts.evaluation_settings import Reasoning  # noqa: PLC0415
    from kdgov.endpoints.reply import reply_of  # noqa: PLC0415
    from kdgov.evaluation.backends.chat_endpoint import answer_text  # noqa: PLC0415

    seen = bundle.evaluations[role]["endpoint"]
    said = (seen.get("thoughts") or {}).get("reasoning")
    reasoning = Reasoning.model_validate(said) if said else None
    endpoint = Endpoint(base_url=str(seen["address"]), model=str(seen["asked"]), terms=str(seen["terms"]), api=seen.get("api", "chat"))
    own = {(line["item_id"], line["request"]): line["answer"] for line in lines if (line["suite"], line["task"]) == (task.suite, task.task)}
    answers = {
        item.item_id: [
            answer_text(reply_of(own[item.item_id, number], endpoint), request.generation, reasoning)
            for number, request in enumerate(item.requests)
        ]
        for item in task.items
    }
    scored, _ = task.scorer.score(task.items, answers)
    return {(task.suite, task.task, one.item_id, one.metric): (float(one.score), str(one.prediction or "")) for one in scored.scores}


def _names(task: Any) -> set[str]:
    return {item.item_id for item in task.items}


def _scores(bundle: BundleReader, role: str) -> dict[Key, Said]:
    rows = read_items(bundle.folder / of_role(role, ITEMS)).to_rows()
    return {
        (row["suite"], row["task"], row["item_id"], row["metric"]): (float(row["score"]), str(row.get("prediction") or "")) for row in rows
    }


def _same(old: Said | None, new: Said) -> bool:
    # What people read beside the score is part of it: an answer that was exchanged for an equally wrong one is another answer.
    return old is not None and old[1] == new[1] and math.isclose(old[0], new[0], rel_tol=1e-9, abs_tol=1e-9)
