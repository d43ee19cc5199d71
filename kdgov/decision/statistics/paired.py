"""Bounds for paired right-or-wrong items: Tango's score bound, and Newcombe's hybrid one beside it and for clusters.

As everywhere in the gate, the difference is student - teacher in the metric's better direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kdgov.decision.statistics.distributions import normal_quantile, rising_root, student_quantile

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TangoInterval:
    """Score bound for the difference of paired proportions.

    Null hypothesis: the drop is exactly the tested one. Assumes independent pairs. Keeps its level from n = 100 on and
    stays honest with no discordant pair at all, where a Wald bound or a bootstrap would claim certainty.

    Source: Tango 1998, Statistics in Medicine 17:891.
    """

    lost: float
    """Items the teacher had right and the student lost."""
    won: float
    """Items the student had right and the teacher lost."""
    n: float
    """Pairs; a plan may ask for parts of one."""
    method: str = "tango"

    @property
    def estimate(self) -> float:
        """(won - lost) / n."""
        return (self.won - self.lost) / self.n

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound: the drops at which the score reaches the quantile."""
        z = normal_quantile(1.0 - alpha)
        drop = -self.estimate
        # The root lies within about one Wald width of the estimate: looked for there first, it takes half the steps.
        reach = 1.5 * z * math.sqrt(self.lost + self.won + z * z) / self.n
        far, near = min(drop + reach, 1.0), max(drop - reach, -1.0)
        most = rising_root(lambda m: -self.score(m) - z, *((drop, far) if self.score(far) < -z else (far, 1.0)))
        least = rising_root(lambda m: z - self.score(m), *((near, drop) if self.score(near) > z else (-1.0, near)))
        return -most, -least

    def grown(self, factor: float) -> TangoInterval:
        """More pairs, the same rates."""
        return replace(self, lost=self.lost * factor, won=self.won * factor, n=self.n * factor)

    def score(self, drop: float) -> float:
        """Tango's Z for a true drop; positive where more was lost than ``drop``, decreasing in ``drop``."""
        if drop < 0:
            return -_score(self.won, self.lost, self.n, -drop)
        return _score(self.lost, self.won, self.n, drop)


def _score(lost: float, won: float, n: float, drop: float) -> float:
    linear = -lost - won + (2 * n - lost + won) * drop
    q = (math.sqrt(max(linear * linear + 8 * n * won * drop * (1 - drop), 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + drop * (1 - drop))
    excess = lost - won - n * drop
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess) if excess else 0.0


def tango_scores(lost: Values, won: Values, n: int, drop: float) -> Values:
    """Tango's Z of many tables of n pairs at once, for a true drop > 0; the very formula of `TangoInterval.score`."""
    m = drop
    linear = -lost - won + (2 * n - lost + won) * m
    q = (np.sqrt(np.maximum(linear * linear + 8 * n * won * m * (1 - m), 0.0)) - linear) / (4 * n)
    scores: Values = (lost - won - n * m) / np.sqrt(n * (2 * q + m * (1 - m)))
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcombeInterval:
    """Hybrid Wilson bound for the difference of paired proportions, with effective counts for clustered items.

    Assumes independent pairs, or counts divided by their design effect with ``df`` = clusters - 1 for the quantile.

    Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10.
    """

    both: float
    """Both right."""
    lost: float
    """Only the teacher right."""
    won: float
    """Only the student right."""
    neither: float
    """Both wrong."""
    df: float = 0
    """Degrees of freedom of the quantile; 0 means the normal one."""
    method: str = "newcombe"

    @property
    def estimate(self) -> float:
        """(won - lost) / n."""
        return (self.won - self.lost) / (self.both + self.lost + self.won + self.neither)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lower and upper one-sided bound in closed form."""
        z = student_quantile(1.0 - alpha, self.df) if self.df else normal_quantile(1.0 - alpha)
        a, b, c, e = self.both, self.lost, self.won, self.neither
        n = a + b + c + e
        student, teacher = (a + c) / n, (a + b) / n
        low_s, high_s = wilson(student, n, z)
        low_t, high_t = wilson(teacher, n, z)
        phi = self._correlation()
        down, up = student - low_s, high_t - teacher
        rise, fall = high_s - student, teacher - low_t
        lower = student - teacher - math.sqrt(max(down * down - 2 * phi * down * up + up * up, 0.0))
        upper = student - teacher + math.sqrt(max(rise * rise - 2 * phi * rise * fall + fall * fall, 0.0))
        return max(lower, -1.0), min(upper, 1.0)

    def grown(self, factor: float) -> NewcombeInterval:
        """More pairs, the same rates; clusters grow in number."""
        cells = {name: getattr(self, name) * factor for name in ("both", "lost", "won", "neither")}
        return replace(self, **cells, df=max(round((self.df + 1) * factor) - 1, 1) if self.df else 0)

    def _correlation(self) -> float:
        a, b, c, e = self.both, self.lost, self.won, self.neither
        scale = (a + b) * (c + e) * (a + c) * (b + e)
        if scale <= 0:
            return 0.0
        cross = a * e - b * c
        # Newcombe's continuity correction of phi applies to positive association only.
        return (max(cross - (a + b + c + e) / 2, 0.0) if cross > 0 else cross) / math.sqrt(scale)


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score limits of one proportion.

    Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.
    """
    middle = share + z * z / (2 * n)
    width = z * math.sqrt(max(share * (1 - share), 0.0) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max((middle - width) / scale, 0.0), min((middle + width) / scale, 1.0)
