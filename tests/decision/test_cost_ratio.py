"""Cost and speed are judged by the interval of paired repeated measurements: decided, or inconclusive; prices are said to be declared."""

from __future__ import annotations

import numpy as np
import pytest

from kdgov.decision.criteria.cost_ratio import judge_efficiency
from kdgov.decision.policy import Criterion
from kdgov.evaluation.results.paired_turns import LOOKS, are_decided, median_ratio, quantile_ratio
from kdgov.report.text import as_text


class Tables:
    """What an efficiency criterion reads."""

    def __init__(self, **measured: dict[str, float]) -> None:
        self.measurements = measured


def latency(low: float, high: float) -> Tables:
    name, middle = "latency_p50_ms", (low * high) ** 0.5
    return Tables(
        teacher={name: 10.0}, student={name: 10 * middle},
        ratio={name: middle}, ratio_low={name: low}, ratio_high={name: high}, ratio_pairs={name: 36.0},
    )  # fmt: skip


def judged(tables: Tables, *, measure: str = "latency_p50_ms", **limits: float):
    return judge_efficiency(Criterion(id="cost", kind="efficiency", measure=measure, **limits), tables)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.3, 0.5, "pass"), (0.3, 0.6, "pass"), (0.55, 0.65, "inconclusive"), (0.61, 0.7, "fail")]
)
def test_the_interval_decides_and_never_the_single_number(low, high, verdict):
    found = judged(latency(low, high), max_ratio=0.6)
    assert found.verdict == verdict
    assert f"({low:.3f} to {high:.3f}, 36 pairs)" in found.shown
    assert str(low) not in found.reason, "what differs on every run stays out of the decision's bytes"


def test_both_limits_have_to_be_cleared():
    assert judged(latency(0.3, 0.5), max_ratio=0.6, min_ratio=0.25).verdict == "pass"
    assert judged(latency(0.3, 0.5), max_ratio=0.6, min_ratio=0.4).verdict == "inconclusive"
    assert judged(latency(0.3, 0.5), max_ratio=0.6, min_ratio=0.7).verdict == "fail"


@pytest.mark.parametrize(("ratio", "verdict"), [(0.5, "pass"), (0.56, "inconclusive"), (0.64, "inconclusive"), (0.7, "fail")])
def test_what_was_measured_once_decides_only_far_from_the_limit(ratio, verdict):
    found = judged(
        Tables(teacher={"peak_memory_bytes": 100.0}, student={"peak_memory_bytes": 100 * ratio}), measure="peak_memory_bytes", max_ratio=0.6
    )
    assert found.verdict == verdict
    assert "measured once" in found.reason + found.shown


def test_a_price_is_said_to_be_declared_and_a_count_is_exact():
    price = Tables(teacher={"usd_per_task": 0.02, "parameters": 10.0}, student={"usd_per_task": 0.0119, "parameters": 5.9})
    told = judged(price, measure="usd_per_task", max_ratio=0.6)
    assert told.verdict == "pass"
    assert "declared, not measured" in told.reason
    assert "0.595" in told.reason
    counted = judged(price, measure="parameters", max_ratio=0.6)
    assert counted.verdict == "pass"
    assert "declared" not in counted.reason


@pytest.mark.parametrize("end", [float("nan"), 0.0, float("inf")])
def test_an_interval_that_is_none_is_invalid(end):
    assert judged(latency(0.3, end), max_ratio=0.6).verdict == "invalid"


def test_the_interval_of_the_median_holds_its_level():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        shared = rng.lognormal(0, 0.6, size=18)  # whatever else the machine does, in both turns of a pair
        teacher, student = shared * rng.lognormal(0, 0.1, size=18), 0.5 * shared * rng.lognormal(0, 0.1, size=18)
        found = median_ratio(teacher, student)
        assert found is not None
        missed += not found.low <= 0.5 <= found.high
    assert missed <= 12, "1 % by its level"


def test_too_few_pairs_have_no_interval():
    assert median_ratio([1.0] * 7, [1.0] * 7) is None
    assert quantile_ratio([1.0] * 19, [1.0] * 19, 0.95) is None


def test_twelve_repeats_of_one_pair_give_one_verdict_more_than_a_tenth_from_the_limit():
    """Simulated: turns that others interrupt at random, three in ten of them for up to twice their length; pairs share half of it."""
    for limit in (0.5 / 1.1, 0.5 * 1.1):
        verdicts = []
        for seed in range(12):
            rng = np.random.default_rng(seed)

            def turns(count: int, rng=rng) -> tuple[np.ndarray, np.ndarray]:
                shared = 1 + rng.uniform(0, 1, count) * (rng.random(count) < 0.3)
                alone = [1 + rng.uniform(0, 1, count) * (rng.random(count) < 0.15) + rng.normal(0, 0.02, count) for _ in range(2)]
                return shared * alone[0], 0.5 * shared * alone[1]

            teacher, student = turns(LOOKS[-1])
            for look in LOOKS:
                found = median_ratio(teacher[:look], student[:look])
                assert found is not None
                if are_decided({"latency_p50_ms": found}, {"latency_p50_ms": [limit]}):
                    break
            verdicts.append("pass" if found.high <= limit else "fail" if found.low > limit else "inconclusive")
        right = "pass" if limit > 0.5 else "fail"
        assert verdicts.count(right) >= 11, verdicts


def test_reports_show_the_measured_numbers(table, policy):
    from kdgov.decision.judgement import judge

    fast = Criterion(id="fast", kind="efficiency", measure="latency_p50_ms", max_ratio=0.6)
    read = Criterion(id="read", kind="floor", direction="higher", floor=0.1)
    scores = np.array([1.0] * 400 + [0.0] * 100)
    decision = judge(table(scores), table(scores), policy(fast, read), measurements=latency(0.3, 0.5).measurements)
    assert decision.verdict == "pass"
    assert "ratio 0.387 (0.300 to 0.500, 36 pairs)" in as_text(decision, verbose=True)
    assert b"0.387" not in decision.canonical
