"""Judges: what turns an answer into a label, each with a name, a digest and, where labelled answers exist, its agreement.

A refusal judge can be wrong by 29 points on one model and right on another, so a judge's identity is part of the evidence,
both models have the same one, and a judge that fails gives no label: never a default.
"""

from __future__ import annotations

import importlib
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.suite import Suite, named_path
from kdgov.declarations.suite_judge import DEFAULT_JUDGE, JudgeInSuite
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.scoring.answer_text import ANSWERED, EMPTY, PARTIAL, REFUSED, without_thoughts
from kdgov.evaluation.scoring.endpoint_judge import endpoint_judge, label_in, order_decided, questions_of
from kdgov.evaluation.scoring.guards.guard_families import AUTO, family_of, form_for, template_in
from kdgov.evaluation.scoring.guards.guard_forms import FORMS, GuardForm, GuardText, Origin, guard_text
from kdgov.evaluation.scoring.judge_agreement import agreement_facts
from kdgov.evaluation.scoring.judge_cache import Asked, JudgeCache
from kdgov.evaluation.scoring.judge_replies import JudgeReplies
from kdgov.extensions import ExtensionTable
from kdgov.safe_parse import json_file
from kdgov.source_digest import source_digest

Judge = Callable[[Sequence[Asked]], list[str]]
"""Prompt and answer (and the teacher's answer, where two are compared) → one label each; the empty string where it could not tell."""
Classify = Callable[[Path, Sequence[str]], list[str]]
"""A classifier's checkpoint folder and texts → one label each."""

RULES_VERSION = 4
_DECIDES_NOTHING = {
    "validation", "min_agreement", "api_key_variable", "timeout_s", "concurrency", "retries", "answers_as", "requests_per_minute",
    "tokens_per_minute", "price", "budget_usd",
}  # fmt: skip
"""Keys of a judge that change none of its labels."""
_MAY_BE_ABSENT = ("api", "extra_body")
PAIRWISE = {"better": 1.0, "tie": 0.5, "worse": 0.0}
_MARKS = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"'})


def judge_of(name: str, suite: Suite) -> JudgeInSuite:
    """A suite's judge by name; ``refusal-strings`` without phrases of its own is the built-in set of rules in thirteen languages."""
    declared = suite.judges.get(name, JudgeInSuite())
    if name != DEFAULT_JUDGE or declared.kind != "strings" or declared.starts_with or declared.contains:
        return declared
    # A suite may declare the built-in judge for the sake of its labelled answers alone.
    return declared.model_copy(update={"kind": "refusal"})


def judge_facts(name: str, suite: Suite, *, suite_file: Path) -> dict[str, Any]:
    """A judge's identity: name, kind, version and digest of all that decides its labels."""
    judge = judge_of(name, suite)
    asked_with = {"asked_with": guard_asked_with(judge, suite_file)} if judge.kind == "guard" else {}
    return {"kind": judge.kind, "version": judge.version, "digest": judge_digest(judge, suite_file), **asked_with}


def guard_asked_with(judge: JudgeInSuite, suite_file: Path) -> Origin:
    """Whose words a guard model is asked in."""
    return _guard_text(judge, suite_file).origin


def judge_digest(judge: JudgeInSuite, suite_file: Path) -> str:
    """Digest of all that decides a judge's labels: its declaration, rules, and the whole model where it is one."""
    document = judge.model_dump(exclude=_DECIDES_NOTHING)
    # Named only where they are set: a judge that sets none stays the judge that it was before there were these keys.
    document = {name: value for name, value in document.items() if name not in _MAY_BE_ABSENT or value not in ("chat", {})}
    if judge.kind == "refusal":
        document["rules"] = source_digest("kdgov.evaluation.scoring.refusal_rules")
    if judge.kind in ("classifier", "guard"):
        document["model"] = model_identity(_checkpoint(judge, suite_file)).as_json()
    if judge.kind == "guard":
        _refuse_without_template(judge, suite_file)
        document["forms"] = source_digest("kdgov.evaluation.scoring.guards.guard_families")
        document["words"] = _guard_text(judge, suite_file).digest
    if not judge.options:
        del document["options"]
    if added_by := JUDGE_KINDS.added_by(judge.kind):
        document["added_by"] = added_by
    return digest_json({"rules": RULES_VERSION, "judge": document})


