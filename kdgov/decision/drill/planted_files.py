"""Regressions that only files can carry: another tool's logs, and the policy's own file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np

from kdgov.decision.drill.simulation import Case, World
from kdgov.decision.statistics.paired import Values

FILES_ONLY = ("R49", "R50", "R51", "G16")
"""Plants that cannot be made without files."""
WIDER = 4.0
"""How many times as wide a branch makes the margins."""
_DATE = "2026-01-16T15-23-47.285735"
_TASK = "next_word"
_LOG_ITEMS = 3000
_LOST_NATS = 2.0


def inverted_metric(world: World, rng: np.random.Generator) -> Case:
    """A student that finds every next word seven times less likely, in logs that say that a lower perplexity is better."""
    return _log_case(world, rng, lost=_LOST_NATS)


def equal_logs(world: World, rng: np.random.Generator) -> Case | None:
    """The same logs of a student that is as good; None where no criterion reads what lm_eval logs."""
    readers = [c for c in world.policy.criteria if c.suite in ("lm_eval", "*") and c.direction is None]
    return _log_case(world, rng, lost=0.0) if readers else None


def _log_case(world: World, rng: np.random.Generator, *, lost: float) -> Case:
    case = world.case(rng, identical=True)
    teacher = -rng.gamma(2.0, 1.0, _LOG_ITEMS)
    # A log-likelihood is never above 0.
    student = np.minimum(teacher - lost + rng.normal(0.0, 0.15, _LOG_ITEMS), 0.0)
    further = {name: value for name, value in case.further.items() if name != "metrics"}
    return replace(case, files=(_log_files(teacher), _log_files(student)), further=further)


def _log_files(likelihoods: Values) -> dict[str, str]:
    """What ``lm_eval --log_samples`` leaves of a task of ``output_type: loglikelihood``: samples, and the results beside them."""
    aggregate = {"perplexity,none": float(np.exp(-likelihoods.mean())), "alias": _TASK}
    results = {
        "results": {_TASK: aggregate},
        "higher_is_better": {_TASK: {"perplexity": False}},
        "configs": {_TASK: {"task": _TASK, "output_type": "loglikelihood", "metric_list": [{"metric": "perplexity"}]}},
        "n-samples": {_TASK: {"original": len(likelihoods), "effective": len(likelihoods)}},
        "config": {"model": "hf"},
    }
    lines = [json.dumps(_log_row(place, float(value))) for place, value in enumerate(likelihoods)]
    return {f"results_{_DATE}.json": json.dumps(results), f"samples_{_TASK}_{_DATE}.jsonl": "\n".join(lines) + "\n"}


def _log_row(place: int, likelihood: float) -> dict[str, Any]:
    text = [f"story {place}: once upon a", " time"]
    doc, prompt, target = (hashlib.sha256(f"{part} {place}".encode()).hexdigest() for part in ("doc", "prompt", "target"))
    return {
        "doc_id": place,
        "doc": {"text": "".join(text)},
        "target": text[1],
        "arguments": {"gen_args_0": {"arg_0": text[0], "arg_1": text[1]}},
        "resps": [[[str(likelihood), "False"]]],
        "filtered_resps": [[str(likelihood), "False"]],
        "filter": "none",
        "metrics": ["perplexity"],
        "doc_hash": doc,
        "prompt_hash": prompt,
        "target_hash": target,
        "perplexity": likelihood,
    }


def misspelt_rule(world: World, rng: np.random.Generator) -> Case:
    """An equal student, judged by a policy with a rule that no check raises: it would stop nothing, for ever."""

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "findings": {**document.get("findings", {}), "evidence.policy-newr": "block"}}

    return replace(world.case(rng, identical=True), edit=edit, is_refused=True)


def looser_branch(world: World, rng: np.random.Generator) -> Case | None:
    """A student that lost two margins, on a branch that judges it by margins four times as wide."""
    shapes = [shape for shape in world.shapes if np.isfinite(shape.margin) and shape.role != "privacy"]
    if not shapes:
        return None

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "criteria": [_widened(criterion) for criterion in document["criteria"]]}

    return replace(world.case(rng, drops={shape.key: 2 * shape.margin for shape in shapes}), edit=edit)


def _widened(criterion: dict[str, Any]) -> dict[str, Any]:
    wider: dict[str, Any] = {k: WIDER * criterion[k] for k in ("margin", "group_margin", "ceiling") if isinstance(criterion.get(k), float)}
    if criterion.get("kind") == "retention" and isinstance(share := criterion.get("share"), float):
        wider["share"] = max(0.01, 1.0 - WIDER * (1.0 - share))
    if isinstance(named := criterion.get("margins"), dict):
        wider["margins"] = {unit: WIDER * value for unit, value in named.items()}
    return {**criterion, **wider}
