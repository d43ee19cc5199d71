"""What became looser is said first, and nothing that changed is left unsaid."""

from __future__ import annotations

import pytest

from kdgov.decision.policy_diff import policy_difference
from kdgov.declarations.policy_file import parse_policy

BASE = """
schema: kdgov.policy/1
name: base
version: 1
criteria:
  - id: a
    kind: non_inferiority
    margin: 0.02
    confidence: 0.95
    min_items: 300
    floor: 0.5
    by: [gender]
    assay: required
  - {id: b, kind: ceiling, ceiling: 0.01}
findings: {practice.little-data: review}
approvals: [risk]
waivers: {max_days: 30, never: [b]}
require_digests: [plan]
"""


@pytest.mark.parametrize(
    ("old", "new", "effect", "words"),
    [
        ("margin: 0.02", "margin: 0.05", "looser", "the margin rises from 0.02 to 0.05"),
        ("margin: 0.02", "margin: 0.01", "stricter", "the margin falls from 0.02 to 0.01"),
        ("margin: 0.02", "margin: 0.02\n    advisory: true", "looser", "`advisory` changes from False to True"),
        ("margin: 0.02", "margin: 0.02\n    margins: {share: 0.5}", "possibly looser", "`margins` changes from nothing to share 0.5"),
        ("margin: 0.02", "margin: 0.02\n    statistic: mcc", "possibly looser", "`statistic` changes from nothing to mcc"),
        ("confidence: 0.95", "confidence: 0.9", "looser", "the confidence falls from 0.95 to 0.9"),
        ("min_items: 300", "min_items: 30", "looser", "the smallest number of items falls from 300 to 30"),
        ("    floor: 0.5\n", "", "looser", "the floor of 0.5 no longer holds"),
        ("floor: 0.5", "floor: 0.6", "stricter", "the floor rises from 0.5 to 0.6"),
        ("by: [gender]", "by: []", "looser", "groups by gender need no longer hold on their own"),
        ("by: [gender]", "by: [gender, age]", "stricter", "every group by age must hold on its own"),
        ("assay: required", "assay: skip", "looser", "goes from required to skip"),
        ("ceiling: 0.01}", "ceiling: 0.1}", "looser", "the ceiling rises from 0.01 to 0.1"),
        ("  - {id: b, kind: ceiling, ceiling: 0.01}\n", "", "looser", "the criterion is gone"),
        ("little-data: review", "little-data: warn", "looser", "goes from review to warn"),
        ("approvals: [risk]", "approvals: []", "looser", "risk need no longer approve"),
        ("max_days: 30", "max_days: 90", "looser", "may run for 90 days instead of 30"),
        ("never: [b]", "never: []", "looser", "b may now be waived"),
        ("require_digests: [plan]", "require_digests: []", "looser", "plan is no longer demanded"),
        ("require_digests: [plan]", "require_digests: [plan]\nlooks: corrected", "stricter", "are judged at the divided error level"),
        ("by: [gender]", 'by: [gender, "*"]', "stricter", "every group by * must hold on its own"),
        ("kind: non_inferiority", "suite: safety\n    kind: non_inferiority", "possibly looser", "`suite` changes from * to safety"),
        ("kind: non_inferiority", "tasks: [x]\n    kind: non_inferiority", "possibly looser", "`tasks` changes from * to x"),
        ("kind: non_inferiority", 'tasks: ["*", x]\n    kind: non_inferiority', "stricter", "`tasks` changes from * to *, x"),
        ("kind: non_inferiority", "metric: acc\n    kind: non_inferiority", "possibly looser", "`metric` changes from * to acc"),
        (
            "kind: non_inferiority",
            "direction: lower\n    kind: non_inferiority",
            "possibly looser",
            "`direction` changes from nothing to lower",
        ),
        (
            "kind: non_inferiority",
            "threshold: 0.5\n    kind: non_inferiority",
            "possibly looser",
            "`threshold` changes from nothing to 0.5",
        ),
        ("kind: non_inferiority", "range: [0, 1]\n    kind: non_inferiority", "possibly looser", "`high` changes from nothing to 1.0"),
        ("require_digests: [plan]", "require_digests: [plan]\nlicense: {choices: {nc_data: allow}}", "possibly looser", "nc_data"),
        (
            "require_digests: [plan]",
            "require_digests: [plan]\npromotion: {valid_days: 90}",
            "stricter",
            "`valid_days` changes from 180 to 90",
        ),
        ("require_digests: [plan]", "require_digests: [plan]\npromotion: {valid_days: 360}", "possibly looser", "from 180 to 360"),
        ("{practice.little-data: review}", "{}", "possibly looser", "goes from review to its default"),
        ("little-data: review", "little-data: review, practice.not-informed: block", "stricter", "goes from its default to block"),
        ("little-data: review", "little-data: review, practice.not-informed: warn", "possibly looser", "goes from its default to warn"),
        ("require_digests: [plan]", "require_digests: [plan]\nallowed_differences: [dtype]", "looser", "may differ in dtype"),
    ],
)
def test_each_change_is_told_with_its_effect(old, new, effect, words):
    assert old in BASE
    changes = policy_difference(parse_policy(BASE), parse_policy(BASE.replace(old, new)))
    assert {change.effect for change in changes} == {effect}
    assert words in " ".join(change.words for change in changes)
    assert all(change.may_loosen is (effect != "stricter") for change in changes)


