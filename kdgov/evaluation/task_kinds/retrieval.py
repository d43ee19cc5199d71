"""Retrieval by an encoder: queries and documents in one file, ranked by the cosine of their vectors.

Rows with ``query`` are items and name what is ``relevant`` (ids, or id → grade); every other row is a document with ``id`` and ``text``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.item_data import Row
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of

CORPUS = "corpus_digest"
RANKED = 100
"""Documents of an answer, best first."""
_CUTS = (1, 5, 10, 100)


def documents_of(rows: Sequence[Row], where: str) -> dict[str, str]:
    """Id → text of every document of a file.

    Raises:
        InputError: if there is none, or two share an id.
    """
    found: dict[str, str] = {}
    for row in rows:
        if "query" in row:
            continue
        name = str(field_of(row, "id", where))
        if name in found:
            raise InputError(f"two documents have the id {name!r}", where=where, mend="Give every document an id of its own.")
        found[name] = str(field_of(row, "text", where))
    if not found:
        raise InputError("holds no document to find", where=where, mend="Add rows with `id` and `text` beside those with `query`.")
    return found


def query_rows(rows: Sequence[Row], declared: TaskInSuite, where: str) -> Sequence[Row]:
    """The queries, each with the digest of all documents: another document is another question.

    Raises:
        InputError: if a query names a document that is not there, or none.
    """
    corpus = documents_of(rows, where)
    digest, found = digest_json(corpus), []
    for row in rows:
        if "query" not in row:
            continue
        grades = _grades(row, where)
        if absent := sorted(set(grades) - set(corpus)):
            raise InputError(f"relevant: there is no document {absent[0]!r}", where=where, mend="Correct the id, or add the document.")
        found.append({**row, "relevant": grades, CORPUS: digest})
    return found


def _grades(row: Row, where: str) -> dict[str, float]:
    said = field_of(row, "relevant", where)
    grades = {str(k): float(v) for k, v in said.items()} if isinstance(said, Mapping) else dict.fromkeys(map(str, _listed(said)), 1.0)
    grades = {name: grade for name, grade in grades.items() if grade > 0}
    if not grades:
        raise InputError(
            f"the query {str(row['query'])[:60]!r} has no relevant document", where=where, mend="Name one, or remove the query."
        )
    return grades


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def retrieve_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One ranking."""
    query = f"{declared.options.get('query_prefix', '')}{field_of(doc, 'query', where)}"
    return (Request(kind="retrieve", context=query, continuation=f"{declared.options.get('document_prefix', '')}{doc[CORPUS]}"),)


def retrieval_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Recall at 1, 5, 10 and 100, nDCG and reciprocal rank at 10, per query."""
    found = []
    for item in items:
        grades: dict[str, float] = dict(item.doc["relevant"])
        ranked = [str(name) for name, _ in answers[item.item_id][0]["ranked"]]
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": ranked[0], "label": max(grades, key=lambda n: (grades[n], n))}
        for cut in _CUTS:
            share = sum(name in grades for name in ranked[:cut]) / len(grades)
            found.append(ItemScore(metric=f"recall_at_{cut}", score=share, **texts))
        first = next((place for place, name in enumerate(ranked[:10], start=1) if name in grades), None)
        found.append(ItemScore(metric="mrr_at_10", score=0.0 if first is None else 1.0 / first, **texts))
        found.append(ItemScore(metric="ndcg_at_10", score=ndcg(ranked, grades, 10), **texts))
    return found


def ndcg(ranked: Sequence[str], grades: Mapping[str, float], cut: int) -> float:
    """Discounted gain of a ranking as a share of the best one's, with the grades themselves as gains (as trec_eval and BEIR).

    >>> round(ndcg(["a", "b", "c"], {"b": 1.0, "c": 1.0}, 10), 4)
    0.6934
    """
    gained = [grades.get(name, 0.0) for name in ranked[:cut]]
    best = sorted(grades.values(), reverse=True)[:cut]
    one, all_ = (math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(row, start=1)) for row in (gained, best))
    return one / all_


KIND = Kind(
    metrics=(*(f"recall_at_{cut}" for cut in _CUTS), "mrr_at_10", "ndcg_at_10"),
    requests=retrieve_requests,
    scores=retrieval_scores,
    documents=query_rows,
)
