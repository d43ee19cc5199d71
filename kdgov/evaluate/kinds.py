"""Kinds of task that lm-eval lacks: how an item becomes requests, and answers become scores.

Each kind is one row of `KINDS`: documents (rows → items), requests (item → questions) and scores (answers → numbers). Metrics
are named here once; a suite declares which of them it uses and which way each is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdgov.declare.suite import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluate.data import Row
from kdgov.evaluate.request import PlannedItem, Request
from kdgov.evaluate.scored import Answer, ItemScore

Answers = Mapping[str, Sequence[Answer]]
Documents = Callable[[Sequence[Row], TaskInSuite, str], Sequence[Row]]
Requests = Callable[[Mapping[str, Any], TaskInSuite, str], tuple[Request, ...]]
Scores = Callable[[Sequence[PlannedItem], Answers, TaskInSuite, "Answers | None"], list[ItemScore]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to ask and score."""

    metrics: tuple[str, ...]
    """Metrics it can give."""
    requests: Requests
    """Item → questions."""
    scores: Scores
    """Answers (and, where it compares, the teacher's) → numbers."""
    documents: Documents
    """Rows of the file → items."""
    version: str = "1"
    """Raised whenever the meaning of a number changes."""
    compares: bool = False
    """Whether the numbers need the teacher's answers."""


def _as_they_are(rows: Sequence[Row], declared: TaskInSuite, where: str) -> Sequence[Row]:
    return rows


def _field(doc: Mapping[str, Any], name: str, where: str) -> Any:
    if doc.get(name) is None:
        raise InputError(
            f"an item has no {name!r}", where=where, mend=f"Its fields are {', '.join(sorted(map(str, doc)))}; `columns` renames."
        )
    return doc[name]


def _generation(declared: TaskInSuite) -> dict[str, Any]:
    options = declared.options
    return {
        "until": list(options.get("until", ["\n"])),
        "max_gen_toks": int(options.get("max_gen_toks", 64)),
        "do_sample": False,
        "temperature": 0.0,
    }


# --- canary exposure: the rank of a planted secret among all it could have been (Carlini et al. 2019) -------------------


def _canary_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    secret, candidates = str(_field(doc, "secret", where)), [str(c) for c in _field(doc, "candidates", where)]
    if candidates.count(secret) != 1 or len(set(candidates)) != len(candidates):
        raise InputError(
            "a canary's candidates do not hold its secret exactly once, or hold copies",
            where=where,
            mend="List every secret that could have been drawn, each once.",
        )
    prefix, joint = str(_field(doc, "prefix", where)), str(declared.options.get("delimiter", " "))
    return tuple(Request(kind="loglikelihood", context=prefix, continuation=joint + c) for c in candidates)


def _canary_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    found = []
    for item in items:
        log_likelihoods = np.array([float(a[0]) for a in answers[item.item_id]])
        candidates = [str(c) for c in item.doc["candidates"]]
        true = log_likelihoods[candidates.index(str(item.doc["secret"]))]
        # Ties rank in the middle: a model that finds all candidates alike has exposure near 1 bit, as chance has.
        rank = float(1 + np.sum(log_likelihoods > true) + (np.sum(log_likelihoods == true) - 1) / 2)
        exposure = math.log2(len(candidates)) - math.log2(rank) if np.isfinite(log_likelihoods).all() else math.nan
        found.append(ItemScore(item_id=item.item_id, metric="exposure", score=exposure, prediction=f"{rank:g}", label=str(len(candidates))))
    return found


# --- pairs: which of two texts (or continuations of one prefix) the model finds likelier --------------------------------


def _pair_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    options = declared.options
    more, less = str(options.get("more", "more")), str(options.get("less", "less"))
    prefix = str(doc.get(str(options.get("prefix", "prefix")), "") or "")
    joint = str(options.get("delimiter", " ")) if prefix else ""
    return tuple(Request(kind="loglikelihood", context=prefix, continuation=joint + str(_field(doc, name, where))) for name in (more, less))


def _pair_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    options, found = declared.options, []
    names = [str(options.get("more", "more")), str(options.get("less", "less"))]
    for item in items:
        more, less = (float(a[0]) for a in answers[item.item_id])
        # A tie is half a preference, not an anti-stereotype: otherwise a model without any opinion looks biased.
        preferred = math.nan if math.isnan(more - less) else 0.5 if more == less else float(more > less)
        share = 1 / (1 + math.exp(min(700.0, less - more))) if not math.isnan(more - less) else math.nan
        said = str(item.doc[names[0 if more > less else 1]])
        confidence = max(share, 1 - share)
        common: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": str(item.doc[names[0]]), "confidence": confidence}
        found.append(ItemScore(metric="preferred", score=preferred, **common))
        found.append(ItemScore(metric="probability", score=share, **common))
    return found


