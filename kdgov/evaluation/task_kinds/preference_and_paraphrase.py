"""Which of two texts a model prefers, and whether its answers survive another wording."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, field_of, generation_of

# --- pairs: which of two texts (or continuations of one prefix) the model finds likelier --------------------------------


def pair_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The log-likelihoods of two texts, or of two continuations of one prefix."""
    options = declared.options
    more, less = str(options.get("more", "more")), str(options.get("less", "less"))
    prefix = str(doc.get(str(options.get("prefix", "prefix")), "") or "")
    joint = str(options.get("delimiter", " ")) if prefix else ""
    return tuple(
        Request(kind="loglikelihood", context=prefix, continuation=joint + str(field_of(doc, name, where))) for name in (more, less)
    )


def pair_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Which of the two is likelier; a tie is one half."""
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


# --- paraphrase: one question in several wordings ------------------------------------------------------------------------


def paraphrase_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """One answer per wording of a question."""
    wordings = field_of(doc, "paraphrases", where)
    if not isinstance(wordings, list) or len(wordings) < 2:
        raise InputError("`paraphrases` is not a list of two or more wordings", where=where, mend="List every wording of the question.")
    return tuple(Request(kind="generate", context=str(w), generation=generation_of(declared)) for w in wordings)


def paraphrase_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """How often two wordings get one answer, and how many are right."""
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
