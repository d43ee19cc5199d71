"""The law over all exports: a model has one value per metric wherever it is named, the mean of its items; each mark fits its verdict.

Three releases, judged for real: a good one, an unsafe one, and one by a policy with many kinds of criterion on the same metric. Means are
taken from the item files by pyarrow alone, not by the code that the exports share.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict

import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from kdgov.auditing.bom.cyclonedx import cyclonedx
from kdgov.auditing.review.practice_record import measures_of
from kdgov.auditing.review.result import Subject
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.recording.card.card_charts import charts_of
from kdgov.recording.card.evidence_bundle import read_dossier
from kdgov.recording.card.huggingface_readme import hub_readme
from kdgov.recording.runs import criterion_metrics, model_metrics, student_numbers
from kdgov.report.charts.forest_plot import forest_plot
from tests.recording.evidence_bundle import bundle

MANY_KINDS = b"""schema: kdgov.policy/1
name: many
version: "1"
criteria:
  - {id: kept, kind: non_inferiority, suite: capability, direction: higher, margin: 0.02, min_items: 100}
  - {id: share, kind: retention, suite: capability, direction: higher, share: 0.9, min_items: 100}
  - {id: least, kind: floor, suite: capability, direction: higher, floor: 0.5, min_items: 100}
  - {id: most, kind: ceiling, suite: capability, direction: lower, ceiling: 0.99, min_items: 100, advisory: true}
  - {id: flips, kind: churn, suite: capability, direction: higher, ceiling: 0.1, min_items: 100}
  - {id: safety-retained, kind: non_inferiority, suite: SAFETY, direction: higher, margin: 0.05, min_items: 100}
"""
RELEASES = {"good": {}, "unsafe": {"verdict": "fail"}, "many-kinds": {"policy": MANY_KINDS}}
SCORED = ("non_inferiority", "retention")
"""Kinds whose two numbers are the models' own scores."""


@pytest.fixture(scope="module", params=list(RELEASES))
def folder(request, tmp_path_factory):
    return bundle(tmp_path_factory.mktemp("law") / request.param, **RELEASES[request.param])


def means(folder, role: str) -> dict[tuple[str, str, str], float]:
    """(suite, task, metric) → mean score, from the file."""
    scores = defaultdict(list)
    for row in pq.read_table(folder / role / "items.parquet").to_pylist():
        scores[(row["suite"], row["task"], row["metric"])].append(row["score"])
    return {key: sum(found) / len(found) for key, found in scores.items()}


def test_every_export_gives_the_mean_of_the_items(folder):
    dossier, material = read_dossier(folder), BundleReader(folder)
    for role in ("teacher", "student"):
        true = means(folder, role)
        assert true
        for key, value in dict(model_metrics(dossier, role)).items():
            suite, task, metric = key.split("/")
            assert value == pytest.approx(true[(suite, task, metric)]), (role, key)
        assert len(dict(model_metrics(dossier, role))) == len(true)
        for measure in measures_of(material):
            value = getattr(measure, role)
            if measure.kind in SCORED and value is not None:
                assert value == pytest.approx(true[tuple(measure.place.split("/"))]), (role, measure.id)
    student = means(folder, "student")
    logged = {m.key: m.value for m in student_numbers(dossier, at_ms=0, model_id="m")}
    assert logged == pytest.approx({"/".join(key): value for key, value in student.items()})
    hub = ModelCard(hub_readme(dossier, dossier.name)).data.eval_results
    assert {(r.dataset_type, r.metric_type): r.metric_value for r in hub} == pytest.approx(
        {(f"{suite}/{task}", metric): value for (suite, task, metric), value in student.items()}
    )
    bill = cyclonedx(material, Subject(name=dossier.name, version=1), at="2026-11-27T00:00:00Z")
    rows = bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    named = {(row["slice"], row["type"]): float(row["value"]) for row in rows if "slice" in row}
    for role in ("teacher", "student"):
        for key, value in means(folder, role).items():
            if (role, "/".join(key)) in named:
                assert named[(role, "/".join(key))] == pytest.approx(value, rel=1e-5), (role, key)
    assert ("student", "capability/facts/acc") in named


def test_one_name_never_carries_two_numbers(folder):
    dossier = read_dossier(folder)
    rows = list(criterion_metrics(dossier))
    assert len(rows) == len({name for name, _ in rows})
    bill = cyclonedx(BundleReader(folder), Subject(name=dossier.name, version=1), at="2026-11-27T00:00:00Z")
    found = defaultdict(set)
    for row in bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]:
        if "slice" in row:
            found[(row["slice"], row["type"])].add(row["value"])
    assert {name: values for name, values in found.items() if len(values) > 1} == {}


def test_each_mark_lies_on_the_side_of_its_verdict_and_no_number_has_an_exponent(folder):
    dossier = read_dossier(folder)
    picture = forest_plot(dossier.results)
    area = re.search(r'<rect class="kd-forbidden" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', picture)
    limit = float(area[1]) + float(area[2])
    marks = re.findall(r'data-verdict="(\w+)" data-x="(-?[\d.]+)"', picture)
    assert len(marks) == len(dossier.results)
    assert [(verdict, float(x) < limit) for verdict, x in marks] == [(r.verdict, r.verdict != "pass") for r in dossier.results]
    for _, _, svg in charts_of(dossier):
        shown = re.findall(r">([^<]+)<", re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL))
        assert not [text for text in shown if re.search(r"\d[eE][-−+]?\d", text)]
    assert all(math.isfinite(value) for _, value in criterion_metrics(dossier))
