"""A judge's error taken out of its verdicts: trusted scores on a random part of the items correct the difference on all of them.

The judge's difference is known on every item and may be wrong, the trusted one is right and known on a part. Their gap on that part
is what the judge is off by, so that the corrected difference holds for any judge; a good judge only makes it sharper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.clusters import Codes
from kdgov.decision.statistics.intervals import Interval
from kdgov.decision.statistics.methods import Estimate, of_differences
from kdgov.decision.statistics.paired import Values

NAME = "ppi++"
Known = npt.NDArray[np.bool_]
_TOO_ODD = 4.0
"""Standard errors between the judge's mean on the part with gold and on the rest from which the part is no random one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionPoweredInterval:
    """Bound of the corrected difference: gap between gold and judge on the part, plus the judge's share on the other items.

    Source: Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453 (PPI++), for the estimate and the tuned share; Zou and Donner 2008,
    Statistics in Medicine 27:1693 (MOVER), for the bound of a sum from the bounds of its parts.
    """

    gap: Interval
    """Mean of gold - share x judge over the items with gold."""
    others: Interval
    """Mean of the judge's difference over the items without."""
    share: float
    """How much of the judge's difference is used, 0 … 1."""
    inflation: float
    """By how much the gap's bound widens because the share was tuned on the same items."""
    together: bool = False
    """Whether the two parts share clusters: their widths then add up."""
    method: str = NAME

    @property
    def estimate(self) -> float:
        """The corrected difference."""
        return self.gap.estimate + self.share * self.others.estimate

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound."""
        (low, high), (least, most) = self.gap.bounds(alpha), self.others.bounds(alpha)
        down = self._joined(self.gap.estimate - low, self.others.estimate - least)
        up = self._joined(high - self.gap.estimate, most - self.others.estimate)
        return self.estimate - down, self.estimate + up

    def grown(self, factor: float) -> Interval:
        """Both parts grow."""
        return replace(self, gap=self.gap.grown(factor), others=self.others.grown(factor))

    def _joined(self, gap: float, others: float) -> float:
        one, other = self.inflation * gap, self.share * others
        return one + other if self.together else math.hypot(one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A difference freed of the judge's error."""

    estimate: Estimate
    """The corrected difference."""
    share: float
    """How much of the judge's difference was used."""
    known: Known
    """Items on which both models have gold."""


def corrected(judged: Values, gold: Values, *, clusters: Codes | None = None, reach: float | None = None, odd: str = "") -> Corrected:
    """The difference that gold corrects.

    Args:
        judged: the judge's student - teacher in the better direction, shape (n,).
        gold: the trusted one, NaN where an item has none; at least three are there.
        clusters: cluster number of every item; None where items are independent.
        reach: largest possible difference of one item.
        odd: what speaks against the items with gold being a random part; it hinders a pass.
    """
    known = ~np.isnan(gold)
    share = tuned_share(judged, gold, known)
    parts = [None if clusters is None else np.unique(clusters[mask], return_inverse=True)[1].astype(np.int64) for mask in (known, ~known)]
    span = None if reach is None else (1.0 + share) * reach
    gap = of_differences(gold[known] - share * judged[known], clusters=parts[0], reach=span)
    count = int(known.sum())
    interval, hindrances = _alone(gap.interval), [odd, gap.hindrance]
    if share > 0:
        others = of_differences(judged[~known], clusters=parts[1], reach=reach)
        inflation = math.sqrt((count - 1) / max(count - 2, 1))
        interval = replace(interval, others=others.interval, share=share, inflation=inflation, together=clusters is not None)
        hindrances.append(others.hindrance)
    hindrance = next((one for one in hindrances if one), "")
    estimate = Estimate(
        interval=interval,
        clusters=gap.clusters,
        design_effect=gap.design_effect,
        spread=gap.spread * len(judged) / count,
        hindrance=hindrance,
        items_for_trust=None if hindrance else 0,
        hidden=gap.hidden,
    )
    return Corrected(estimate=estimate, share=share, known=known)


def _alone(gap: Interval) -> PredictionPoweredInterval:
    return PredictionPoweredInterval(gap=gap, others=gap, share=0.0, inflation=1.0)


def tuned_share(judged: Values, gold: Values, known: Known) -> float:
    """How much of the judge's difference makes the corrected one sharpest: none of a judge that says nothing, or where all have gold."""
    count, rest = int(known.sum()), int((~known).sum())
    if rest == 0:
        return 0.0
    spread = float(judged.var())
    if spread <= 0:
        return 0.0
    together = float(np.mean((gold[known] - gold[known].mean()) * (judged[known] - judged[known].mean())))
    return min(max(together / ((1.0 + count / rest) * spread), 0.0), 1.0)


def is_odd_part(scores: Values, known: Known) -> bool:
    """Whether the judge's scores on the items with gold differ from the others' by more than a random part's would."""
    inside, outside = scores[known], scores[~known]
    if len(inside) < 2 or len(outside) < 2:
        return False
    error = math.sqrt(float(scores.var()) * (1 / len(inside) + 1 / len(outside)))
    return error > 0 and abs(float(inside.mean() - outside.mean())) > _TOO_ODD * error
