"""Cards, charts and tags: the verdict first, within MLflow's limits, and no word of a release is ever run."""

from __future__ import annotations

import datetime
import html.parser
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.errors import InputError
from kdgov.evidence.bundle import write_manifest
from kdgov.finding import Finding
from kdgov.items import read_items
from kdgov.recording.card.card_charts import charts_of
from kdgov.recording.card.card_page import html_card
from kdgov.recording.card.evidence_bundle import read_dossier
from kdgov.recording.card.huggingface_readme import hub_readme
from kdgov.recording.card.model_card import DESCRIPTION_LIMIT, full_card, short_card
from kdgov.recording.card.tags import TAG_LIMIT, version_tags
from kdgov.recording.card.write_card import write_card_files
from kdgov.recording.runs import model_metrics
from kdgov.report.escaping import escaped, markdown, plain
from tests.recording.evidence_bundle import drawn_bundle as bundle

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> [click](javascript:alert(1)) `code` | cell \u202e evil \x00 ![x](http://evil/t.gif)"


@pytest.fixture
def good(tmp_path):
    return read_dossier(bundle(tmp_path / "good"))


@pytest.fixture
def bad(tmp_path):
    return read_dossier(bundle(tmp_path / "bad", verdict="fail"))


@pytest.fixture
def hostile(tmp_path):
    finding = Finding(check="licence", verdict="block", subject=HOSTILE, reason=HOSTILE, mend=HOSTILE, rule="licence.deny")
    return read_dossier(bundle(tmp_path / "hostile", verdict="fail", description=HOSTILE, findings=[finding]))


class Tags(html.parser.HTMLParser):
    """Collects every element and attribute name."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_first_line_is_the_verdict_and_names_what_blocks(good, bad):
    assert short_card(good).splitlines()[0].startswith("**✔ PASS: the student may be promoted**")
    first, why = short_card(bad).splitlines()[:2]
    assert first.startswith("**✖ FAIL")
    assert "safety-retained" in why
    assert "41.0 points" in why
    assert "policy default 2026.11" in short_card(bad).split("\n\n")[0]


def test_the_short_card_fits_postgresql_whatever_the_release_says(tmp_path, good):
    long = read_dossier(bundle(tmp_path / "long", description="word " * 5000))
    rows = [{**good.criteria[0], "id": f"criterion-{i}", "task": f"task-{i}" * 10, "reason": "why " * 100} for i in range(200)]
    import dataclasses

    many = dataclasses.replace(long, decision={**long.decision, "criteria": rows})
    assert len(short_card(many)) <= DESCRIPTION_LIMIT
    assert short_card(many).startswith("**✔ PASS")


def test_the_distillation_sentence_says_smaller_and_share_kept_with_its_bound(good):
    assert "60 % smaller" in short_card(good)
    assert "99.6 % of its capability" in short_card(good)
    assert "at least 98.7 %" in short_card(good)


def test_an_absent_suite_is_said_not_left_out(good):
    assert "**bias** was not run" in short_card(good)
    assert version_tags(good, at=NOW)["kdgov.suite.bias"] == "ABSENT"


def test_hostile_words_are_shown_never_run(hostile, tmp_path):
    page = Tags()
    page.feed(html_card(hostile, hostile.name, charts_of(hostile)))
    assert not page.elements & {"script", "img", "iframe", "object", "a"}
    assert not {name for name in page.attributes if name.startswith("on")} | page.attributes & {"href", "src"}
    for text in (short_card(hostile), full_card(hostile)):
        assert "<script" not in text
        assert "<img" not in text
        # Every bracket of theirs is escaped, so none of them makes a link or a picture; no address links by itself.
        assert not re.search(r"(?<!\\)\]\((?!\.\./charts/)", text)
        assert "http:" not in text
        assert "javascript:" not in text
        assert "\u202e" not in text
    for _, _, svg in charts_of(hostile):
        ET.fromstring(svg)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_escaped_text_never_opens_an_element_or_a_link(text):
    assert "<" not in escaped(text)
    shown = markdown(text)
    assert "<" not in shown
    assert "\n" not in shown
    assert "](" not in shown.replace("\\](", "")
    assert len(plain(text, limit=10)) <= 10


def test_charts_are_well_formed_and_the_same_every_time(bad):
    first, second = charts_of(bad), charts_of(bad)
    assert first == second
    assert [name for name, _, _ in first] == ["forest.svg", "before-after.svg"]
    for _, _, svg in first:
        root = ET.fromstring(svg)
        assert root.find("{http://www.w3.org/2000/svg}title") is not None


def test_the_measured_sentence_is_the_cards_sentence(tmp_path):
    folder = bundle(tmp_path / "measured")
    (folder / "efficiency.json").write_text(
        json.dumps({"statement": "The student is 57% smaller and keeps 99.1% (90 % interval 98 to 100)."})
    )
    write_manifest(folder)
    dossier = read_dossier(folder)
    for words in (short_card(dossier), html_card(dossier, "m", [])):
        assert "57% smaller and keeps 99.1%" in words


def test_papers_are_byte_equal_when_written_again(good, tmp_path):
    for name in ("one", "two"):
        write_card_files(good, good.name, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 6
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_the_hub_reads_the_readme_and_its_results(bad):
    card = ModelCard(hub_readme(bad, bad.name))
    results = card.data.eval_results
    assert [(r.dataset_type, r.metric_type, r.metric_value) for r in results] == [
        ("capability/facts", "acc", 0.926),
        ("safety/refusal", "refused", 0.44),
    ]
    block = yaml.safe_load(hub_readme(bad, bad.name).split("---")[1])
    assert block["model-index"][0]["name"] == bad.name
    assert "kdgov-verdict-fail" in block["tags"]


def test_tags_answer_a_risk_teams_questions(bad, good):
    tags = version_tags(bad, at=NOW)
    assert tags["kdgov.verdict"] == "FAIL"
    assert tags["kdgov.blocked"] == "2026-11-21"
    assert "Llama-3.1-70B" in tags["kdgov.trained_on"]
    assert tags["kdgov.licenses"] == "CC-BY-4.0, llama3.1"
    assert "kdgov.blocked" not in version_tags(good, at=NOW)
    assert all(len(value) <= TAG_LIMIT for value in tags.values())


def test_a_bundle_with_a_changed_file_is_not_read(tmp_path):
    folder = bundle(tmp_path / "b")
    (folder / "student/items.parquet").write_bytes(b"forged")
    with pytest.raises(InputError, match=r"student/items\.parquet was changed"):
        read_dossier(folder)


def test_one_model_and_metric_has_one_value_in_every_export_and_it_is_the_mean_of_the_items(tmp_path):
    """A criterion that counts flips of accuracy must not put its rate of flips where the accuracy belongs."""
    folder = bundle(tmp_path / "flips")
    decision = json.loads((folder / "decision.json").read_bytes())
    flips_of_accuracy = {**decision["criteria"][0], "id": "flips", "kind": "churn", "teacher": None, "student": 0.0, "method": "clopper"}
    decision["criteria"].append(flips_of_accuracy)
    (folder / "decision.json").write_text(json.dumps(decision))
    write_manifest(folder)
    dossier = read_dossier(folder)
    mean = float(np.mean(read_items(folder / "student" / "items.parquet").scores[:4]))
    assert mean == pytest.approx(0.926)
    assert dict(model_metrics(dossier, "student"))["capability/facts/acc"] == pytest.approx(mean)
    hub = ModelCard(hub_readme(dossier, dossier.name)).data.eval_results
    assert {(r.dataset_type, r.metric_type): r.metric_value for r in hub}[("capability/facts", "acc")] == pytest.approx(mean)


def test_the_card_prints_numbers_as_the_terminal_does(bad):
    row = next(line for line in full_card(bad).splitlines() if "safety-retained" in line and line.startswith("| FAIL"))
    assert "85.0 % | 44.0 % | −41.0 | −46.0 | −1.0 |" in row
    assert "e−" not in full_card(bad)
