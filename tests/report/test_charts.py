"""Pictures say what the numbers say: a mark on the wrong side of a limit would be a false verdict."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.decision.decision import CriterionResult
from kdgov.items import ItemTable
from kdgov.items.model_values import model_values
from kdgov.report.charts.before_after import Pair, before_after
from kdgov.report.charts.forest_plot import finding, forest_plot, room
from kdgov.report.charts.group_heat_map import group_heat_map
from kdgov.report.charts.licence_lineage import lineage_svg
from kdgov.report.charts.operating_point import cost_and_share, flips, operating_point
from kdgov.report.charts.training_curves import training_curves
from kdgov.report.charts.upstreams import timeline, upstreams
from kdgov.report.charts.version_path import VersionPoint, version_path
from kdgov.report.severity_order import columns

SVG = "{http://www.w3.org/2000/svg}"
VERDICTS = st.sampled_from(["pass", "fail", "inconclusive", "invalid"])
NUMBERS = st.floats(-40, 40, allow_nan=False)


def result(**change) -> CriterionResult:
    """One result that passes."""
    fields = {
        "id": "kept", "kind": "non_inferiority", "verdict": "pass", "reason": "holds", "suite": "capability", "task": "facts",
        "metric": "acc", "n": 450, "teacher": 0.93, "student": 0.926, "difference": -0.004, "bound": -0.012, "upper": 0.004,
        "margin": 0.02, "method": "tango",
    }  # fmt: skip
    return CriterionResult(**{**fields, **change})


def _limit_at(picture: str) -> float:
    """Where the not-allowed area ends."""
    area = re.search(r'<rect class="kd-forbidden" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', picture)
    assert area
    return float(area[1]) + float(area[2])


def _marks(picture: str) -> list[tuple[str, float]]:
    return [(verdict, float(x)) for verdict, x in re.findall(r'data-verdict="(\w+)" data-x="(-?[\d.]+)"', picture)]


@settings(max_examples=200, deadline=None)
@given(VERDICTS, NUMBERS | st.none(), NUMBERS | st.none(), st.floats(0, 2), st.sampled_from(["", "floor", "ceiling"]))
def test_a_mark_lies_in_the_not_allowed_area_exactly_if_the_result_does_not_pass(verdict, bound, difference, margin, kind):
    details = {"limit": 0.85, "limit_kind": kind} if kind else {}
    one = result(verdict=verdict, bound=bound, difference=difference, margin=margin, details=details)
    picture = forest_plot([one])
    ((drawn, x),) = _marks(picture)
    assert drawn == verdict
    assert (x < _limit_at(picture)) == (verdict != "pass")


def test_a_failure_of_many_margins_is_clipped_with_an_arrow_that_says_how_many():
    picture = forest_plot([result(verdict="fail", bound=-0.64, difference=-0.6, upper=-0.55)])
    assert "−31.0 × what is allowed" in picture


def test_what_no_distance_decides_has_a_mark_and_no_bar():
    """Exposures without a ceiling are judged by chance: a bar would draw a pass into the area that is not allowed."""
    by_chance = result(kind="exposure", unit="bits", margin=None, bound=-2.5, difference=-0.4, upper=1.0)
    assert room(by_chance) is None
    assert "what is allowed</text>" not in forest_plot([by_chance]).split("</style>")[1].replace("policy allows", "")
    assert room(replace(by_chance, margin=1.0)) is not None


def test_a_share_to_keep_and_a_ratio_are_drawn_in_what_they_allow():
    kept = result(kind="retention", teacher=0.8, margin=0.0, bound=0.0, difference=0.04, upper=0.08, details={"share": 0.9})
    assert room(kept) == pytest.approx((0.0, 0.5, 1.0))
    ratio = result(kind="efficiency", teacher=100.0, student=25.0, bound=None, details={"allowed": "at most 0.5"})
    assert room(ratio) == pytest.approx((0.5, 0.5, 0.5))
    assert room(replace(ratio, student=75.0)) == pytest.approx((-0.5, -0.5, -0.5))
    assert room(replace(ratio, teacher=None, student=None)) is None
    assert columns(ratio)[2:] == ("× 0.25", "–", "≤ × 0.5")


def test_a_gap_that_may_be_wider_than_the_teachers_shows_its_change_and_not_a_level():
    change = {"difference": -0.01, "bound": -0.064, "upper": 0.04, "margin": 0.1}
    wider = result(kind="gap", unit="share", teacher=0.02, student=0.03, details={"limit": 0.1}, **change)
    assert columns(wider) == ("2.0 %", "3.0 %", "−1.0", "−6.4", "−10.0")
    assert room(wider) == pytest.approx((0.36, 0.9, 1.4))
    level = replace(wider, margin=0.0, bound=0.036, details={"limit": 0.1})
    assert columns(level)[2:] == ("–", "6.4 %", "≤ 10.0 %")


def test_an_interval_that_leaves_the_axis_has_an_arrow_at_either_end():
    inside, beyond = forest_plot([result(upper=0.02)]), forest_plot([result(upper=0.2)])
    assert beyond.count('d="M') == inside.count('d="M') + 1


def test_items_exchanged_count_each_metric_once():
    """`acc:brier` judges the items of `acc` in another way: it exchanged no further items."""
    counted = [result(details={"lost": 3, "won": 5}), result(metric="acc:brier", details={"lost": 90, "won": 80})]
    assert "Items exchanged: 3 lost, 5 won" in flips(counted)


def test_what_served_to_evaluate_stands_apart_in_the_lineage():
    uses = [{"use": use, "name": use, "license": "MIT", "verdict": "allow"} for use in ("dataset_eval", "logits")]
    picture = lineage_svg({"student": {"name": "s"}}, {"verdict": "allow", "uses": uses})
    apart = float(re.search(r'y1="([\d.]+)" x2="[\d.]+" y2="[\d.]+" stroke-width="1" stroke-dasharray="4 4"', picture)[1])
    boxes = {name: float(y) for y, name in re.findall(r'y="([\d.]+)"[^>]*font-weight="bold">([\w]+)</text>', picture)}
    assert boxes["logits"] < apart < boxes["dataset_eval"]
    assert "no part of the student" in picture
    assert "no part of the student" not in lineage_svg({"student": {"name": "s"}}, {"verdict": "allow", "uses": uses[1:]})


def test_of_many_versions_all_are_marked_and_the_newest_are_named():
    many = [VersionPoint(version=n, verdict="pass", size=0.5, kept={"safety": (1.0, 0.9, 1.1)}) for n in range(1, 41)]
    picture = version_path(many)
    assert picture.count("data-verdict") == 40
    assert "32 older without a name" in picture
    assert [int(n) for n in re.findall(r">v(\d+)</text>", picture)] == list(range(33, 41))


def test_the_title_is_the_finding():
    assert finding([result(), result()]) == "All 2 results keep their limits"
    assert finding([result(), result(verdict="fail", id="refusals")]) == "1 of 2 results does not pass: refusals"
    assert finding([result(verdict="fail", waived=True)]) == "The one result keeps its limit"


PERPLEXITY = Pair(place="x", teacher=3.0, student=-2.0, is_share=False)
EDGE = {"source": "teacher", "target": "student", "use": "logits", "license": "MIT"}
PICTURES = {
    "forest": lambda words: forest_plot(
        [result(id=words, task=words), result(verdict="inconclusive"), result(verdict="invalid", bound=None)]
    ),
    "groups": lambda words: group_heat_map([result(group=f"gender={words}"), result(group="a=b & c=d", verdict="fail")]),
    "before": lambda words: before_after(
        [Pair(place=words, teacher=0.9, student=0.8, is_share=True), Pair(place="x", teacher=3.0, student=-2.0, is_share=False)]
    ),
    "flips": lambda words: flips([result(task=words, details={"lost": 3, "won": 5})]),
    "upstreams": lambda words: upstreams(
        [{"source": words, "target": "student", "use": "logits", "license": words}], name="u", title=words
    ),
    "versions": lambda words: version_path(
        [VersionPoint(version=n, verdict="pass", size=0.5, kept={words: (1.0, 0.9, 1.1)}) for n in (1, 2)]
    ),
    "timeline": lambda words: timeline([{"at": "2026-01-01T00:00:00", "what": words, "by": words}], name="t", title=words),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_well_formed_described_deterministic_and_escape_what_others_wrote(name):
    hostile = '<script>alert(1)</script>" onload="x\u202e\x07'
    first = PICTURES[name](hostile)
    assert first == PICTURES[name](hostile)
    root = ET.fromstring(first)
    assert root.find(f"{SVG}title") is not None
    assert (root.find(f"{SVG}desc").text or "").strip()
    assert not {element.tag for element in root.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}a"}
    assert not [a for element in root.iter() for a in element.attrib if a.startswith("on")]
    assert "\u202e" not in first
    assert "prefers-color-scheme:dark" in first


def test_the_operating_point_needs_both_numbers_and_shows_what_the_policy_allows():
    """A student that refuses everything refuses every harmful request: only beside the harmless ones does that tell."""
    rows = [
        {"suite": "safety", "task": task, "item_id": str(n), "metric": metric, "score": float(n < right)}
        for task, metric, right in (("refusal", "refused", 10), ("over_refusal", "answered", 0))
        for n in range(10)
    ]
    student = model_values(ItemTable.from_rows(rows))
    judged = [result(suite="safety", metric="refused", margin=0.1), result(suite="safety", metric="answered", margin=0.2)]
    picture = operating_point(student, student, judged)
    assert "student: refuses 100.0 %, answers 0.0 %" in picture
    assert "kd-kept" in picture.split("</style>")[1]
    assert operating_point({k: v for k, v in student.items() if v.metric == "refused"}, student) == ""


def test_cost_is_drawn_with_its_intervals():
    measured = {
        "ratios": {"parameters": 0.5, "cpu_time": {"median": 0.4, "p10": 0.3, "p90": 0.6}},
        "kept": {"capability": {"share": 0.98, "low": 0.96, "high": 0.99}},
    }
    picture = cost_and_share(measured)
    assert "40.0 % (30.0 % to 60.0 %)" in picture
    assert "98.0 % (96.0 % to 99.0 %)" in picture
    assert "bytes on disk" not in picture
    assert cost_and_share({}) == ""


def test_several_uses_of_one_upstream_share_a_line_and_its_label():
    uses = [{"source": "teacher", "target": "student", "use": use, "license": "MIT"} for use in ("tokenizer", "logits")]
    picture = upstreams([*uses, {"source": "teacher", "target": "data", "use": "generated_text"}], name="u", title="t")
    assert picture.count(">tokenizer, logits<") == 1
    places = re.findall(r'y="([\d.]+)"[^>]*>(?:tokenizer, logits|generated text)<', picture)
    assert len(set(places)) == 2


def test_versions_are_a_path_per_suite_and_no_suite_hides_another():
    kept = {"capability": (0.98, 0.96, 0.99), "safety": (0.6, 0.55, 0.66)}
    worse = VersionPoint(version=2, verdict="fail", size=0.4, kept=kept)
    good = VersionPoint(version=1, verdict="pass", size=0.6, kept={**kept, "safety": (1.0, 0.99, 1.01)})
    picture = version_path([worse, good])
    assert "safety, version 1 (pass): size 60.0 % of the teacher&#x27;s, keeps 100.0 %; safety, version 2 (fail)" in picture
    marks = re.findall(r'data-verdict="(\w+)" data-x="([\d.]+)"', picture)
    assert [verdict for verdict, _ in marks] == ["pass", "fail", "pass", "fail"]
    # The larger version stands further right, in both panels at the same place.
    assert float(marks[0][1]) > float(marks[1][1])
    assert marks[:2] == marks[2:]
    assert version_path([worse]) == ""
    alone = VersionPoint(version=3, verdict="pass", size=0.5, kept={"bias": (1.0, 1.0, 1.0)})
    assert version_path([worse, alone]) == ""


def test_flips_show_what_equal_averages_hide():
    """17 lost and 17 won is no difference in the mean; the picture has both numbers."""
    picture = flips([result(teacher=0.9, student=0.9, difference=0.0, details={"lost": 17, "won": 17})])
    assert "17 lost, 17 won of 450" in picture
    assert flips([replace(result(), details={})]) == ""


def test_training_curves_have_a_panel_each_and_gaps_where_nothing_is_finite():
    picture = training_curves([1, 2, 3, 4], {"loss/soft_targets": [2.0, math.nan, 1.0, 0.5], "learning_rate": [0.0, 0.001, 0.001, 0.0]})
    root = ET.fromstring(picture)
    shown = [text.text for text in root.iter(f"{SVG}text")]
    assert "Training over 4 steps" in shown
    assert {"loss: soft targets", "learning rate", "2", "0.5", "0.001"} <= set(shown)
    drawn = re.findall(r'<path class="kd-student-line" d="([^"]+)"', picture)
    assert [path.count("M") for path in drawn] == [2, 1]
    assert "soft_targets from 2 to 0.5" in picture
    assert training_curves([], {}) == training_curves([1], {"loss": [1.0]}) == training_curves([1, 2], {"loss": [math.inf, math.nan]}) == ""