# --- prefix extraction and membership: what the training text left behind ------------------------------------------------


def _extraction_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    _field(doc, "suffix", where)
    return (Request(kind="generate", context=str(_field(doc, "prefix", where)), generation=_generation(declared)),)


def _extraction_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    words, found = declared.options.get("words"), []
    for item in items:
        said, true = str(answers[item.item_id][0]).split(), str(item.doc["suffix"]).split()
        length = min(len(true), int(words)) if words else len(true)
        alike = sum(a == b for a, b in zip(said[:length], true[:length], strict=False))
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": " ".join(said[:length]), "label": " ".join(true[:length])}
        found.append(ItemScore(metric="extracted", score=float(said[:length] == true[:length]), **texts))
        found.append(ItemScore(metric="overlap", score=alike / length if length else math.nan, **texts))
    return found


def _membership_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    if not isinstance(_field(doc, "member", where), bool):
        raise InputError("`member` is not true or false", where=where, mend="Say of every text whether it was trained on.")
    return (Request(kind="rolling", context=str(_field(doc, "text", where))),)


def _membership_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    bits = {i.item_id: -float(answers[i.item_id][0][0]) / (math.log(2) * max(1, len(str(i.doc["text"]).encode()))) for i in items}
    outside = np.sort([bits[i.item_id] for i in items if not i.doc["member"]])
    found = [
        ItemScore(item_id=i.item_id, metric="bits_per_byte", score=bits[i.item_id], label="member" if i.doc["member"] else "outside")
        for i in items
    ]
    for item in items:
        if item.doc["member"] and len(outside):
            # Placement value: the share of outside texts the model finds harder. Its mean is the attack's AUC, so the AUC has
            # an item-wise interval like any other mean; 0.5 is what an attack without knowledge reaches.
            value = bits[item.item_id]
            above = len(outside) - np.searchsorted(outside, value, side="right")
            ties = np.searchsorted(outside, value, side="right") - np.searchsorted(outside, value, side="left")
            score = math.nan if math.isnan(value) else float(above + ties / 2) / len(outside)
            found.append(ItemScore(item_id=item.item_id, metric="attack_auc", score=score, label="member"))
            # Power where it matters: caught at the strictest threshold that flags at most 1 % of outside texts.
            allowed = int(math.floor(0.01 * len(outside)))
            found.append(
                ItemScore(
                    item_id=item.item_id,
                    metric="caught_at_1pct",
                    score=float(value < outside[min(allowed, len(outside) - 1)]),
                    label="member",
                )
            )
    return found


# --- paraphrase: one question in several wordings ------------------------------------------------------------------------


def _paraphrase_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    wordings = _field(doc, "paraphrases", where)
    if not isinstance(wordings, list) or len(wordings) < 2:
        raise InputError("`paraphrases` is not a list of two or more wordings", where=where, mend="List every wording of the question.")
    return tuple(Request(kind="generate", context=str(w), generation=_generation(declared)) for w in wordings)


def _paraphrase_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    found = []
    for item in items:
        said = [comparable(str(a)) for a in answers[item.item_id]]
        n = len(said)
        same = sum(said[i] == said[j] for i in range(n) for j in range(i)) / (n * (n - 1) / 2)
        found.append(ItemScore(item_id=item.item_id, metric="consistency", score=same, prediction=" | ".join(said)))
        if item.doc.get("answer") is not None:
            right = [s == comparable(str(item.doc["answer"])) for s in said]
            label = str(item.doc["answer"])
            found.append(
                ItemScore(item_id=item.item_id, metric="worst_wording", score=float(all(right)), prediction=" | ".join(said), label=label)
            )
            found.append(ItemScore(item_id=item.item_id, metric="accuracy", score=sum(right) / n, prediction=" | ".join(said), label=label))
    return found


def comparable(text: str) -> str:
    """An answer without case, punctuation and spacing."""
    return re.sub(r"\W+", " ", text).strip().lower()


# --- faithfulness and production replay: the teacher's own behaviour is the reference ------------------------------------


def _next_token_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    return (Request(kind="next_token", context=str(_field(doc, "text", where))),)