def test_a_policy_does_not_differ_from_itself():
    assert policy_difference(parse_policy(BASE), parse_policy(BASE)) == ()


def test_what_became_looser_stands_first():
    changed = BASE.replace("margin: 0.02", "margin: 0.01").replace("max_days: 30", "max_days: 90")
    assert [c.effect for c in policy_difference(parse_policy(BASE), parse_policy(changed))] == ["looser", "stricter"]


def test_confidences_that_need_only_be_there_sometimes_are_looser():
    text = BASE.replace("{id: b, kind: ceiling, ceiling: 0.01}", "{id: b, kind: calibration, margin: 0.05}")
    looser = text.replace("margin: 0.05}", "margin: 0.05, confidences: when_stated}")
    (change,) = policy_difference(parse_policy(text), parse_policy(looser))
    assert (change.effect, change.where, change.words) == ("looser", "b", "metrics without confidences are left out")


@pytest.mark.parametrize(
    ("ceiling", "confidence", "effect"), [("", 0.99, "looser"), ("", 0.9, "stricter"), (", ceiling: 3", 0.99, "possibly looser")]
)
def test_more_confidence_in_memorising_lets_more_students_pass(ceiling, confidence, effect):
    """The exposure test must prove harm, unlike every other criterion, which must prove that there is none."""
    text = BASE.replace("{id: b, kind: ceiling, ceiling: 0.01}", "{id: b, kind: exposure, confidence: 0.95" + ceiling + "}")
    (change,) = policy_difference(
        parse_policy(text), parse_policy(text.replace("exposure, confidence: 0.95", f"exposure, confidence: {confidence}"))
    )
    assert change.effect == effect


def test_fewer_kinds_of_flips_are_looser_and_a_pooled_task_more_is_not_certain():
    text = BASE.replace(
        "{id: b, kind: ceiling, ceiling: 0.01}", "{id: b, kind: churn, ceiling: 0.1, of: changed, pooled: true, tasks: [x]}"
    )
    (change,) = policy_difference(parse_policy(text), parse_policy(text.replace("of: changed", "of: negative_flips")))
    assert change.effect == "looser"
    (change,) = policy_difference(parse_policy(text), parse_policy(text.replace("tasks: [x]", "tasks: [x, y]")))
    assert change.effect == "possibly looser"


def test_the_order_of_overlapping_finding_rules_is_part_of_their_meaning():
    one, other = "{practice.*: warn, practice.little-data: block}", "{practice.little-data: block, practice.*: warn}"
    sides = [BASE.replace("{practice.little-data: review}", text) for text in (one, other)]
    (change,) = policy_difference(*map(parse_policy, sides))
    assert change.may_loosen


def test_a_smaller_share_to_keep_is_looser():
    text = BASE.replace("findings:", "  - {id: r, kind: retention, share: 0.97}\nfindings:")
    (change,) = policy_difference(parse_policy(text), parse_policy(text.replace("0.97", "0.9")))
    assert (change.effect, change.words) == ("looser", "the share to keep falls from 0.97 to 0.9")
