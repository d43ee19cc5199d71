"""kdgov: governance and evaluation of distilled model releases.

The functions below are the Python interface; every one has a command of the same purpose::

    import kdgov

    kdgov.check("release.yaml")                                   # licences, provenance, privacy, before any compute
    kdgov.distill("release.yaml")                                 # train the student
    kdgov.evaluate("release.yaml")                                # teacher and student on identical items
    decision = kdgov.gate(teacher, student, "default")            # may the student be promoted?
    kdgov.assert_not_worse(teacher=teacher, student=student, policy="default")   # the same as a test's assertion
    kdgov.compare([1, 1, 0, 1] * 90, [1, 1, 0, 1] * 90, margin=0.03)   # two arrays of scores by the gate's own bounds
    kdgov.record("release.yaml")                                  # into the MLflow registry, signed
    kdgov.promote("support-student", 3)                           # the alias, if a valid passing decision covers it
    kdgov.audit("support-student", 3)                             # everything verified again from the registry
    kdgov.load_model("models:/support-student@champion")          # verified before its first byte is used
    kdgov.license_check("case.yaml")                              # licences of a lineage
    kdgov.drill("policies/default.yaml")                          # how often a policy errs

Names load on first use: ``import kdgov`` alone imports nothing heavy. The package from the top layer down: `cli` (commands),
`api` (these functions), `pipeline` (one module per step), `auditing`, `guard` and `recording` (the MLflow registry),
`distillation` and `evaluation`, `checks`, `evidence` and `report`, `declarations` (what users write), `decision` and `license`
(the pure core), `items` (the item table), and the words everything shares: `finding`, `digest`, `errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgov.api.decisions import drill, gate, license_check
    from kdgov.api.not_worse import assert_not_worse
    from kdgov.api.recorded_versions import audit, load_model, promote
    from kdgov.api.release_steps import check, distill, evaluate, record
    from kdgov.decision.comparison import compare

__version__ = "0.2.0"
__all__ = [
    "assert_not_worse",
    "audit",
    "check",
    "compare",
    "distill",
    "drill",
    "evaluate",
    "gate",
    "license_check",
    "load_model",
    "promote",
    "record",
]

_HOMES = {
    "assert_not_worse": "kdgov.api.not_worse",
    "audit": "kdgov.api.recorded_versions",
    "check": "kdgov.api.release_steps",
    "compare": "kdgov.decision.comparison",
    "distill": "kdgov.api.release_steps",
    "drill": "kdgov.api.decisions",
    "evaluate": "kdgov.api.release_steps",
    "gate": "kdgov.api.decisions",
    "license_check": "kdgov.api.decisions",
    "load_model": "kdgov.api.recorded_versions",
    "promote": "kdgov.api.recorded_versions",
    "record": "kdgov.api.release_steps",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kdgov' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
