"""`Scorer`: one task's recorded answers → typed scores, through lm-eval's metrics, kdgov's own kinds, and judges."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_judge import JudgeInSuite
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.backends.response_log import is_whole
from kdgov.evaluation.plan.lm_eval_tasks import LmTask
from kdgov.evaluation.plan.mitigated import Harmful, Withholding, shown_answers
from kdgov.evaluation.plan.request import PlannedItem, shown_text
from kdgov.evaluation.scoring.guards.guard_answers import HARMFUL, HARMLESS
from kdgov.evaluation.scoring.judge_agreement import agreement_facts
from kdgov.evaluation.scoring.judge_labels import Labels, answer_id
from kdgov.evaluation.scoring.judges import agreement, judge_of, judging_usage, make_judge, model_judge, score_of
from kdgov.evaluation.scoring.lm_eval_metrics import rehearse, score_lm_task
from kdgov.evaluation.scoring.scores import ItemScore, Scored
from kdgov.evaluation.task_kinds.base import Answers
from kdgov.evaluation.task_kinds.catalogue import KINDS
from kdgov.quantities import quantity

Classify = Callable[[Path, Sequence[str]], list[str]]


class Judging(NamedTuple):
    """What judging needs beside the answers."""

    classify: Classify | None
    """Runs a local classifier."""
    cache: Path | None
    """Folder of what models said as judges."""
    people: Mapping[str, str]
    """Labels of people, by the answer's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """How one task's answers become numbers."""

    suite: Suite
    """The suite, for its judges."""
    suite_file: Path
    """Where it lies."""
    declared: TaskInSuite
    """The task's declaration."""
    lm: LmTask | None
    """lm-eval's task, where it is one."""
    withheld: tuple[Withholding, ...] = ()
    """Guards and filters of the release: what users would not have read is not scored as if they had."""

    @property
    def compares(self) -> bool:
        """Whether the student's numbers need the teacher's answers."""
        judges = [judge_of(m.judge, self.suite) for m in self.declared.metrics if m.judge]
        return (self.lm is None and KINDS[self.declared.kind].compares) or any(judge.form == "pairwise" for judge in judges)

    def score(
        self,
        items: Sequence[PlannedItem],
        answers: Answers,
        *,
        teacher: Answers | None = None,
        classify: Classify | None = None,
        labels: Labels | None = None,
        cache: Path | None = None,
    ) -> tuple[Scored, dict[str, Any]]:
        """Scores of every item and declared metric, and what is known of the judges that gave them.

        Where people have labelled some of the answers, judged scores carry gold, and the facts say how often judge and people agree on
        this very model.

        Raises:
            InputError: if the suite declares a metric that this kind of task does not give.
        """
        if self.withheld:
            answers = shown_answers(items, answers, self.withheld, lambda one: _guard(one, cache))
            teacher = None if teacher is None else shown_answers(items, teacher, self.withheld, lambda one: _guard(one, cache))
        whole = [i for i in items if all(is_whole(a) for a in answers[i.item_id])]
        scored = Scored(scores=(), aggregates={})
        facts: dict[str, Any] = {}
        judged: list[ItemScore] = []
        if whole:
            scored = score_lm_task(self.lm, whole, answers) if self.lm is not None else self._own(whole, answers, teacher)
            scored = replace(scored, scores=self._taking_part(scored.scores))
            judged, facts = self._judged(whole, answers, teacher, Judging(classify, cache, labels.of if labels is not None else {}))
        # A metric such as accuracy would turn a failed item into an ordinary 0 or 1: it is missing instead, under every metric.
        kept = {i.item_id for i in whole}
        lost = [
            ItemScore(item_id=i.item_id, metric=m.metric, score=math.nan)
            for i in items
            if i.item_id not in kept
            for m in self.declared.metrics
        ]
        return Scored(scores=(*scored.scores, *judged, *lost), aggregates=scored.aggregates if not lost else {}), facts

    def rehearse(self, item: PlannedItem) -> None:
        """Refuse what no answer could mend before anything is asked, on one item of the task.

        Raises:
            InputError: if a metric is none that the task gives, or its task file cannot score an answer.
        """
        if self.lm is not None:
            rehearse(self.lm, item)
        else:
            self._wanted()

    def _own(self, items: Sequence[PlannedItem], answers: Answers, teacher: Answers | None) -> Scored:
        wanted, kind = self._wanted(), KINDS[self.declared.kind]
        scores = [
            _renamed(score, name) for score in kind.scores(items, answers, self.declared, teacher) for name in wanted.get(score.metric, ())
        ]
        means = {f"{m},none": _mean([s for s in scores if s.metric == m]) for m in sorted({s.metric for s in scores})}
        return Scored(scores=tuple(scores), aggregates={k: v for k, v in means.items() if not math.isnan(v)})

    def _taking_part(self, scores: Sequence[ItemScore]) -> tuple[ItemScore, ...]:
        """The scores without those by which the task says that an item takes no part in the metric."""
        rules = {m.metric: m for m in self.declared.metrics if m.not_applicable}
        return tuple(score for score in scores if score.metric not in rules or not rules[score.metric].leaves_out(score.score))

    def _wanted(self) -> dict[str, list[str]]:
        """The kind's own metrics → names under which the suite declares them."""
        kind = KINDS[self.declared.kind]
        wanted: dict[str, list[str]] = {}
        for metric in self.declared.metrics:
            if metric.judge is None:
                wanted.setdefault(metric.source or metric.metric, []).append(metric.metric)
        if unknown := sorted(set(wanted) - set(kind.metrics)):
            raise InputError(
                f"metrics: kind {self.declared.kind} gives no {', '.join(unknown)}",
                where=f"{self.suite_file}: tasks.{self.declared.task}",
                mend=f"It gives {', '.join(kind.metrics)}; name one as `source`.",
            )
        return wanted

    def _judged(
        self, items: Sequence[PlannedItem], answers: Answers, teacher: Answers | None, judging: Judging
    ) -> tuple[list[ItemScore], dict[str, Any]]:
        scores: list[ItemScore] = []
        facts: dict[str, Any] = {}
        labels_of: dict[str, list[str]] = {}
        said = {i.item_id: str(answers[i.item_id][0]) for i in items}
        people = judging.people
        # The teacher compared with itself is a tie throughout.
        other = said if teacher is None else {i.item_id: str(teacher[i.item_id][0]) for i in items}
        asked = [(shown_text(i.requests[0].context), said[i.item_id], other[i.item_id]) for i in items]
        named = {i.item_id: people.get(answer_id(self.declared.task, i.prompt_digest, said[i.item_id])) for i in items} if people else {}
        for metric in self.declared.metrics:
            if metric.judge is None:
                continue
            declared = judge_of(metric.judge, self.suite)
            if metric.judge not in labels_of:
                judge = make_judge(metric.judge, self.suite, suite_file=self.suite_file, classify=judging.classify, cache=judging.cache)
                labels_of[metric.judge] = judge(asked if declared.form == "pairwise" else [one[:2] for one in asked])
                facts[metric.judge] = agreement(metric.judge, self.suite, judge, suite_file=self.suite_file)
                if declared.kind == "openai":
                    facts[metric.judge] |= judging_usage(declared, self.suite_file, judging.cache, asked)
                if unlabelled := labels_of[metric.judge].count(""):
                    facts[metric.judge]["unlabelled"] = unlabelled
                both = [(named[i.item_id], label) for i, label in zip(items, labels_of[metric.judge], strict=True) if named.get(i.item_id)]
                if both:
                    facts[metric.judge]["on_this_model"] = agreement_facts([(str(a), b) for a, b in both])
            counted = metric.counts or metric.metric
            for item, label in zip(items, labels_of[metric.judge], strict=True):
                score = score_of(label, declared, counted)
                by_people = named.get(item.item_id)
                gold = None if by_people is None else _gold(by_people, declared, counted)
                scores.append(
                    ItemScore(
                        item_id=item.item_id, metric=metric.metric, score=score, prediction=said[item.item_id], label=counted, gold=gold
                    )
                )
        return scores, facts


