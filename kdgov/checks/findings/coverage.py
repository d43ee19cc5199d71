"""Coverage: which share of the production inputs does the distillation data not cover, and what do those inputs look like?"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdgov.checks.findings.rules import Stances
from kdgov.checks.pii.redaction import masked
from kdgov.checks.scan.coverage_score import LEAST_TEXTS, MOST_DATA, Coverage, Covered
from kdgov.checks.scan.logged_inputs import LoggedInput
from kdgov.checks.scan.shards import Tally, read_rows
from kdgov.checks.scan.text_fields import Row
from kdgov.finding import Finding
from kdgov.passing_rules import passing

NAMED_CLUSTERS = 5
_ALIKE = 0.15
"""Cosine from which two uncovered inputs stand in one cluster."""
_EXAMPLE_LENGTH = 100
_DIVERSE_TOPICS = 10
_DIVERSE_SHARE = 0.4
_SUBJECT = "data ← production_inputs"
_WORD = re.compile(r"[^\W\d_]{4,}")
_NAME = re.compile(r"(?<=[\w,;] )(?:[A-ZÄÖÜ][\w'’-]+(?: |$)?){1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTexts:
    """What the data asks, ready to be compared with inputs."""

    texts: tuple[str, ...]
    """Distinct texts: prompts, or the openings of whole texts."""
    are_prompts: bool
    """Whether the rows say which part is the prompt."""
    media_rows: int
    """Rows without text: images and sounds, which are not compared."""


def data_texts(paths: Sequence[Path], inputs: Sequence[LoggedInput], *, size: int = MOST_DATA) -> DataTexts:
    """Distinct texts of the data, the same on every run: those whose digests are smallest.

    Prompts are compared with prompts. Where the rows do not tell prompts from answers, each text is cut to the length of an input.

    Raises:
        InputError: if a file cannot be read.
    """
    kept: dict[bool, list[tuple[int, str]]] = {True: [], False: []}
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    media = 0
    for path in paths:
        for row in read_rows(path, Tally()):
            found = list(_texts(row))
            media += not found
            for is_prompt, text in found:
                rank = _rank(text)
                if rank in seen[is_prompt]:
                    continue
                heap = kept[is_prompt]
                if len(heap) < size:
                    heapq.heappush(heap, (-rank, text))
                elif -rank > heap[0][0]:
                    seen[is_prompt].discard(-heapq.heapreplace(heap, (-rank, text))[0])
                else:
                    continue
                seen[is_prompt].add(rank)
    are_prompts = len(kept[True]) >= len(kept[False])
    texts = [text for _, text in sorted(kept[are_prompts], reverse=True)]
    return DataTexts(texts=tuple(texts if are_prompts else _openings(texts, inputs)), are_prompts=are_prompts, media_rows=media)


def _texts(row: Row) -> Iterator[tuple[bool, str]]:
    if row.value is None:
        # A plain text file is one long row: its lines are the examples.
        lines = (line for piece in row.pieces for line in piece.text[piece.own_from : piece.own_to].split("\n"))
        yield from ((False, line) for line in lines if line.strip())
        return
    asked = [piece.text for piece in row.pieces if piece.role == "prompt" and piece.text.strip()]
    if asked:
        yield True, asked[-1]
        return
    whole = [piece.text for piece in row.pieces if piece.field not in ("id", "item_id", "label", "path", "file", "image", "audio")]
    if text := "\n".join(part for part in whole if part.strip()):
        yield False, text


def _openings(texts: Sequence[str], inputs: Sequence[LoggedInput]) -> list[str]:
    lengths = [max(1, len(one.text.split())) for one in inputs] or [64]
    cut = (" ".join(text.split()[: lengths[_rank(text) % len(lengths)]]) for text in texts)
    return list(dict.fromkeys(cut))


def _rank(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def is_testable(data: DataTexts, inputs: Sequence[LoggedInput]) -> bool:
    """Whether there are enough distinct texts on both sides."""
    return min(len(data.texts), len(inputs)) >= LEAST_TEXTS


def coverage_findings(data: DataTexts, inputs: Sequence[LoggedInput], stances: Stances, *, hides_text: bool = False) -> list[Finding]:
    """Whether the data covers the production inputs, and which clusters of inputs it does not.

    Args:
        data: from `data_texts`.
        inputs: distinct inputs.
        stances: the policy's levels.
        hides_text: the log holds personal data: uncovered inputs are named by row and length, never by their words.
    """
    media = f" {data.media_rows} rows without text (images, sounds) were not compared." if data.media_rows else ""
    if not is_testable(data, inputs):
        reason = f"{len(data.texts)} texts of the data and {len(inputs)} inputs, each counted once: at least {LEAST_TEXTS} are needed."
        return [stances.finding("coverage.not-testable", _SUBJECT, f"Not looked for: {reason}{media}", mend="Add inputs or data.")]
    found = Coverage(data.texts).of([one.text for one in inputs])
    details: dict[str, Any] = {
        "uncovered_share": round(found.share, 4),
        "lower_99": round(found.lower, 4),
        "upper_99": round(found.upper, 4),
        "n_inputs": len(inputs),
        "n_data": len(data.texts),
        "compared": "prompts with prompts" if data.are_prompts else "inputs with openings of texts",
        "rows_not_compared": data.media_rows,
    }
    told = f"{found.share:.0%} of {len(inputs)} distinct inputs ({found.lower:.0%} to {found.upper:.0%}, 99 % bounds)"
    diverse = _diversity(found, stances)
    if found.lower <= 0:
        reason = f"No share of the production inputs is shown to be uncovered by the data: {told}."
        counted = {"inputs": len(inputs), "texts": len(data.texts)}
        left_out = [f"{data.media_rows} rows without text (images, sounds)" if data.media_rows else ""]
        covered = passing("coverage", "coverage.covered", _SUBJECT, reason, looked_for=counted, left_out=left_out, **details)
        return [covered, *diverse]
    clusters = _clusters(inputs, found, hides_text)
    named = "; ".join(f"{c['inputs']} like {c['example']}" for c in clusters)
    mend = "Distil on prompts of the kind the student will be asked, or gate the far inputs on their own (`where: {coverage: far}`)."
    reason = f"The data does not cover {told}. Uncovered, largest group first: {named}.{media}"
    details["clusters"] = clusters
    return [stances.finding("coverage.uncovered", _SUBJECT, reason, mend=mend, details=details), *diverse]


def _clusters(inputs: Sequence[LoggedInput], found: Covered, hides_text: bool) -> list[dict[str, object]]:
    """Groups of uncovered inputs that are alike, largest first, each with its commonest words and one masked example."""
    left = np.flatnonzero(found.is_far)
    likeness = (found.features[left] @ found.features[left].T).toarray() >= _ALIKE
    free = np.ones(len(left), dtype=bool)
    groups: list[dict[str, object]] = []
    while free.any() and len(groups) < NAMED_CLUSTERS:
        reach = (likeness & free[None, :]).sum(axis=1) * free
        centre = int(np.argmax(reach))
        members = np.flatnonzero(likeness[centre] & free)
        free[members] = False
        free[centre] = False
        own = [inputs[left[n]] for n in members] or [inputs[left[centre]]]
        groups.append(_cluster(inputs[left[centre]], own, hides_text))
    return groups


def _cluster(centre: LoggedInput, members: Sequence[LoggedInput], hides_text: bool) -> dict[str, object]:
    if hides_text:
        digest = hashlib.sha256(centre.text.encode()).hexdigest()[:16]
        return {"inputs": len(members), "row": centre.row, "example": f"row {centre.row} ({len(centre.text)} characters, {digest})"}
    counted: Counter[str] = Counter()
    for one in members:
        counted.update(set(_WORD.findall(shown(one.text).lower())))
    words = [word for word, times in counted.most_common(6) if times * 3 >= len(members)]
    return {"inputs": len(members), "row": centre.row, "words": words, "example": f"“{shown(centre.text)}”"}


def shown(text: str) -> str:
    """An input as a report may show it: one line, addresses, numbers and capitalised names masked, cut to a hundred characters."""
    line = _NAME.sub("[NAME] ", masked(" ".join(text.split())))
    return line if len(line) <= _EXAMPLE_LENGTH else line[:_EXAMPLE_LENGTH].rsplit(" ", 1)[0] + " …"


def _diversity(found: Covered, stances: Stances) -> list[Finding]:
    """Inputs of many topics beside data of few: a narrow student will be asked what it never learnt."""
    topics = _topics(found)
    if topics < _DIVERSE_TOPICS or found.share < _DIVERSE_SHARE:
        return []
    return [
        stances.finding(
            "practice.task-diversity",
            _SUBJECT,
            f"The inputs fall into {topics} or more topics, and the data covers few of them: a specialist is asked everything.",
            mend="Distil on the topics the student will serve, route the others elsewhere, or keep the teacher for them.",
            details={"topics": topics, "uncovered_share": round(found.share, 4)},
        )
    ]


def _topics(found: Covered) -> int:
    """Groups of at least five uncovered inputs that share little with one another."""
    left = np.flatnonzero(found.is_far)
    likeness = (found.features[left] @ found.features[left].T).toarray() >= _ALIKE
    free, topics = np.ones(len(left), dtype=bool), 0
    while free.any():
        reach = (likeness & free[None, :]).sum(axis=1) * free
        centre = int(np.argmax(reach))
        if reach[centre] < 5:
            break
        free &= ~likeness[centre]
        topics += 1
    return topics
