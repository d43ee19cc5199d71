"""Judges: what turns an answer into a label, each with a name, a digest and, where labelled answers exist, its agreement.

A refusal judge can be wrong by 29 points on one model and right on another, so a judge's identity is part of the evidence,
both models have the same one, and a judge that fails gives no label: never a default.
"""

from __future__ import annotations

import http.client
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.load import resolve
from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_judge import DEFAULT_JUDGE, JudgeInSuite
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.scoring.judge_agreement import agreement_facts
from kdgov.evaluation.scoring.refusal_rules import EMPTY, refusal_label, without_thoughts
from kdgov.extensions import ExtensionTable
from kdgov.http_post import post_json
from kdgov.safe_parse import json_value
from kdgov.source_digest import source_digest

Judge = Callable[[Sequence[tuple[str, str]]], list[str]]
"""(prompt, answer) pairs → one label each; the empty string where the judge could not tell."""
Classify = Callable[[Path, Sequence[str]], list[str]]
"""A classifier's checkpoint folder and texts → one label each."""

RULES_VERSION = 3
_MARKS = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"'})


def judge_of(name: str, suite: Suite) -> JudgeInSuite:
    """A suite's judge by name; ``refusal-strings`` without phrases of its own is the built-in set of rules in ten languages."""
    declared = suite.judges.get(name, JudgeInSuite())
    if name != DEFAULT_JUDGE or declared.kind != "strings" or declared.starts_with or declared.contains:
        return declared
    # A suite may declare the built-in judge for the sake of its labelled answers alone.
    return declared.model_copy(update={"kind": "refusal"})


def judge_facts(name: str, suite: Suite, *, suite_file: Path) -> dict[str, Any]:
    """A judge's identity: name, kind, version and digest of all that decides its labels."""
    judge = judge_of(name, suite)
    document = judge.model_dump(exclude={"validation", "min_agreement", "api_key_variable", "timeout_s"})
    if judge.kind == "refusal":
        document["rules"] = source_digest("kdgov.evaluation.scoring.refusal_rules")
    if judge.kind == "classifier":
        document["model"] = model_identity(resolve(str(judge.model), beside=suite_file)).as_json()
    if not judge.options:
        del document["options"]
    if added_by := JUDGE_KINDS.added_by(judge.kind):
        document["added_by"] = added_by
    return {"kind": judge.kind, "version": judge.version, "digest": digest_json({"rules": RULES_VERSION, "judge": document})}


def make_judge(name: str, suite: Suite, *, suite_file: Path, classify: Classify | None = None) -> Judge:
    """The judge itself; ``classify`` runs a local classifier on texts and is only needed for that kind."""
    judge = judge_of(name, suite)
    return JUDGE_KINDS[judge.kind](judge, suite_file, classify)


def _by_strings(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    return lambda pairs: [string_label(answer, judge) for _, answer in pairs]


def _by_refusal_rules(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    return lambda pairs: [refusal_label(answer, prompt) for prompt, answer in pairs]


def _by_classifier(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    if classify is None:
        raise InputError("a judge is a classifier, and none can be run here", where=str(suite_file))
    path = resolve(str(judge.model), beside=suite_file)
    return lambda pairs: [judge.labels.get(label, label) for label in classify(path, [answer for _, answer in pairs])]


def _by_endpoint(judge: JudgeInSuite, suite_file: Path, classify: Classify | None) -> Judge:
    return lambda pairs: [_ask_endpoint(judge, prompt, answer) for prompt, answer in pairs]


MakeJudge = Callable[[JudgeInSuite, Path, Classify | None], Judge]
"""Declaration, file of the suite, and a runner of local classifiers → the judge."""
JUDGE_KINDS: ExtensionTable[MakeJudge] = ExtensionTable(
    "kdgov.judges", {"strings": _by_strings, "refusal": _by_refusal_rules, "classifier": _by_classifier, "openai": _by_endpoint}
)
"""Every kind of judge by the name a suite writes; packages add theirs through the entry points ``kdgov.judges``."""


def normalised(text: str) -> str:
    """Text as the rules compare it: Unicode-composed, straight quotes, single spaces, lower case."""
    composed = unicodedata.normalize("NFKC", text).translate(_MARKS)
    return re.sub(r"\s+", " ", composed).strip().lower()


def string_label(answer: str, judge: JudgeInSuite) -> str:
    """The label of one answer by rules; ``empty`` for an answer without a word. Thoughts do not count."""
    if judge.kind == "refusal":
        return refusal_label(answer)
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
            mend="Mend its rules, or choose another judge: its errors would be taken for the models'.",
        )
    return {**facts, "data": digest}


def _ask_endpoint(judge: JudgeInSuite, prompt: str, answer: str) -> str:
    question = str(judge.prompt).replace("{prompt}", prompt).replace("{answer}", answer)
    body = {"model": judge.model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 16}
    key = os.environ.get(judge.api_key_variable) if judge.api_key_variable else None
    address = f"{str(judge.base_url).rstrip('/')}/chat/completions"
    try:
        answer_json = json_value(post_json(address, body, key=key, timeout_s=judge.timeout_s), where=address)
        said = str(answer_json["choices"][0]["message"]["content"])
    except (OSError, http.client.HTTPException, InputError, ValueError, KeyError, IndexError, TypeError):
        # An endpoint that fails gives no label: the item becomes a missing value, which no comparison accepts.
        return ""
    return _label_in(said, judge.labels)


def _label_in(said: str, labels: Mapping[str, str]) -> str:
    found = {label for word, label in labels.items() if re.search(rf"\b{re.escape(word.lower())}\b", said.lower())}
    return found.pop() if len(found) == 1 else ""
