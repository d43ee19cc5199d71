"""The criteria of a policy as they are declared, one class per kind."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kdgov.decision.policy import Criterion, When
from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_numbers import (
    Confidence,
    Count,
    CriterionId,
    NotNegative,
    Number,
    OpenShare,
    Positive,
    Share,
    StatisticName,
)
from kdgov.declarations.policy_parts.criterion_plan import PlanSection
from kdgov.declarations.policy_parts.judge_gold import GoldSection
from kdgov.items.metric import Direction


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _CriterionBase(Declared):
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
    def _is_consistent(self) -> _CriterionBase:
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
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in _CriterionBase.model_fields}
        if "margins" in own:
            own["margins"] = MappingProxyType(dict(own["margins"]))
        if (gold := own.pop("gold", None)) is not None:
            own["gold_items"] = gold.min_items
        return Criterion(**self._common(), **own)


def _names(entry: str) -> tuple[str, ...]:
    return ("*",) if entry == "*" else tuple(entry.split("*"))


class NonInferiority(_CriterionBase):
    """The student must prove that it is at most ``margin`` worse than the teacher."""

    kind: Literal["non_inferiority"]
    """non_inferiority"""
    margin: NotNegative
    """How much worse the student may be, in the metric's own units."""
    margins: dict[str, NotNegative] = Field(default_factory=dict)
    """Margin per unit of the scores (``share``, ``nats``, ``bits``, ``bleu``, ``chrf``, ``ter``, ``raw``); ``margin`` for the others."""
    statistic: StatisticName | None = None
    """Which function of the items is compared: mean (default), weighted_mean, macro_f1, f1, mcc, auc, corpus_bleu, chrf, ece, pass@k or
    majority (of several samples of an item)."""
    gold: GoldSection | None = None
    """Demand trusted scores beside a judge's: without them the judge's error may differ between the two models."""
    sequential: bool = False
    """Judge batch by batch, right after each: further batches may follow an open answer."""
    group_margin: NotNegative | None = None
    """Margin within a group; default ``margin``."""
    root_margin: NotNegative | None = None
    """Margin against the root teacher; default ``margin``."""
    floor: Number | None = None
    """The student's own mean must be proven above this."""
    ceiling: Number | None = None
    """The student's own mean must be proven below this."""
    chance: Number | None = None
    """Score of knowing nothing; default: as the suite declares."""
    assay: Literal["when_known", "required", "skip"] = "when_known"
    """Whether the teacher must be proven better than no skill by more than the margin."""

    @model_validator(mode="after")
    def _gold_fits(self) -> NonInferiority:
        if self.gold is not None and (self.statistic not in (None, "mean") or self.direction == "target"):
            raise ValueError("demands gold, which corrects means where higher or lower is better\nRemove `gold`, or `statistic`.")
        if self.sequential and (self.gold is not None or self.statistic not in (None, "mean") or self.direction == "target"):
            raise ValueError("is sequential, which judges means without gold or target\nRemove `sequential`, or the other keys.")
        return self

    @model_validator(mode="after")
    def _margins_fit(self) -> NonInferiority:
        width = self._width()
        for name in ("margin", "group_margin", "root_margin"):
            value = getattr(self, name)
            if value is not None and width is not None and value >= width:
                raise ValueError(
                    f"has the {name} {value:g}, as wide as or wider than the whole range {width:g}\nWrite 0.02 to allow two points."
                )
        return self


class Retention(_CriterionBase):
    """The student must prove that it keeps a share of the teacher's score."""

    kind: Literal["retention"]
    """retention"""
    share: OpenShare
    """Smallest share of the teacher's score, such as 0.97."""
    floor: Number | None = None
    """The student's own mean must be proven above this."""
    ceiling: Number | None = None
    """The student's own mean must be proven below this."""
    chance: Number | None = None
    """Score of knowing nothing; default: as the suite declares."""
    assay: Literal["when_known", "required", "skip"] = "when_known"
    """Whether the teacher must be proven better than no skill by more than may be lost."""


class Floor(_CriterionBase):
    """The student's own mean must be proven above a value."""

    kind: Literal["floor"]
    """floor"""
    floor: Number
    """The value."""


class Ceiling(_CriterionBase):
    """The student's own mean must be proven below a value."""

    kind: Literal["ceiling"]
    """ceiling"""
    ceiling: Number
    """The value."""


