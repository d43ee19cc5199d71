"""What stands against a release, in its details; `test_planted` puts one violation of every kind through the command."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
import yaml

from kdgov.checks.licensing.shipped_files import texts_at_hand
from kdgov.digest import digest_bytes
from kdgov.errors import DeclarationError, InputError
from kdgov.finding_rules import RULES
from kdgov.license import case_from_json
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from tests.checks.conftest import QUESTION, World, world_policy

TODAY = datetime.date(2026, 11, 22)
BOOK = {
    "kind": "model",
    "generator": "writer-7b",
    "revision": "a" * 40,
    "license": "Apache-2.0",
    "sampling": {"temperature": 0.7},
    "prompt_template_digest": "sha256:" + "1" * 64,
    "filters": [],
    "access_date": "2026-01-01",
    "seed": 1,
}
PERSONS = {
    "lawful_basis": "consent",
    "consent": "CR-1",
    "purposes": ["model_training", "commercial"],
    "retention_until": "2027-01-01",
    "id_field": "person",
}


def blocked(world: World, rule: str, *, subject: str = "", verdicts: tuple[str, ...] = ("block", "review")) -> None:
    finding = world.rules(today=TODAY)[rule]
    assert finding.verdict in verdicts
    assert finding.stops
    assert finding.mend
    assert finding.source
    assert subject in finding.subject + finding.reason


def test_a_release_in_order_has_no_finding_to_mend(world):
    assert world.rules(today=TODAY) == {}


@pytest.mark.parametrize("field", ["revision", "sampling", "prompt_template_digest", "filters", "license"])
def test_synthetic_data_without_its_record(world, field):
    world.data["generation"] = {key: value for key, value in BOOK.items() if key != field}
    blocked(world, "provenance.synthetic-incomplete", subject=field)


def test_synthetic_data_of_one_shard_without_its_record(world):
    world.data["files"][0]["generation"] = {"generator": "writer-7b", "access": "api"}
    blocked(world, "provenance.synthetic-incomplete", subject="terms_date")


def test_a_whole_record_of_generation_passes(world):
    world.data["generation"] = BOOK
    assert "provenance.synthetic-incomplete" not in world.rules(today=TODAY)


def test_data_said_to_be_synthetic_without_a_generator(world):
    world.data["generation_method"] = "Synthetic dialogue"
    blocked(world, "provenance.synthetic-incomplete", subject="data")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"lawful_basis": "not_established"}, "privacy.lawful-basis-missing"),
        ({"consent": None}, "privacy.consent-unrecorded"),
        ({"purposes": ["model_training"]}, "privacy.purpose-not-covered"),
        ({"retention_until": "2026-11-21"}, "privacy.retention-over"),
        ({"retention_until": None}, "privacy.retention-unsaid"),
        ({"geography_forbidden": ["DE"]}, "privacy.geography-forbidden"),
        ({"geography_allowed": ["FR"]}, "privacy.geography-forbidden"),
        ({"withdrawn_ids": ["p7"]}, "privacy.withdrawn-present"),
        ({"withdrawn_ids": [digest_bytes(b"p7")]}, "privacy.withdrawn-present"),
        ({"withdrawn_ids": ["p7"], "id_field": None}, "privacy.withdrawn-unchecked"),
        ({"withdrawn_ids": ["p7"], "id_field": "human"}, "privacy.withdrawn-unchecked"),
    ],
)
def test_personal_data_against_its_record(world, change, rule):
    world.rows = [{**row, "person": f"p{n}"} for n, row in enumerate(world.rows)]
    world.data["personal_data"] = {**PERSONS, **change}
    blocked(world, rule, subject="data")


def test_personal_data_in_order_passes_until_its_last_day(world):
    world.rows = [{**row, "person": f"p{n}"} for n, row in enumerate(world.rows)]
    world.data["personal_data"] = {**PERSONS, "withdrawn_ids": ["somebody else"]}
    assert not [rule for rule in world.rules(today=datetime.date(2027, 1, 1)) if rule.startswith("privacy")]
    assert "privacy.retention-over" in world.rules(today=datetime.date(2027, 1, 2))


def test_personal_data_without_a_record(world):
    world.data["personal_data"] = True
    blocked(world, "privacy.lawful-basis-missing", subject="data")


def test_credentials_are_found_and_never_shown(world):
    secret = "AKIA" + "QZ7RTW2MNB4KXC9D"
    world.rows[3]["completion"] = f"Use the key {secret} for it."
    blocked(world, "privacy.secret-found", subject="row 4")
    store = world.folder / "store"
    assert not [p for p in store.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]


def test_identifiers_beyond_the_intents_limit_contradict_the_card(world):
    world.rows[3]["completion"] = "Write to jane.roe@mail.example.org about it."
    blocked(world, "privacy.pii-contradicts-card", subject="1 email")


def test_identifiers_in_data_that_says_so(world):
    world.data["personal_data"] = PERSONS
    world.rows = [{**row, "person": "x"} for row in world.rows]
    world.rows[3]["completion"] = "Write to jane.roe@mail.example.org about it."
    blocked(world, "privacy.pii-found", subject="1 email")


@pytest.mark.parametrize("role", ["prompt", "completion"])
def test_an_item_word_for_word(world, role):
    world.rows[5][role] = f"Tell me this. {QUESTION.upper()}"
    blocked(world, "contamination.verbatim", subject="suite/asked/one")
    said = {"prompt": "teacher prompts (1)", "completion": "teacher outputs (1)"}
    assert said[role] in world.rules(today=TODAY)["contamination.verbatim"].reason


def test_circular_lineage_is_an_input_fault_that_shows_the_circle(world):
    world.data["lineage"] = [{"use": "dataset_train", "name": "itself", "card": "data.yaml"}]
    with pytest.raises(InputError, match=r"circle: data\.yaml ← data\.yaml"):
        check_step(open_release(world.write(), store=world.folder / "store"))


def test_a_lineage_is_followed_through_cards_and_the_path_is_shown(world):
    (world.folder / "forum.yaml").write_text(
        "schema: kdgov.dataset_card/1\nname: forum\nlicense: MIT\n"
        "lineage: [{use: generated_text, name: Llama-3-70B, license: llama3, access: weights}]\n"
    )
    world.data["lineage"] = [{"use": "dataset_train", "name": "forum", "card": "forum.yaml"}]
    denied = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict == "block"]
    assert denied
    assert "forum ← Llama-3-70B" in denied[0].subject
    assert "1.b.v" in denied[0].source + denied[0].reason


def test_an_unknown_licence_is_never_allowed(world):
    del world.data["license"]
    found = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict in ("review", "block")]
    assert any("data" in f.subject for f in found)


def _calibrated_elsewhere(world: World) -> None:
    rows = [{"temperature": t, "hard_share": 0.0, "indistinguishable": t == 4.0, "teacher_entropy": 0.3} for t in (1.0, 2.0, 4.0)]
    proposal = {"temperature": 4.0, "soft_weight": 1.0, "hard_weight": 0.0}
    (world.folder / "table.json").write_text(json.dumps({"rows": rows, "proposal": proposal}))
    world.release["distillation"] |= {"calibration": "table.json", "terms": [{"kind": "soft_targets", "temperature": 1}]}


PRACTICE = {
    "practice.completions-only": lambda w: w.release["distillation"].update(terms=[{"kind": "hard_labels"}]),
    "practice.temperature-uncalibrated": lambda w: w.release["distillation"].update(terms=[{"kind": "soft_targets", "temperature": 1}]),
    "practice.soft-share-low": lambda w: w.release["distillation"].update(
        terms=[{"kind": "soft_targets", "temperature": 2, "weight": 1e-7}, {"kind": "hard_labels"}]
    ),
    "practice.temperature-extreme": lambda w: w.release["distillation"].update(terms=[{"kind": "soft_targets", "temperature": 100}]),
    "practice.calibration-unknown": lambda w: w.release["distillation"].update(calibration="yes we did"),
    "practice.calibration-differs": _calibrated_elsewhere,
    "practice.benchmarks-only": lambda w: w.release.pop("production_inputs"),
    "practice.little-data": lambda w: w.release["distillation"].update(steps=100_000),
    "practice.sensitive-without-safety": lambda w: w.release.update(capabilities=["Medical"]),
    "practice.student-not-smaller": lambda w: w.release["student"].update(keep_layers=[0, 1, 2, 3]),
    "practice.no-trade-off-note": lambda w: w.release.pop("trade_offs"),
    "practice.no-accountable-role": lambda w: w.release.pop("accountable"),
    "practice.not-informed": lambda w: w.release["accountable"].update(product="them"),
    "practice.capability-unknown": lambda w: w.release.update(capabilities=["zymurgy"]),
    "practice.role-unknown": lambda w: w.release["accountable"].update(further={"chef": "Ada"}),
    "practice.informed-in-future": lambda w: w.release["accountable"]["informed"].update(risk="2099-01-01"),
    "practice.chain-without-root": lambda w: w.teacher.update(lineage=[{"use": "logits", "name": "first", "license": "MIT"}]),
}


@pytest.mark.parametrize("rule", ["practice.completions-only", "practice.not-informed"])
def test_a_common_mistake_warns_and_a_policy_makes_it_stop(world, rule):
    PRACTICE[rule](world)
    world.release["policy"] = "plain.yaml"
    plain = {key: value for key, value in world_policy().items() if key != "findings"}
    (world.folder / "plain.yaml").write_text(yaml.safe_dump(plain))
    found = world.rules(today=TODAY)[rule]
    assert found.verdict == "warn"
    assert f"findings: {{{rule}: block}}" in found.mend
    policy = world_policy()
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "findings": {rule: "block"}}))
    world.release["policy"] = "policy.yaml"
    assert world.rules(today=TODAY)[rule].verdict == "block"


@pytest.mark.parametrize(
    ("change", "rule", "says"),
    [
        (lambda w: w.release.pop("trade_offs"), "practice.no-trade-off-note", "trade_offs"),
        (lambda w: w.release.pop("accountable"), "practice.no-accountable-role", "accountable.model_owner"),
        (lambda w: w.release["accountable"]["informed"].pop("risk"), "practice.not-informed", "accountable.informed"),
    ],
)
def test_the_default_policy_demands_the_practice_record(world, change, rule, says):
    """Nothing is promoted before note, roles and dates stand in the release; each finding says where to write them."""
    assert not [r for r in world.rules(today=TODAY) if r.startswith("practice.")]
    change(world)
    found = world.rules(today=TODAY)[rule]
    assert found.verdict == "review"
    assert found.stops
    assert says in found.mend


def test_a_policy_cannot_name_a_rule_that_does_not_exist(world):
    policy = world_policy()
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "findings": {"practice.no-tradeoff-note": "block"}}))
    world.release["policy"] = "policy.yaml"
    with pytest.raises(DeclarationError, match="Did you mean `practice.no-trade-off-note`"):
        world.findings(today=TODAY)


def test_a_policy_cannot_talk_a_licence_deny_away(world):
    world.teacher["license"] = "llama3"
    policy = world_policy()
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "findings": {"licence.*": "warn"}}))
    world.release["policy"] = "policy.yaml"
    assert any(f.check == "licence" and f.verdict == "block" for f in world.findings(today=TODAY))


def test_the_result_is_reused_and_names_every_input(world):
    context = open_release(world.write(), store=world.folder / "store")
    first = check_step(context, today=TODAY)
    again = check_step(context, today=TODAY)
    assert not first.reused
    assert again.reused
    assert {"teacher.weights", "teacher.card", "data[0].card", "data[0]/data.jsonl"} <= first.facts["digests"].keys()
    assert first.facts["stops"] is False
    (world.folder / "data.jsonl").write_text('{"text": "other"}\n')
    assert not check_step(context, today=TODAY).reused


def test_a_block_stops_the_run_and_a_review_holds_the_promotion(world):
    """A review goes on to its decision, because only a decision can be waived."""
    world.data["personal_data"] = {**PERSONS, "retention_until": None}
    facts = check_step(open_release(world.write(), store=world.folder / "store"), today=TODAY).facts
    assert (facts["stops"], facts["holds"]) == (False, True)
    assert facts["held_by"] == ["privacy.retention-unsaid"]
    world.data["personal_data"] = True
    facts = check_step(open_release(world.write(), store=world.folder / "store"), today=TODAY).facts
    assert facts["stops"] is True
    assert facts["stopped_by"] == ["privacy.lawful-basis-missing"]


def test_findings_hold_no_clock_and_no_place(world, tmp_path):
    """Another day and another folder give the same bytes, as long as nothing expires."""
    context = open_release(world.write(), store=tmp_path / "one")
    one = (check_step(context, today=TODAY).folder / "findings.json").read_bytes()
    two = (check_step(context, today=TODAY + datetime.timedelta(days=1)).folder / "findings.json").read_bytes()
    assert one == two
    assert str(tmp_path).encode() not in one


def test_a_licence_text_is_read_and_its_place_never_told(world):
    (world.folder / "OWN-LICENSE").write_text("You may use this model on Tuesdays.")
    world.data["license_text"] = "OWN-LICENSE"
    held = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict == "review"]
    assert held
    assert "OWN-LICENSE" in held[0].reason
    assert str(world.folder) not in json.dumps([f.as_json() for f in held])
    context = open_release(world.folder / "release.yaml", store=world.folder / "store")
    first = check_step(context, today=TODAY)
    assert list((first.folder / "licences").iterdir())
    (world.folder / "OWN-LICENSE").write_text("You may use this model on Wednesdays.")
    assert not check_step(context, today=TODAY).reused


def test_a_licence_file_beside_the_weights_is_read_and_contradicts_the_tag(world):
    """The contradiction is shown with both, the stricter wins, and it goes to review."""
    del world.release["teacher"]["card"]
    (world.folder / "teacher" / "README.md").write_text("---\nlicense: mit\n---\n# Teacher\n")
    (world.folder / "teacher" / "LICENSE").write_text(
        texts_at_hand(case_from_json({"uses": [{"use": "logits"}]}), ["Apache-2.0"])["Apache-2.0"]
    )
    held = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict == "review"]
    assert "LICENSE is Apache-2.0" in held[0].reason
    assert "the tag says mit" in held[0].reason


def test_a_licence_file_alone_stands_for_the_tag(world):
    del world.release["teacher"]["card"]
    (world.folder / "teacher" / "COPYING").write_text(texts_at_hand(case_from_json({"uses": [{"use": "logits"}]}), ["MPL-2.0"])["MPL-2.0"])
    told = [f for f in world.findings(today=TODAY) if f.check == "licence" and "teacher" in f.subject]
    assert any("MPL-2.0" in f.source for f in told)


def test_evidence_that_names_a_file_is_read(world):
    """What a file does not hold is not met, whatever the release says of it."""
    world.release["evidence"] = [{"obligation": "NOTICE", "license": "MIT", "file": "NOTICE.txt"}]
    world.data["license"] = "CC-BY-4.0"
    world.release["evidence"].append({"obligation": "ATTRIB", "license": "CC-BY-4.0", "file": "CREDITS.md"})
    (world.folder / "NOTICE.txt").write_text("Copyright the teacher's authors. Permission is granted.")
    (world.folder / "CREDITS.md").write_text("Thanks to everybody.")
    unmet = [f for f in world.findings(today=TODAY) if f.rule == "licence.obligation-unmet"]
    assert [f.details["kind"] for f in unmet] == ["ATTRIB"]
    assert "CREDITS.md does not name data" in unmet[0].reason
    (world.folder / "CREDITS.md").write_text("Made with data, CC-BY-4.0, https://example.org/data")
    assert not [f for f in world.findings(today=TODAY) if f.rule == "licence.obligation-unmet"]


def test_a_licence_text_that_is_not_there_is_an_input_fault(world):
    world.teacher["license_text"] = "NO-SUCH-LICENSE"
    with pytest.raises(InputError, match="NO-SUCH-LICENSE"):
        world.findings(today=TODAY)


def test_json_output_is_one_document(world):
    finished = check_step(open_release(world.write(), store=world.folder / "store"), today=TODAY)
    assert json.loads((finished.folder / "licence-answer.json").read_bytes())["verdict"]


def test_the_docs_list_every_rule_as_it_is():
    page = (Path(__file__).parent.parent.parent / "docs" / "checks.md").read_text()
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.verdict} | {rule.title} | {rule.source} |" in page


def test_an_expression_that_does_not_parse_is_a_fault_of_the_file_that_holds_it(world):
    """Before anything is scanned, and all of them at once."""
    world.teacher["license"] = "Apache-2.0 AND (MIT"
    world.data["lineage"] = [{"use": "dataset_train", "name": "forum", "license": "MIT OR"}]
    world.release["student"]["license"] = "MIT WITH"
    with pytest.raises(DeclarationError) as caught:
        world.findings(today=TODAY)
    places = {(Path(fault.file).name, fault.key) for fault in caught.value.faults}
    assert places == {("teacher.yaml", "license"), ("data.yaml", "lineage[0].license"), ("release.yaml", "student.license")}
