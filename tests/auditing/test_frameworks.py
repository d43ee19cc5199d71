"""Crosswalks: sound data, honest support, no certification."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from kdgov.auditing.crosswalk.fact_catalogue import FACTS, Fact
from kdgov.auditing.crosswalk.fact_readers import READERS, facts_of
from kdgov.auditing.crosswalk.fact_source import Evidence
from kdgov.auditing.crosswalk.framework import DISCLAIMER, assess, framework_names, load_framework, stale_note
from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.signatures import Attested
from kdgov.errors import DeclarationError, InputError
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.release_statement import VersionFacts

HEAD = "schema: kdgov.framework/1\nid: own\ntitle: Own\npublisher: Us\nedition: '1'\nurl: https://example.org\nkind: own\ncontrols:\n"


def facts(status: str) -> dict[str, Fact]:
    return {key: Fact(key=key, status=status, text="x") for key in FACTS}


CONTROLS = {
    "ab-2013": 12,
    "china-labelling": 7,
    "colorado-sb-26-189": 9,
    "eu-ai-act": 30,
    "iso-42001": 38,
    "korea-ai-basic-act": 12,
    "nist-ai-600-1": 25,
    "nist-ai-rmf": 25,
}


def test_every_shipped_framework_is_sound_and_those_asked_for_are_there() -> None:
    assert set(framework_names()) == set(CONTROLS)
    for name, least in CONTROLS.items():
        framework = load_framework(name)
        assert framework.id == name
        assert len(framework.controls) >= least


def test_annex_a_of_iso_42001_is_complete_by_objective() -> None:
    objectives = [control.id.split(".")[1] for control in load_framework("iso-42001").controls]
    assert {n: objectives.count(n) for n in dict.fromkeys(objectives)} == {
        "2": 3, "3": 2, "4": 5, "5": 4, "6": 9, "7": 5, "8": 4, "9": 3, "10": 3,
    }  # fmt: skip


def test_every_control_names_its_source_and_every_framework_the_day_it_was_checked() -> None:
    for name in framework_names():
        framework = load_framework(name)
        assert framework.checked is not None
        assert framework.applies
        assert all(control.source for control in framework.controls), name


def test_a_crosswalk_is_called_out_of_date_after_six_months_and_without_a_date() -> None:
    framework = load_framework("eu-ai-act").model_copy(update={"checked": datetime.date(2026, 8, 31)})
    assert stale_note(framework, day=datetime.date(2027, 2, 28)) == ""
    assert "2026-08-31" in stale_note(framework, day=datetime.date(2027, 3, 1))
    assert "does not say" in stale_note(framework.model_copy(update={"checked": None}), day=datetime.date(2026, 9, 1))


def test_every_fact_is_read_by_one_reader_and_used_by_some_control() -> None:
    """A fact that nothing reads would always be absent; one that no control needs would be dead."""
    used = {need for name in framework_names() for control in load_framework(name).controls for need in control.needs}
    assert set(READERS) == set(FACTS) == used


def test_validity_and_efficiency_are_tags_of_the_nist_framework() -> None:
    tags = {tag for control in load_framework("nist-ai-rmf").controls for tag in control.tags}
    assert {"validity", "efficiency", "fairness", "privacy", "safety"} <= tags


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_support_follows_the_facts(name: str) -> None:
    """All shown: supported, but for controls that ask for more than a release; all absent: missing; a part: partly."""
    framework = load_framework(name)
    for result in assess(framework, facts("shown")):
        expected = "missing" if not result.control.needs else "partly" if result.control.beyond else "supported"
        assert result.support == expected
    assert {result.support for result in assess(framework, facts("absent"))} == {"missing"}
    assert {r.support for r in assess(framework, facts("partly")) if r.control.needs} == {"partly"}


def test_one_fact_less_never_raises_support() -> None:
    order = ("missing", "partly", "supported")
    framework = load_framework("nist-ai-rmf")
    full = {r.control.id: order.index(r.support) for r in assess(framework, facts("shown"))}
    for key in FACTS:
        for result in assess(framework, {**facts("shown"), key: Fact(key=key, status="absent", text="x")}):
            assert order.index(result.support) <= full[result.control.id]


@pytest.mark.parametrize(
    ("control", "says"),
    [
        ("{id: A1, title: something asked for, tags: [validity], needs: [no.such.fact]}", "names facts nobody states"),
        ("{id: A1, title: something asked for, tags: [validity], needs: [policy.sealed, policy.sealed]}", "names a fact twice"),
        ("{id: A1, title: something asked for, tags: [validity]}", "rests on nothing"),
        ("{id: A1, title: something asked for, tags: [magic], needs: [policy.sealed]}", "is not one of the allowed values"),
        ("{id: A1, title: something asked for, tags: [validity], needs: [policy.sealed], certified: true}", "is not a known key"),
    ],
)
def test_a_faulty_crosswalk_is_refused_with_its_place(tmp_path: Path, control: str, says: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"{HEAD}  - {control}\n")
    with pytest.raises(DeclarationError, match=says) as caught:
        load_framework(str(path))
    assert caught.value.faults[0].line >= 9


def test_controls_are_named_once(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    control = "  - {id: A1, title: something asked for, tags: [validity], needs: [policy.sealed]}\n"
    path.write_text(HEAD + control + control)
    with pytest.raises(DeclarationError, match="has controls twice: A1"):
        load_framework(str(path))


def test_an_unknown_framework_names_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        load_framework("nist")
    assert "nist-ai-rmf" in caught.value.mend


def test_the_words_beside_every_crosswalk_deny_certification() -> None:
    assert "no certification" in DISCLAIMER
    for name in framework_names():
        text = (Path(__file__).parents[2] / "policies" / "frameworks" / f"{name}.yaml").read_text().lower()
        assert "certified" not in text
        assert "compliant" not in text


def evidence(tmp_path: Path, card: str, **recipe: object) -> Evidence:
    """A bundle with one model card and a recipe; nothing else."""
    (tmp_path / "cards").mkdir(exist_ok=True)
    (tmp_path / "cards" / "m.yaml").write_text(f"schema: kdgov.model_card/1\nname: m\n{card}")
    (tmp_path / "distillation.json").write_text(json.dumps({"recipe": recipe}))
    facts = VersionFacts(name="m", version=1, creation_timestamp=1, source="", workspace="default", run_id="")
    return Evidence(
        material=BundleReader(tmp_path), shown=VersionShown(facts=facts), attested=Attested(), log=LogShown(), findings=(), roles=()
    )


@pytest.mark.parametrize(
    ("card", "recipe", "status"),
    [("", {}, "absent"), ("", {"max_length": 64}, "partly"), ("further: {context_length: 2048}\n", {"max_length": 64}, "shown")],
)
def test_what_a_card_says_further_is_a_fact_and_what_only_training_shows_is_a_part(
    tmp_path: Path, card: str, recipe: dict[str, object], status: str
) -> None:
    """The longest input: stated by a card, or only the length that was trained on; nothing is guessed."""
    fact = facts_of(evidence(tmp_path, card, **recipe))["model.context"]
    assert fact.status == status
    assert ("2048" in fact.text) == (status == "shown")


def test_missing_facts_of_training_are_shown_as_missing(tmp_path: Path) -> None:
    found = facts_of(evidence(tmp_path, ""))
    assert {found[key].status for key in ("training.energy", "training.compute", "model.acceptable_use")} == {"absent"}
    assert "not measured" in found["training.energy"].text