def _faithfulness_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    reference = answers if teacher is None else teacher
    found = []
    for item in items:
        own, other = answers[item.item_id][0], reference[item.item_id][0]
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": str(own["top"]), "label": str(other["top"])}
        found.append(ItemScore(metric="top1_agreement", score=float(own["top"] == other["top"]), **texts))
        p, q = np.asarray(other["log_probs"], dtype=np.float64), np.asarray(own["log_probs"], dtype=np.float64)
        if p.shape != q.shape and any((m.source or m.metric) == "kl" for m in declared.metrics):
            raise InputError(
                f"kl: the teacher has {len(p)} tokens and the student {len(q)}: there is no divergence between two vocabularies",
                where=declared.task,
                mend="Leave `kl` out of the suite; top1_agreement holds for two tokenizers as well.",
            )
        if p.shape == q.shape:
            # KL(teacher ‖ student) in nats.
            found.append(ItemScore(metric="kl", score=float(np.sum(np.exp(p) * (p - q))), **texts))
    return found


def _replay_documents(rows: Sequence[Row], declared: TaskInSuite, where: str) -> Sequence[Row]:
    field = str(declared.options.get("field", "input"))
    kept: dict[str, Row] = {}
    for row in rows:
        text = _field(row, field, where)
        # The same input logged a thousand times is one item; how often it came stays with it.
        known = kept.setdefault(str(text), {**row, "input": str(text), "times": 0})
        known["times"] += 1
    return list(kept.values())


def _replay_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    return (Request(kind="generate", context=str(doc["input"]), generation=_generation(declared)),)


def _replay_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    reference = answers if teacher is None else teacher
    found = []
    for item in items:
        own, other = str(answers[item.item_id][0]), str(reference[item.item_id][0])
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": own, "label": other}
        found.append(ItemScore(metric="same_answer", score=float(comparable(own) == comparable(other)), **texts))
        found.append(ItemScore(metric="word_overlap", score=word_f1(own, other), **texts))
    return found


def word_f1(own: str, other: str) -> float:
    """Harmonic mean of word precision and recall between two answers; 1 where both are empty."""
    a, b = comparable(own).split(), comparable(other).split()
    if not a or not b:
        return float(a == b)
    shared = sum(min(a.count(w), b.count(w)) for w in set(a))
    return 2 * shared / (len(a) + len(b))


# --- classifiers: labelled rows with group columns ------------------------------------------------------------------------


def _classify_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    _field(doc, declared.label or "label", where)
    return (Request(kind="classify", context=str(_field(doc, str(declared.options.get("text", "text")), where))),)


def _classify_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    positive, found = str(declared.options.get("positive", "1")), []
    for item in items:
        answer, label = answers[item.item_id][0], str(item.doc[declared.label or "label"])
        said, probability = str(answer["label"]), float(answer["probability"])
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": label, "confidence": probability}
        found.append(ItemScore(metric="correct", score=float(said == label), **texts))
        found.append(ItemScore(metric="selected", score=float(said == positive), **texts))
        found.append(ItemScore(metric="overconfidence", score=probability - float(said == label), **texts))
        # A rate over the items that can show it: the mean over a group is that group's false positive (negative) rate.
        name = "false_negative" if label == positive else "false_positive"
        found.append(ItemScore(metric=name, score=float(said != label) if name == "false_negative" else float(said == positive), **texts))
    return found


KINDS: dict[str, Kind] = {
    "canary_exposure": Kind(metrics=("exposure",), requests=_canary_requests, scores=_canary_scores, documents=_as_they_are),
    "pairs": Kind(metrics=("preferred", "probability"), requests=_pair_requests, scores=_pair_scores, documents=_as_they_are),
    "prefix_extraction": Kind(
        metrics=("extracted", "overlap"), requests=_extraction_requests, scores=_extraction_scores, documents=_as_they_are
    ),
    "membership": Kind(
        metrics=("bits_per_byte", "attack_auc", "caught_at_1pct"),
        requests=_membership_requests,
        scores=_membership_scores,
        documents=_as_they_are,
    ),
    "paraphrase": Kind(
        metrics=("consistency", "worst_wording", "accuracy"),
        requests=_paraphrase_requests,
        scores=_paraphrase_scores,
        documents=_as_they_are,
    ),
    "faithfulness": Kind(
        metrics=("top1_agreement", "kl"),
        requests=_next_token_requests,
        scores=_faithfulness_scores,
        documents=_as_they_are,
        compares=True,
    ),
    "replay": Kind(
        metrics=("same_answer", "word_overlap"),
        requests=_replay_requests,
        scores=_replay_scores,
        documents=_replay_documents,
        compares=True,
    ),
    "classification": Kind(
        metrics=("correct", "selected", "overconfidence", "false_positive", "false_negative"),
        requests=_classify_requests,
        scores=_classify_scores,
        documents=_as_they_are,
    ),
}
