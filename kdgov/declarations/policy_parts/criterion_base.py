"""What every kind of criterion declares: where it looks, how sure it must be, and which groups must hold on their own."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from kdgov.decision.policy import Criterion, When
from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_numbers import Confidence, Count, CriterionId, Number
from kdgov.declarations.policy_parts.criterion_plan import PlanSection
from kdgov.items.metric import Direction


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class CriterionBase(Declared):
    """Keys of every criterion on item tables."""

    id: CriterionId
    """Name in decisions and waivers."""
    suite: str = "*"
    """Suite name or glob."""
    tasks: Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=list[str] | str), Field(min_length=1)] = ["*"]
    """Task names or globs; each matching task is judged on its own."""
    metric: str = "*"
    """Metric name or glob."""
    when: When = "always"
    """``always``; ``production_inputs``: only where the release names logged inputs; ``measured``: only where there are rows. A
    criterion left out is named by ``evidence.not-applicable``."""
    direction: Direction | None = None
    """higher, lower or target; default: as the suite declares. Bare item tables need it."""
    ideal: Number | None = None
    """Best value of a ``target`` metric."""
    range: tuple[Number, Number] | None = None
    """Smallest and largest score that counts; default: as the suite declares. Scores beyond it are clipped and counted.
    Numbers other than 0 and 1 never pass without one."""
    confidence: Confidence = 0.95
    """One-sided confidence."""
    min_items: Count = 100
    """Fewer items than this are never a pass."""
    pooled: bool = False
    """Judge all matching tasks of one metric together."""
    where: dict[str, str] = Field(default_factory=dict)
    """Judge only the items that state these values, such as ``{coverage: far}``: production inputs and suite items are told apart
    as ``near`` and ``far`` from the distillation data."""
    by: list[str | Annotated[list[str], Field(min_length=1)]] = Field(default_factory=list)
    """Attributes whose every value must hold on its own; a list of attributes, or ``a*b``, is an intersection. ``*`` stands
    for every attribute the items state, ``[*, *]`` for every two of them; a named attribute has to be there."""
    groups: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    """Values that must be there, per attribute of ``by``."""
    min_group_items: Count | None = None
    """Fewer items of a group than this are never a pass; default ``min_items``."""
    threshold: Number | None = None
    """Count scores of at least this as 1 and all others as 0: rare harm is judged as a rate."""
    advisory: bool = False
    """Judge and show only: the criterion never decides."""
    plan: PlanSection = Field(default_factory=PlanSection)
    """What the criterion was designed for; used by the drill alone."""

    @model_validator(mode="after")
    def _is_consistent(self) -> CriterionBase:
        if self.direction == "target" and self.ideal is None:
            raise ValueError("has the direction target and no ideal\nAdd `ideal:`, such as 0.5 for a stereotype rate.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"has the range {list(self.range)}, which is empty\nWrite [smallest, largest].")
        if self.where and (self.by or self.pooled or getattr(self, "kind", "") in ("exposure", "calibration")):
            raise ValueError(
                "has `where` together with `by` or `pooled`, or judges exposure or calibration\nWrite a criterion of its own for `where`."
            )
        for attribute in self.groups:
            if (attribute,) not in self.attributes:
                raise ValueError(f"declares groups of {attribute!r}, which is not in `by`\nAdd it to `by`, or remove it from `groups`.")
        return self

    @property
    def attributes(self) -> tuple[tuple[str, ...], ...]:
        """``by`` with every entry as a tuple."""
        return tuple(_names(entry) if isinstance(entry, str) else tuple(entry) for entry in self.by)

    def _width(self) -> float | None:
        if self.threshold is not None:
            return 1.0
        return None if self.range is None else self.range[1] - self.range[0]

    def _common(self) -> dict[str, Any]:
        low, high = self.range or (None, None)
        names = (
            "id", "suite", "metric", "when", "direction", "ideal", "confidence", "min_items", "pooled", "min_group_items", "threshold",
            "advisory",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        groups = MappingProxyType({k: tuple(v) for k, v in self.groups.items()})
        where = MappingProxyType(dict(self.where))
        plan = {f"plan_{name}": getattr(self.plan, name) for name in ("items", "disagreement", "level")}
        plan["plan_groups"] = MappingProxyType(dict(self.plan.groups))
        return {
            **values,
            **plan,
            "tasks": tuple(self.tasks),
            "low": low,
            "high": high,
            "by": self.attributes,
            "groups": groups,
            "where": where,
        }

    def frozen(self) -> Criterion:
        """The criterion as the gate reads it."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in CriterionBase.model_fields}
        if "margins" in own:
            own["margins"] = MappingProxyType(dict(own["margins"]))
        if (gold := own.pop("gold", None)) is not None:
            own["gold_items"] = gold.min_items
        return Criterion(**self._common(), **own)


def _names(entry: str) -> tuple[str, ...]:
    return ("*",) if entry == "*" else tuple(entry.split("*"))