def labels_given(name: str, suite: Suite, *, suite_file: Path) -> set[str] | None:
    """Labels that a judge can give; None where it gives marks or comparisons, or is of a kind that a package adds."""
    judge = judge_of(name, suite)
    match judge.kind:
        case "refusal":
            return {REFUSED, PARTIAL, ANSWERED, EMPTY}
        case "strings":
            return {judge.positive, judge.negative, EMPTY}
        case "guard":
            form = _guard_form(judge, suite_file)
            if form.read is None:
                return set(judge.labels.values())
            said: set[str] = set(form.labels)
        case "classifier":
            said = _class_names(_checkpoint(judge, suite_file))
        case "openai" if judge.form == "label":
            return set(judge.labels.values())
        case _:
            return None
    return {judge.labels.get(label, label) for label in said}


def _class_names(path: Path) -> set[str]:
    """Names of a classifier's classes; ``LABEL_1`` is called 1."""
    config = json_file(path / "config.json")
    named = config.get("id2label") or {number: f"LABEL_{number}" for number in range(int(config.get("num_labels") or 2))}
    return {re.sub(r"^LABEL_(\d+)$", r"\1", str(name)) for name in named.values()}


def make_judge(name: str, suite: Suite, *, suite_file: Path, classify: Classify | None = None, cache: Path | None = None) -> Judge:
    """The judge itself.

    Args:
        name: its name in the suite.
        suite: the suite.
        suite_file: where it lies.
        classify: runs a local classifier on texts; only needed for that kind.
        cache: folder in which what models say as judges is kept by content.
    """
    judge = judge_of(name, suite)
    if judge.kind in ("guard", "openai"):
        return model_judge(judge, suite_file, cache=cache)
    return JUDGE_KINDS[judge.kind](judge, suite_file, classify)


def model_judge(judge: JudgeInSuite, beside: Path, *, cache: Path | None) -> Judge:
    """A judge that is a model, with what it said kept by content."""
    digest = judge_digest(judge, beside)
    made = endpoint_judge(judge, JudgeReplies(cache, digest)) if judge.kind == "openai" else JUDGE_KINDS[judge.kind](judge, beside, None)
    kept = JudgeCache(cache, digest)
    return lambda asked: kept.labels(asked, made)


def score_of(label: str, judge: JudgeInSuite, counted: str) -> float:
    """What a label scores: a mark itself, a comparison's 1, 0.5 or 0, else 1 for the label that counts; NaN without one.

    A judge that could not tell leaves NaN: a missing value, which stops a comparison instead of passing as 0.
    """
    if not label:
        return math.nan
    if judge.form == "rubric":
        return float(label)
    return PAIRWISE[label] if judge.form == "pairwise" and label in PAIRWISE else float(label.lower() == counted.lower())


