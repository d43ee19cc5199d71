"""The drill: how often a policy would promote a bad student and block a good one, before any model is trained."""

from __future__ import annotations

from kdgov.decision.drill.operating_characteristics import OperatingCurve, promotion_rate
from kdgov.decision.drill.run_drill import DrillReport, PlantResult, drill

__all__ = ["DrillReport", "OperatingCurve", "PlantResult", "drill", "promotion_rate"]
