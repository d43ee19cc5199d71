"""A policy file says what it means, every fault of it at once, and its digest is that of its meaning."""

from __future__ import annotations

import json

import pytest

from kdgov.declarations.file_schemas import declaration_schema
from kdgov.declarations.policy_file import find_policy, load_policy, parse_policy
from kdgov.errors import DeclarationError, InputError
from kdgov.resources import data_folder

HEAD = "schema: kdgov.policy/1\nname: x\nversion: 1\n"
ONE = HEAD + "criteria:\n  - {id: a, kind: non_inferiority, margin: 0.02}\n"


@pytest.mark.parametrize("name", ["default", "strict", "edge-device", "lm-eval", "starter", "public-safety", "public-core"])
def test_every_shipped_policy_is_whole(name):
    policy = load_policy(find_policy(name))
    assert policy.name == name
    assert all(policy.lines[c.id] > 0 for c in policy.criteria)


def test_the_shipped_schema_is_that_of_the_code():
    """`kdgov schema policy > policies/kdgov.policy.schema.json` renews it."""
    shipped = json.loads((data_folder("policies") / "kdgov.policy.schema.json").read_text())
    assert shipped == json.loads(json.dumps(declaration_schema("policy")))


def test_the_digest_is_that_of_the_meaning_not_of_the_spelling():
    spelled = "# a comment\n" + ONE.replace(
        "{id: a, kind: non_inferiority, margin: 0.02}", "kind: non_inferiority\n    margin: 2.0e-2\n    id: a\n    confidence: 0.95"
    )
    assert parse_policy(ONE).digest == parse_policy(spelled).digest
    assert parse_policy(ONE).digest != parse_policy(ONE.replace("0.02", "0.03")).digest


@pytest.mark.parametrize(
    ("criterion", "key", "words"),
    [
        ("{id: a, kind: non_inferiority, margin: -0.02}", "criteria[0].margin", "greater than or equal to 0"),
        ("{id: a, kind: non_inferiority}", "criteria[0].margin", "is missing"),
        ("{id: a, kind: non_inferiority, margin: 2.0, range: [0, 1]}", "criteria[0]", "wider than the whole range"),
        ("{id: a, kind: non_inferiority, margin: 0.02, confidence: 95}", "criteria[0].confidence", "less than 1"),
        ("{id: a, kind: non_inferiority, margin: 0.02, confidence: 0.4}", "criteria[0].confidence", "greater than 0.5"),
        ("{id: a, kind: non_inferiority, margin: two}", "criteria[0].margin", "text"),
        ("{id: a, kind: non_inferiority, margin: 0.02, min_items: 0}", "criteria[0].min_items", "greater than or equal to 1"),
        ("{id: a, kind: non_inferiority, margin: 0.02, marginn: 1}", "criteria[0].marginn", "not a known key"),
        ("{id: a, kind: non_inferiority, margin: 0.02, direction: target}", "criteria[0]", "no ideal"),
        ("{id: a, kind: non_inferiority, margin: 0.02, groups: {gender: [f]}}", "criteria[0]", "not in `by`"),
        ("{id: a, kind: non_inferiority, margin: 0.02, range: [1, 0]}", "criteria[0]", "empty"),
        ("{id: a b, kind: floor, floor: 1}", "criteria[0].id", "match"),
        ("{id: a, kind: florr, floor: 1}", "criteria[0]", "no known `kind`"),
        ("{id: a, kind: efficiency, measure: parameters}", "criteria[0]", "neither max_ratio nor min_ratio"),
        ("{id: a, kind: gap, by: [gender]}", "criteria[0]", "neither ceiling, margin nor min_ratio"),
        ("{id: a, kind: churn, ceiling: 1.5}", "criteria[0].ceiling", "less than 1"),
    ],
)
def test_a_fault_is_named_with_key_and_line(criterion, key, words):
    with pytest.raises(DeclarationError) as caught:
        parse_policy(HEAD + f"criteria:\n  - {criterion}\n", file="policy.yaml")
    (fault,) = caught.value.faults
    assert fault.key == key
    assert words in f"{fault.what} {fault.mend}"
    assert (fault.file, fault.line) == ("policy.yaml", 5)


def test_all_faults_are_told_at_once():
    text = HEAD + "criteria:\n  - {id: a, kind: non_inferiority, margin: -1}\n  - {id: b, kind: floor}\nfindings: {x: deny}\nnamee: y\n"
    with pytest.raises(DeclarationError) as caught:
        parse_policy(text)
    assert {f.key for f in caught.value.faults} == {"criteria[0].margin", "criteria[1].floor", "findings.x", "namee"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("- a\n", "not a mapping"),
        (HEAD + "criteria: []\n", "at least 1"),
        (ONE + "  - {id: a, kind: floor, floor: 1}\n", "two criteria with the id 'a'"),
        (ONE + "pins: {teacher_weights: abc}\n", "not a digest"),
        (ONE + "license: {choices: {missing: perhaps}}\n", "not a valid value"),
        (ONE + "license: {choices: {mising: deny}}\n", "not a known choice"),
        (ONE.replace("kdgov.policy/1", "kdgov.policy/2"), "not one of the allowed"),
        (ONE + "name: again\n", "written twice"),
        ("schema: [\n", "not valid YAML"),
    ],
)
def test_a_malformed_policy_is_an_input_fault(text, words):
    with pytest.raises(InputError) as caught:
        parse_policy(text)
    assert words in str(caught.value)


def test_an_unknown_policy_name_lists_the_shipped_ones():
    with pytest.raises(InputError, match="default, distilbert-claim, edge-device, lm-eval, public-core, public-safety, starter, strict"):
        find_policy("defualt")


def test_intersections_are_written_either_way():
    one, other = (parse_policy(ONE.replace("margin: 0.02", f"margin: 0.02, by: [{by}]")) for by in ("gender*age", "[gender, age]"))
    assert one.criteria[0].by == other.criteria[0].by == (("gender", "age"),)
