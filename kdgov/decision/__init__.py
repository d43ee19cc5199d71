"""The gate: item tables, findings and a policy in, one decision with known error rates out.

A tour: `statistics` (bounds, and which one the data's shape calls for), `criteria` (one module per kind of criterion, and what
they share: pairing, groups, comparison cells), `judgement` (all criteria of a policy), `verdict` (findings, waivers, approvals),
`drill` (how often a policy errs).

Names load on first use: reading a policy must not wait for the statistics.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.decision.decision import Approval, CriterionResult, Decision, Waiver, decision_from_json
    from kdgov.decision.judgement import judge
    from kdgov.decision.policy import Criterion, Policy, WaiverRules

_HOMES = {
    "Approval": "decision",
    "Criterion": "policy",
    "CriterionResult": "decision",
    "Decision": "decision",
    "Policy": "policy",
    "Waiver": "decision",
    "WaiverRules": "policy",
    "decision_from_json": "decision",
    "judge": "judgement",
}

__all__ = [
    "Approval",
    "Criterion",
    "CriterionResult",
    "Decision",
    "Policy",
    "Waiver",
    "WaiverRules",
    "decision_from_json",
    "judge",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"kdgov.decision.{home}"), name)
