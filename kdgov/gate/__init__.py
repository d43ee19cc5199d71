"""The gate: item tables, findings and a policy in, one decision with known error rates out.

A tour: `intervals` (bounds), `methods` (which bound the data's shape calls for), `match` (teacher and student rows item to
item), `cells` (what a criterion looks at), one module per kind of criterion, `judgement` (all of them), `settle` (waivers,
approvals, verdict), `drill` (how often a policy errs).

Names load on first use: reading a policy must not wait for the statistics. The package is callable, so that
``kdgov.gate(teacher, student, policy)`` works in a notebook.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.gate.decision import Approval, CriterionResult, Decision, Waiver, decision_from_json
    from kdgov.gate.judgement import judge
    from kdgov.gate.policy import Criterion, Policy, WaiverRules

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


class _CallableGate(ModuleType):
    """The package itself, which can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`kdgov.steps.judging.gate`: paths or tables in, a decision with a notebook rendering out."""
        # By name: the steps lie above this layer, and only a person's notebook asks for them here.
        return importlib.import_module("kdgov.steps.judging").gate(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"kdgov.gate.{home}"), name)


sys.modules[__name__].__class__ = _CallableGate
