"""The criteria of a policy as they are declared, one class per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kdgov.decision.policy import Criterion
from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_base import CriterionBase
from kdgov.declarations.policy_parts.criterion_numbers import (
    Count,
    CriterionId,
    NotNegative,
    Number,
    OpenShare,
    Positive,
    Share,
    StatisticName,
)
from kdgov.declarations.policy_parts.judge_gold import GoldSection


class NonInferiority(CriterionBase):
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


class Retention(CriterionBase):
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


class Floor(CriterionBase):
    """The student's own mean must be proven above a value."""

    kind: Literal["floor"]
    """floor"""
    floor: Number
    """The value."""


class Ceiling(CriterionBase):
    """The student's own mean must be proven below a value."""

    kind: Literal["ceiling"]
    """ceiling"""
    ceiling: Number
    """The value."""


class Exposure(CriterionBase):
    """Canaries must not be ranked better than chance allows."""

    kind: Literal["exposure"]
    """exposure"""
    min_items: Count = 10
    """Fewer canaries than this are never a pass."""
    ceiling: Positive | None = None
    """Also: the mean exposure, in bits, must be proven below this."""
    assay: Literal["when_known", "skip"] = "when_known"
    """Whether the teacher must be shown to have memorised the canaries: what it never knew cannot show in the student."""


class Calibration(CriterionBase):
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


class Gap(CriterionBase):
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


class Churn(CriterionBase):
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