def _guard(one: Withholding, cache: Path | None) -> Harmful:
    assert one.guard is not None  # noqa: S101 - asked for guards alone
    labels = model_judge(one.guard, one.beside, cache=cache)
    words: dict[str, bool | None] = {HARMFUL: True, HARMLESS: False}
    return lambda pairs: [words.get(label) for label in labels(list(pairs))]


def _gold(label: str, judge: JudgeInSuite, counted: str) -> float | None:
    try:
        return score_of(label, judge, counted)
    except ValueError:
        # A person's word where a mark was asked for says nothing of it.
        return None


def _renamed(score: ItemScore, metric: str) -> ItemScore:
    if score.metric == metric:
        return score
    return ItemScore(
        item_id=score.item_id,
        metric=metric,
        score=score.score,
        prediction=score.prediction,
        label=score.label,
        confidence=score.confidence,
        text=score.text,
        weight=score.weight,
    )


def _mean(scores: Sequence[ItemScore]) -> float:
    """The mean, by weight where items have one: wrong words over words, not the mean of sentences."""
    weights = [1.0 if score.weight is None else score.weight for score in scores]
    total = math.fsum(weights)
    return math.fsum(score.score * weight for score, weight in zip(scores, weights, strict=True)) / total if total else math.nan


def answers_by_item(items: Sequence[PlannedItem], flat: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    """A flat list of answers, in the plan's order of requests, by item."""
    found: dict[str, Sequence[Any]] = {}
    start = 0
    for item in items:
        found[item.item_id] = flat[start : start + len(item.requests)]
        start += len(item.requests)
    if start != len(flat):
        raise InputError(
            f"{quantity(len(flat), 'answer')} for {quantity(start, 'request')}", mend="Run the evaluation again: its record is not whole."
        )
    return found
