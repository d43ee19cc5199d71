"""Kinds of task that lm-eval lacks, by name: which metrics each can give, and how it asks and scores.

Metrics are named here once; a suite declares which of them it uses and which way each is better.
"""

from __future__ import annotations

from kdgov.evaluation.task_kinds.base import Kind, as_they_are
from kdgov.evaluation.task_kinds.classification import classify_requests, classify_scores
from kdgov.evaluation.task_kinds.memorization import (
    canary_requests,
    canary_scores,
    extraction_requests,
    extraction_scores,
    membership_requests,
    membership_scores,
)
from kdgov.evaluation.task_kinds.preference_and_paraphrase import pair_requests, pair_scores, paraphrase_requests, paraphrase_scores
from kdgov.evaluation.task_kinds.teacher_reference import (
    faithfulness_scores,
    next_token_requests,
    replay_documents,
    replay_requests,
    replay_scores,
)

KINDS: dict[str, Kind] = {
    "canary_exposure": Kind(metrics=("exposure",), requests=canary_requests, scores=canary_scores, documents=as_they_are),
    "pairs": Kind(metrics=("preferred", "probability"), requests=pair_requests, scores=pair_scores, documents=as_they_are),
    "prefix_extraction": Kind(
        metrics=("extracted", "overlap"), requests=extraction_requests, scores=extraction_scores, documents=as_they_are
    ),
    "membership": Kind(
        metrics=("bits_per_byte", "attack_auc", "caught_at_1pct"),
        requests=membership_requests,
        scores=membership_scores,
        documents=as_they_are,
    ),
    "paraphrase": Kind(
        metrics=("consistency", "worst_wording", "accuracy"),
        requests=paraphrase_requests,
        scores=paraphrase_scores,
        documents=as_they_are,
    ),
    "faithfulness": Kind(
        metrics=("top1_agreement", "kl"),
        requests=next_token_requests,
        scores=faithfulness_scores,
        documents=as_they_are,
        compares=True,
    ),
    "replay": Kind(
        metrics=("same_answer", "word_overlap"),
        requests=replay_requests,
        scores=replay_scores,
        documents=replay_documents,
        compares=True,
    ),
    "classification": Kind(
        metrics=("correct", "selected", "overconfidence", "false_positive", "false_negative"),
        requests=classify_requests,
        scores=classify_scores,
        documents=as_they_are,
    ),
}