class Exposure(_CriterionBase):
    """Canaries must not be ranked better than chance allows."""

    kind: Literal["exposure"]
    """exposure"""
    min_items: Count = 10
    """Fewer canaries than this are never a pass."""
    ceiling: Positive | None = None
    """Also: the mean exposure, in bits, must be proven below this."""
    assay: Literal["when_known", "skip"] = "when_known"
    """Whether the teacher must be shown to have memorised the canaries: what it never knew cannot show in the student."""


class Calibration(_CriterionBase):
    """Signed overconfidence and Brier score must be at most ``margin`` worse than the teacher's."""

    kind: Literal["calibration"]
    """calibration"""
    margin: Share
    """Margin of the overconfidence."""
    brier_margin: Share | None = None
    """Margin of the Brier score; default ``margin``."""
    confidences: Literal["required", "when_stated"] = "required"
    """Whether metrics whose items state no confidence are invalid, or left out and named by ``evidence.not-measured``."""
    assay: Literal["when_known", "skip"] = "when_known"
    """Whether the teacher must be proven better than knowing nothing."""

    group_margin: Share | None = None
    """Margin within a group; default ``margin``."""

    @model_validator(mode="after")
    def _margin_fits(self) -> Calibration:
        name = "margin" if self.brier_margin is None else "brier_margin"
        if getattr(self, name) >= 1:
            raise ValueError(f"has the {name} 1, as wide as the whole range of the Brier score\nWrite 0.02 to allow two points.")
        return self


class Gap(_CriterionBase):
    """The largest gap between groups must be proven small, or no wider than the teacher's by more than a margin."""

    kind: Literal["gap"]
    """gap"""
    of: Literal["mean", "demographic_parity", "equal_opportunity", "equalized_odds"] = "mean"
    """mean of the scores, or a classifier's rates by the columns ``prediction`` and ``label``: share predicted positive, true positive
    rate, or true and false positive rate, each on its own."""
    positive: str = ""
    """Label that counts as positive; needed for a classifier's rates."""
    ceiling: OpenShare | None = None
    """The student's largest gap must be proven below this."""
    margin: OpenShare | None = None
    """The student's largest gap may be wider than the teacher's by this at most."""
    min_ratio: OpenShare | None = None
    """The lowest group's rate must be proven at least this share of the highest's, such as 0.8 (four fifths)."""
    min_group_items: Count | None = 30
    """Fewer items of a group than this are never a pass."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Gap:
        if not self.by:
            raise ValueError("is a gap criterion without `by`\nName the attribute whose groups are compared, such as `by: [gender]`.")
        if self.ceiling is None and self.margin is None and self.min_ratio is None:
            raise ValueError("names neither ceiling, margin nor min_ratio\nAdd one: it judges nothing without.")
        if (self.of == "mean") == bool(self.positive):
            needs = "has `positive` beside the mean of the scores" if self.positive else f"is of {self.of} and names no `positive` label"
            raise ValueError(f"{needs}\nWrite `positive:` with a classifier's rates, such as `of: equalized_odds`, and only there.")
        return self

    def frozen(self) -> Criterion:
        """The criterion as the gate reads it."""
        return Criterion(**self._common(), kind=self.kind, gap_of=self.of, positive=self.positive, ceiling=self.ceiling,
                         gap_margin=self.margin, min_ratio=self.min_ratio)  # fmt: skip


class Churn(_CriterionBase):
    """Not too many items may change, even where the mean stays."""

    kind: Literal["churn"]
    """churn"""
    ceiling: OpenShare
    """Largest share."""
    of: Literal["negative_flips", "changed"] = "negative_flips"
    """Items lost, or items that changed either way."""
    assay: Literal["when_known", "skip"] = "when_known"
    """Whether the teacher must be proven to have more items right than may be lost."""


class Efficiency(Declared):
    """A measured quantity of the student must lie within a ratio of the teacher's."""

    id: CriterionId
    """Name in decisions and waivers."""
    kind: Literal["efficiency"]
    """efficiency"""
    measure: str
    """Name of the quantity, such as ``parameters``."""
    max_ratio: Positive | None = None
    """Largest student / teacher."""
    min_ratio: Positive | None = None
    """Smallest student / teacher."""
    advisory: bool = False
    """Judge and show only: the criterion never decides."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Efficiency:
        if self.max_ratio is None and self.min_ratio is None:
            raise ValueError("names neither max_ratio nor min_ratio\nAdd one: it judges nothing without.")
        return self

    def frozen(self) -> Criterion:
        """The criterion as the gate reads it."""
        return Criterion(**{name: getattr(self, name) for name in type(self).model_fields})


AnyCriterion = Annotated[
    NonInferiority | Retention | Floor | Ceiling | Exposure | Calibration | Gap | Churn | Efficiency, Field(discriminator="kind")
]
