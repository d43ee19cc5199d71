"""The drill: how often a policy would promote a bad student and block a good one, before any model is trained."""

from __future__ import annotations

from kdgov.gate.drill.operating import OperatingCurve, promotion_rate
from kdgov.gate.drill.run import DrillReport, PlantResult, drill

__all__ = ["DrillReport", "OperatingCurve", "PlantResult", "drill", "promotion_rate"]
