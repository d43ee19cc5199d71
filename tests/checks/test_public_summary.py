"""Public summaries: every item of the law answered from cards, what is unsaid named and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdgov.checks.regulation.article_53 import SOURCES, source_of
from kdgov.checks.regulation.public_summary import LAWS, public_summary, summary_markdown
from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.errors import InputError
from tests.command import kdgov

MODEL = ModelCard(schema="kdgov.model_card/1", name="m")
BARE = DatasetCard(schema="kdgov.dataset_card/1", name="d")
FULL = DatasetCard.model_validate(
    {
        "schema": "kdgov.dataset_card/1",
        "name": "full",
        "issuer": "Acme",
        "origin": "helpdesk",
        "intended_purpose": "answers",
        "files": [{"path": "a.jsonl", "rows": 1200, "size_bytes": 10}, {"path": "b.jsonl"}],
        "format": "application/jsonl",
        "license": "CC0-1.0",
        "personal_data": False,
        "generation_period": "2024 to 2025",
        "generation": {"generator": "big-model", "filters": ["judge"]},
        "further": {"aggregate_consumer_information": False, "first_used": "2026-01-05", "purchased": False},
    }
)


def test_ab_2013_has_its_twelve_items_for_every_dataset():
    found = public_summary("ab-2013", [("m.yaml", MODEL), ("d.yaml", BARE), ("f.yaml", FULL)])
    assert [section.title.partition(".")[0] for section in found.sections] == [str(n) for n in range(1, 13)]
    assert all([e.about for e in section.entries] == ["d", "full"] for section in found.sections)
    full = {section.title.partition(".")[0]: section.entries[1] for section in found.sections}
    assert all(entry.is_stated for entry in full.values())
    assert "1,200 examples" in full["3"].text
    assert "no number of examples: 1" in full["3"].text
    assert "public domain" in full["5"].text
    assert full["8"].text == "no"
    assert "big-model" in full["12"].text


def test_what_a_card_leaves_unsaid_is_named_with_the_key_and_never_answered():
    """A bare card answers nothing but the kinds of its files, of which it has none: no "no", no "none"."""
    found = public_summary("ab-2013", [("m.yaml", MODEL), ("d.yaml", BARE)])
    assert {section.entries[0].text for section in found.sections} == {"not stated"}
    assert len(found.missing) == 12
    assert all("d.yaml" in text for text in found.missing)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"generation": {"generator": "x"}}, "synthetic"),
        ({"generation_method": "Crawled from the web"}, "crawled"),
        ({"generation_method": "logged production inputs"}, "users"),
        ({"generation_method": "licensed from a publisher"}, "private"),
        ({"location": "https://example.org/data"}, "public"),
        ({}, "other"),
    ],
)
def test_article_53_sorts_sources_by_how_they_came_to_be(fields, kind):
    card = DatasetCard.model_validate({"schema": "kdgov.dataset_card/1", "name": "d", **fields})
    assert source_of(card) == kind
    found = public_summary("article-53", [("m.yaml", MODEL), ("d.yaml", card)])
    holding = [s.title for s in found.sections if s.title.startswith("2.") and s.entries[0].about == "d"]
    assert holding == [SOURCES[kind]]


@pytest.mark.parametrize("law", sorted(LAWS))
def test_hostile_cards_stay_text(law):
    card = DatasetCard(schema="kdgov.dataset_card/1", name="<script>x</script>\n# head", issuer="[a](javascript:1)")
    text = summary_markdown(public_summary(law, [("m.yaml", MODEL), ("d.yaml", card)]).as_json())
    assert "<script>" not in text
    assert "\n# head" not in text
    assert "[a](" not in text


@pytest.mark.slow
def test_the_command_writes_both_and_refuses_what_is_no_release(tmp_path: Path):
    (tmp_path / "m.yaml").write_text("schema: kdgov.model_card/1\nname: m\nissuer: Acme\n")
    (tmp_path / "d.yaml").write_text("schema: kdgov.dataset_card/1\nname: d\npersonal_data: false\n")
    both = [str(tmp_path / "m.yaml"), str(tmp_path / "d.yaml")]
    document = kdgov("card", "disclose", *both, "--law", "ab-2013", "--format", "json").document
    assert document["law"] == "ab-2013"
    assert document["missing"]
    written = tmp_path / "summary.md"
    assert kdgov("card", "disclose", *both, "--law", "article-53", "--out", written).code == 0
    assert "2.6 Other sources" in written.read_text()
    kdgov("card", "disclose", both[0], "--law", "ab-2013").refuses(2, "no dataset card")
    with pytest.raises(InputError, match="one model"):
        public_summary("ab-2013", [("d.yaml", BARE)])


def test_unknown_laws_are_refused():
    with pytest.raises(InputError, match="no law"):
        public_summary("x", [])


@pytest.mark.parametrize(
    ("said", "law"), [("art-53", "article-53"), ("Art 53", "article-53"), ("AB2013", "ab-2013"), ("ab-2013", "ab-2013")]
)
def test_a_law_is_found_under_its_other_names(said: str, law: str) -> None:
    assert public_summary(said, [("m.yaml", MODEL), ("d.yaml", BARE)]).law == law
