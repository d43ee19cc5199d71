"""A metric as a suite declares it: which way is better, which range is possible, what knowing nothing scores."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from kdgov.declarations.load import Declared

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]


class MetricInSuite(Declared):
    """One number per item, and how to read it."""

    metric: Name
    """Name in the item table."""
    source: str | None = None
    """Key the task gives it where that differs from ``metric``."""
    filter: str | None = None
    """lm-eval filter the answers pass through; default the task's first."""
    direction: Literal["higher", "lower", "target"]
    """Which way is better; ``target``: the closer to ``ideal`` the better."""
    ideal: float | None = None
    """Best possible value; needed for ``target``."""
    chance: float | None = None
    """Expected value without any skill."""
    range: tuple[float, float] | None = None
    """Least and greatest value one item can have."""
    paired: bool = True
    """Whether teacher and student answer the same items, so that differences are taken item by item."""
    needs: str | None = None
    """Environment variable without which the metric is left out, such as the folder of a guard model; a criterion on it is then invalid."""
    judge: str | None = None
    """Judge that turns an answer into a label, where the task itself has no metric."""
    not_applicable: list[Literal["nan"] | float] = Field(default_factory=list)
    """Values by which the task says that an item takes no part in the metric, such as ``[nan]`` or ``[-1]``: it then has no score."""
    counts: str | None = None
    """Label that counts as 1 (default: the metric's name)."""

    @model_validator(mode="after")
    def _is_consistent(self) -> MetricInSuite:
        if self.direction == "target" and self.ideal is None:
            raise ValueError("has direction `target` and no `ideal`\nAdd `ideal:`, such as 0.5 for a stereotype rate.")
        if self.not_applicable and self.judge is not None:
            raise ValueError("has `not_applicable` and a judge, whose missing labels are faults\nRemove `not_applicable`.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"has the range {list(self.range)}, whose first value is not below its second\nWrite [least, greatest].")
        for key in ("ideal", "chance"):
            value = getattr(self, key)
            if value is not None and self.range is not None and not self.range[0] <= value <= self.range[1]:
                raise ValueError(f"has {key} {value:g} outside its range {list(self.range)}\nCorrect one of the two.")
        return self

    def leaves_out(self, value: float) -> bool:
        """Whether a value says that the item takes no part in the metric."""
        if math.isnan(value):
            return any(one == "nan" or math.isnan(one) for one in self.not_applicable)
        return value in self.not_applicable