def _by_strings(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    return lambda asked: [string_label(answer, judge) for _, answer, *_ in asked]


def _by_refusal_rules(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    # Of several messages the last question is what "No." answers or refuses.
    label = _refusal_label()
    return lambda asked: [label(answer, prompt.rsplit("\nuser: ", 1)[-1]) for prompt, answer, *_ in asked]


def _refusal_label() -> Callable[..., str]:
    # The patterns of thirteen languages take a seventh of a second to make: only where a refusal is looked for.
    label: Callable[..., str] = importlib.import_module("kdgov.evaluation.scoring.refusal_rules").refusal_label
    return label


def _by_classifier(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    if classify is None:
        raise InputError("a judge is a classifier, and none can be run here", where=str(suite_file))
    path = _checkpoint(judge, suite_file)
    return lambda asked: [judge.labels.get(label, label) for label in classify(path, [answer for _, answer, *_ in asked])]


def _by_guard(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    form, path = _guard_form(judge, suite_file), _checkpoint(judge, suite_file)

    def label(words: str) -> str:
        if form.read is None:
            return label_in(without_thoughts(words), judge.labels)
        return judge.labels.get(said := form.read(words), said)

    def labels(asked: Sequence[Asked]) -> list[str]:
        # Here, not above: torch only where a judge needs it.
        made = importlib.import_module("kdgov.evaluation.backends.hugging_face.guard_model")
        pairs = [(prompt, answer) for prompt, answer, *_ in asked]
        return [label(words) for words in made.guard_says(path, pairs, form, _guard_text(judge, suite_file))]

    return labels


def _guard_form(judge: JudgeInSuite, suite_file: Path) -> GuardForm:
    path = _checkpoint(judge, suite_file)
    if judge.form == AUTO:
        return FORMS[family_of(path)]
    # A checkpoint that the user brings for a suite may be another guard than its writer thought of.
    is_brought = "${" in str(judge.model) and judge.prompt is None and FORMS[judge.form].read is not None
    return FORMS[form_for(judge.form, path) if is_brought else judge.form]


def _guard_text(judge: JudgeInSuite, suite_file: Path) -> GuardText:
    return guard_text(_guard_form(judge, suite_file), _checkpoint(judge, suite_file), prompt=judge.prompt, guideline=judge.guideline)


def judging_usage(judge: JudgeInSuite, beside: Path, cache: Path | None, asked: Sequence[Asked]) -> dict[str, Any]:
    """What judging some answers at an address took, and how many pairs were decided by the place alone.

    An answer that two models gave was asked about once, and counts with each.
    """
    replies = JudgeReplies(cache, judge_digest(judge, beside))
    usage = replies.usage(question for one in asked for question in questions_of(judge, one))
    return {"usage": usage, **order_decided(judge, asked, replies)}


def _refuse_without_template(judge: JudgeInSuite, suite_file: Path) -> None:
    """Before any question is asked: a guard that is rendered by its checkpoint's chat template has one."""
    path = _checkpoint(judge, suite_file)
    if judge.prompt is None and _guard_form(judge, suite_file).own is None and not template_in(path):
        raise InputError("a guard model has no chat template", where=str(path), mend="Give its published format as the judge's `prompt`.")


def _by_endpoint(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    ask = endpoint_judge(judge, JudgeReplies(None, judge_digest(judge, suite_file)))
    return lambda asked: list(ask(asked))


def _checkpoint(judge: JudgeInSuite, suite_file: Path) -> Path:
    return named_path(str(judge.model), suite_file=suite_file, key="judges.model")


MakeJudge = Callable[[JudgeInSuite, Path, Classify | None], Judge]
"""Declaration, file of the suite, and a runner of local classifiers → the judge."""
JUDGE_KINDS: ExtensionTable[MakeJudge] = ExtensionTable(
    "kdgov.judges",
    {"strings": _by_strings, "refusal": _by_refusal_rules, "classifier": _by_classifier, "guard": _by_guard, "openai": _by_endpoint},
)
"""Every kind of judge by the name a suite writes; packages add theirs through the entry points ``kdgov.judges``."""


def normalised(text: str) -> str:
    """Text as the rules compare it: Unicode-composed, straight quotes, single spaces, lower case."""
    composed = unicodedata.normalize("NFKC", text).translate(_MARKS)
    return re.sub(r"\s+", " ", composed).strip().lower()


def string_label(answer: str, judge: JudgeInSuite) -> str:
    """The label of one answer by rules; ``empty`` for an answer without a word. Thoughts do not count."""
    if judge.kind == "refusal":
        return _refusal_label()(answer)
    seen = normalised(without_thoughts(answer))
    if not re.search(r"\w", seen):
        return EMPTY
    opening = seen.lstrip("\"'*-#> ")
    if any(opening.startswith(normalised(start)) for start in judge.starts_with):
        return judge.positive
    window = seen if judge.window is None else seen[: judge.window]
    return judge.positive if any(normalised(part) in window for part in judge.contains) else judge.negative


def agreement(name: str, suite: Suite, judge: Judge, *, suite_file: Path) -> dict[str, Any]:
    """How often a judge agrees with people on the suite's labelled answers, with the 95 % Wilson interval and Cohen's kappa.

    Raises:
        InputError: if agreement falls below the least the suite allows.
    """
    declared = judge_of(name, suite)
    if declared.validation is None:
        return {}
    rows, digest = read_data(declared.validation, suite_file=suite_file, key=f"judges.{name}.validation")
    labels = judge([(str(r.get("prompt", "")), str(r["text"])) for r in rows])
    facts = agreement_facts([(str(row["label"]), label) for label, row in zip(labels, rows, strict=True)])
    share = facts["agreement"]
    if declared.min_agreement is not None and share < declared.min_agreement:
        raise InputError(
            f"judge {name!r} agrees with its labelled answers on {share:.3f} of {len(rows)}, below {declared.min_agreement:g}",
            where=str(suite_file),
            mend="Correct its rules, or choose another judge: its errors would be taken for the models'.",
        )
    return {**facts, "data": digest}
