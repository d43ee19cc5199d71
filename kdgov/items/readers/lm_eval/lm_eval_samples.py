"""Records of lm_eval's sample logs, whatever version wrote them, in one form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.items.formats.source import Source

_RECORD_KEYS = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash"}
)
_TEXT_CHARACTERS = 4000
_SHARES = ("acc", "exact_match", "em", "mc1", "f1_agreement", "mcc_agreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One document under one filter."""

    item_id: str
    """The document's number."""
    filter: str
    """The filter's name; ``none`` or empty where there is but one without a name."""
    metrics: Mapping[str, Any]
    """Metric → what was logged for the document."""
    prompt_digest: str | None
    """Digest of all requests, context and continuation or generation arguments."""
    item_digest: str | None
    """The harness's own digest of the document."""
    document: str
    """Text that two runs share where they asked the same document for the same target, in whatever wording; empty: not known."""
    choices: int
    """Number of continuations to choose from; 0 for anything else."""
    target: str
    """The reference."""
    answer: str
    """What the model answered."""
    text: str
    """The end of the prompt."""


def samples_of(source: Source, filters: Sequence[str]) -> list[Sample]:
    """The samples of one file, each with its filter.

    Args:
        source: the file.
        filters: names of the task's filters in the order in which they ran, where known.

    Raises:
        InputError: if a record is not lm_eval's, a document stands twice under one filter, or filters cannot be told apart.
    """
    found, stated = [], False
    for number, record in source.records():
        where = f"{source}, line {number}"
        if "doc_id" not in record:
            raise InputError("has no doc_id", where=where, mend="This is not a record of `lm_eval --log_samples`.")
        stated = stated or "filter" in record
        found.append(_sample(record))
    if not found:
        raise InputError("holds no rows", where=str(source), mend="The evaluation that should have written it failed; run it again.")
    samples = found if stated else _named_blocks(found, source, filters)
    seen: set[tuple[str, str]] = set()
    for sample in samples:
        if (key := (sample.item_id, sample.filter)) in seen:
            what = f"the document {sample.item_id} stands twice" + (f" under the filter {sample.filter}" if sample.filter else "")
            raise InputError(what, where=str(source), mend="Two runs were joined, or a line was copied: use the log of one run.")
        seen.add(key)
    return samples


def chances(metric: str, choices: int) -> float | None:
    """What a model that knows nothing scores on an item with so many choices; None where that is not known."""
    if choices < 2:
        return None
    if metric == "brier_score":
        return 1.0 - 1.0 / choices
    name = metric.split(",")[0]
    return 1.0 / choices if name in _SHARES or (name.startswith("acc") and name != "acc_all") else None


def paragraph_question(value: Any) -> str:
    """Name of the question that an ``acc_all`` value ``[prediction, document]`` belongs to; empty where it is no such value."""
    if not (isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[1], dict)):
        return ""
    index = value[1].get("idx")
    return f"{index.get('paragraph')}/{index.get('question')}" if isinstance(index, dict) else ""


def _named_blocks(samples: list[Sample], source: Source, filters: Sequence[str]) -> list[Sample]:
    """Samples without the key ``filter``, as lm_eval wrote them before 0.4.6: one block per filter, in the filters' order."""
    order = list(dict.fromkeys(sample.item_id for sample in samples))
    blocks = len(samples) // len(order)
    if blocks <= 1:
        return [replace(s, filter=filters[0]) for s in samples] if len(filters) == 1 else samples
    if len(filters) != blocks or [s.item_id for s in samples] != order * blocks:
        known = f"; the task has the filters {', '.join(filters)}" if filters else ""
        raise InputError(
            f"holds {len(samples):,} rows for {len(order):,} documents, and no row names its filter: lm_eval before 0.4.6{known}",
            where=str(source),
            mend="Put the run's results_*.json beside it, which lists the filters in order; or log again with 0.4.6 or later.",
        )
    return [replace(sample, filter=filters[n // len(order)]) for n, sample in enumerate(samples)]


def _sample(record: Mapping[str, Any]) -> Sample:
    names = record.get("metrics")
    metrics = names if isinstance(names, list) else [key for key in record if key not in _RECORD_KEYS]
    requests = _requests(record.get("arguments"))
    return Sample(
        item_id=str(record["doc_id"]),
        filter=str(record.get("filter") or ""),
        metrics={str(name): record.get(name) for name in metrics if isinstance(name, str)},
        prompt_digest=_prompt_digest(record, requests),
        item_digest=f"sha256:{record['doc_hash']}" if isinstance(record.get("doc_hash"), str) else None,
        document=_document(record, requests),
        choices=_choices(requests),
        target=str(record.get("target", "")),
        answer=_answer(record.get("filtered_resps")),
        text=str(requests[0][0])[-_TEXT_CHARACTERS:] if requests and requests[0] else "",
    )


def _requests(arguments: Any) -> list[list[Any]]:
    """The requests of a document as lists of their parts; versions write lists or objects ``gen_args_0: {arg_0: …}``."""
    entries: Iterable[Any] = arguments.values() if isinstance(arguments, dict) else arguments if isinstance(arguments, list) else ()
    return [list(e.values()) if isinstance(e, dict) else list(e) if isinstance(e, (list, tuple)) else [e] for e in entries]


def _prompt_digest(record: Mapping[str, Any], requests: Sequence[Sequence[Any]]) -> str | None:
    if requests:
        return digest_bytes(json.dumps(requests, sort_keys=True, ensure_ascii=False).encode())
    stated = record.get("prompt_hash")
    return f"sha256:{stated}" if isinstance(stated, str) else None


def _document(record: Mapping[str, Any], requests: Sequence[Sequence[Any]]) -> str:
    if not (isinstance(record.get("doc_hash"), str) and isinstance(record.get("target_hash"), str)):
        return ""
    # A chat template moves the blank before a continuation into the prompt.
    rest = [[p.strip() if isinstance(p, str) else p for p in request[1:]] for request in requests]
    return json.dumps([record["doc_id"], record["doc_hash"], record["target_hash"], rest], sort_keys=True)


def _choices(requests: Sequence[Sequence[Any]]) -> int:
    if len(requests) < 2 or not all(len(r) >= 2 and isinstance(r[1], str) for r in requests):
        return 0
    # `acc_mutual_info` asks every choice a second time without its context.
    return sum(bool(r[0]) for r in requests) or len(requests)


def _answer(responses: Any) -> str:
    first = responses[0] if isinstance(responses, list) and len(responses) == 1 else responses
    return first if isinstance(first, str) else json.dumps(first, ensure_ascii=False)
