"""Batches added after an open answer: the error holds however one stops, order counts, and no other bound profits from looking twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

import kdgov
from kdgov.decision.judgement import judge
from kdgov.decision.policy_diff import policy_difference
from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import DeclarationError, InputError
from kdgov.evaluation.results.further_batches import joined_batches
from kdgov.items import ItemTable
from kdgov.report.policy_sentences import policy_text
from tests.command import kdgov as command

POLICY = """\
schema: kdgov.policy/1
name: in-batches
version: 1
criteria:
  - {id: ability, kind: non_inferiority, direction: higher, margin: 0.05, min_items: 80, range: [0, 1], assay: skip%s}
findings: {evidence.not-judged: warn}
"""
SEQUENTIAL = POLICY % ", sequential: true"


def pair(rng: np.random.Generator, n: int, *, loss: float, differ: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    draw = rng.random(n)
    changed = np.where(draw < (differ + loss) / 2, -1, np.where(draw < differ, 1, 0))
    teacher = np.where(changed == 0, rng.random(n) < 0.8, changed < 0).astype(float)
    return teacher, teacher + changed


def table(scores: np.ndarray, batch: int, *, numbered: bool = True) -> ItemTable:
    common = {"suite": "capability", "task": "qa", "metric": "acc", **({"batch": batch} if numbered else {})}
    return ItemTable.from_rows([{**common, "item_id": f"b{batch}i{n}", "score": float(s)} for n, s in enumerate(scores)])


def both(rng: np.random.Generator, sizes: list[int], **how: float) -> list[list[ItemTable]]:
    pairs = [pair(rng, n, **how) for n in sizes]
    return [[table(sides[role], k + 1, numbered=False) for k, sides in enumerate(pairs)] for role in (0, 1)]


def result(teacher: list[ItemTable], student: list[ItemTable], policy: str = SEQUENTIAL):
    return judge(joined_batches(teacher), joined_batches(student), parse_policy(policy)).criteria[0]


def ever_passes(runs: int, batches: int, size: int) -> float:
    passed = 0
    for run in range(runs):
        teacher, student = both(np.random.default_rng([run, size]), [size] * batches, loss=0.05)
        passed += any(result(teacher[:k], student[:k]).verdict == "pass" for k in range(1, batches + 1))
    return passed / runs


@pytest.mark.slow
def test_a_student_at_the_margin_rarely_passes_at_any_batch():
    assert ever_passes(40, 3, 150) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 40)


@pytest.mark.nightly
def test_the_same_of_clusters_whose_items_change_together():
    passed = 0
    for run in range(300):
        sides: list[list[ItemTable]] = [[], []]
        for batch in (1, 2, 3):
            for side, scores in zip(sides, pair(np.random.default_rng([run, batch]), 100, loss=0.05), strict=True):
                side.append(_clustered(np.repeat(scores, 3), 3, batch, first=100 * batch))
        passed += any(result(sides[0][:k], sides[1][:k]).verdict == "pass" for k in (1, 2, 3))
    assert passed / 300 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.nightly
def test_the_same_over_many_batches():
    assert ever_passes(300, 6, 250) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 300)


def test_a_further_batch_decides_what_was_open_and_says_what_was_enough():
    teacher, student = both(np.random.default_rng(1), [150, 900, 300], loss=0.0)
    first = result(teacher[:1], student[:1])
    assert (first.verdict, first.method) == ("inconclusive", "betting")
    found = [result(teacher[:k], student[:k]) for k in (2, 3)]
    assert [one.verdict for one in found] == ["pass", "pass"]
    # What was proven stays proven, after the same number of items.
    assert found[0].details["enough"] == found[1].details["enough"] > 150
    assert found[1].details["batches"] == 3
    assert f"{found[1].details['enough']:,} items of 1,350 items in 3 batches were enough" in found[1].reason


def test_a_clear_loss_is_shown_early():
    found = result(*both(np.random.default_rng(2), [200, 800], loss=0.3, differ=0.4))
    assert found.verdict == "fail"
    assert found.details["enough"] < 700


def test_the_batches_order_counts_and_the_rows_order_does_not():
    rng = np.random.default_rng(3)
    teacher, student = both(rng, [300, 300], loss=0.02)
    plain = result(teacher, student)
    shuffled = [ItemTable(one.data.take(rng.permutation(len(one))), "") for one in student]
    assert result(teacher, shuffled).bound == plain.bound
    assert result(teacher[::-1], student[::-1]).bound != plain.bound


def test_batches_that_disagree_do_not_pass():
    rng = np.random.default_rng(4)
    parts = [pair(rng, 1500, loss=0.0, differ=0.04), pair(rng, 3000, loss=0.3, differ=0.4)]
    tables = [[table(sides[role], k + 1) for k, sides in enumerate(parts)] for role in (0, 1)]
    assert result(tables[0][:1], tables[1][:1]).verdict == "pass"
    found = result(*tables)
    assert found.verdict != "pass"


def test_no_other_bound_passes_on_items_that_were_added_after_a_look():
    teacher, student = both(np.random.default_rng(5), [600, 600], loss=0.0)
    whole = [joined_batches(side) for side in (teacher, student)]
    fixed = judge(*whole, parse_policy(POLICY % "")).criteria[0]
    assert fixed.verdict == "inconclusive"
    assert "needs `sequential: true`" in fixed.reason
    floor = "  - {id: level, kind: floor, direction: higher, floor: 0.5, min_items: 100, range: [0, 1]}\nfindings"
    level = judge(*whole, parse_policy(SEQUENTIAL.replace("findings", floor))).criteria[1]
    assert level.verdict == "inconclusive"
    at_once = [ItemTable(one.data.drop_columns(["batch"]), "") for one in whole]
    assert judge(*at_once, parse_policy(POLICY % "")).criteria[0].verdict == "pass"


def _clustered(scores: np.ndarray, size: int, batch: int = 1, *, first: int = 0) -> ItemTable:
    common = {"suite": "s", "task": "t", "metric": "m", "batch": batch}
    return ItemTable.from_rows(
        [{**common, "item_id": f"{batch}-{n}", "score": float(s), "cluster": str(first + n // size)} for n, s in enumerate(scores)]
    )


def test_clusters_of_one_size_are_judged_by_their_means():
    """Every draw counts three times, and decides no more than it does once."""
    teacher, student = pair(np.random.default_rng(6), 900, loss=0.0)
    once = result([table(teacher, 1)], [table(student, 1)])
    sides = [_clustered(np.repeat(one, 3), 3) for one in (teacher, student)]
    found = judge(*sides, parse_policy(SEQUENTIAL)).criteria[0]
    assert (found.verdict, found.n, found.clusters) == ("pass", 2700, 900)
    assert found.bound == pytest.approx(once.bound, abs=0.01), "in another order of the hash"
    assert found.details["enough"] % 3 == 0
    lost = [_clustered(np.repeat(one, 3), 3) for one in pair(np.random.default_rng(7), 900, loss=0.3, differ=0.4)]
    assert judge(*lost, parse_policy(SEQUENTIAL)).criteria[0].verdict == "fail"


def test_clusters_in_pieces_or_of_several_sizes_and_open_ranges_are_not_judged_in_batches():
    rng = np.random.default_rng(6)
    teacher, student = pair(rng, 900, loss=0.0)
    uneven = judge(*(_clustered(one, 7) for one in (teacher, student)), parse_policy(SEQUENTIAL)).criteria[0]
    assert uneven.verdict == "inconclusive"
    assert "differ in size" in uneven.reason
    halves = [[_clustered(one[:450], 2), _clustered(one[450:], 2, 2)] for one in (teacher, student)]
    torn = judge(*(joined_batches(side) for side in halves), parse_policy(SEQUENTIAL)).criteria[0]
    assert torn.verdict == "inconclusive"
    assert "spread over several batches" in torn.reason
    numbers = [[table(one * 3.5, 1)] for one in (teacher, student)]
    assert result(*numbers, SEQUENTIAL.replace(" range: [0, 1],", "")).verdict == "inconclusive"


def test_an_item_in_two_batches_is_invalid():
    teacher, student = both(np.random.default_rng(7), [200], loss=0.0)
    found = result(teacher * 2, student * 2)
    assert found.verdict == "invalid"
    assert "more than once" in found.reason


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(9)
    for k, size in enumerate((80, 1200)):
        for role, scores in zip(("teacher", "student"), pair(rng, size, loss=0.04 if size < 100 else 0.0), strict=True):
            rows = table(scores, k + 1, numbered=False).to_rows()
            (tmp_path / f"{role}{k}.jsonl").write_text("\n".join(map(json.dumps, rows)))
            (tmp_path / f"more{k}" / role).mkdir(parents=True)
            (tmp_path / f"more{k}" / role / "samples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "sequential.yaml").write_text(SEQUENTIAL)
    (tmp_path / "fixed.yaml").write_text(POLICY % "")
    return tmp_path


@pytest.mark.slow
def test_the_command_adds_batches(files):
    asked = ["gate", "--teacher", "teacher0.jsonl", "--student", "student0.jsonl", "--format", "json", "--policy"]
    open_ = command(*asked, "sequential.yaml", cwd=files)
    assert open_.code == 1
    by_files = command(*asked, "sequential.yaml", "--more", "teacher1.jsonl", "student1.jsonl", cwd=files)
    assert by_files.code == 0, by_files.out
    by_folder = command(*asked, "sequential.yaml", "--more", "more1", cwd=files)
    assert by_folder.document["criteria"] == by_files.document["criteria"]
    assert by_folder.document["digests"] == by_files.document["digests"]
    command(*asked, "fixed.yaml", "--more", "more1", cwd=files).refuses(2, "sequential: true")
    command(*asked, "sequential.yaml", "--more", "teacher1.jsonl", cwd=files).refuses(2, "no student's results")


def test_a_notebook_adds_batches(files):
    paths = [files / f"{role}{k}.jsonl" for k in (0, 1) for role in ("teacher", "student")]
    found = kdgov.gate(paths[0], paths[1], files / "sequential.yaml", more=[(paths[2], paths[3])])
    assert found.verdict == "pass"
    with pytest.raises(InputError, match="sequential"):
        kdgov.gate(paths[0], paths[1], files / "fixed.yaml", more=[(paths[2], paths[3])])


def test_the_policy_says_it_and_its_difference_too():
    changes = policy_difference(parse_policy(POLICY % ""), parse_policy(SEQUENTIAL))
    assert [c.effect for c in changes] == ["possibly looser"]
    assert "judged batch by batch" in policy_text(parse_policy(SEQUENTIAL))
    for other in (", statistic: mcc", ", gold: {min_items: 100}", ", clustered: true"):
        with pytest.raises(DeclarationError):
            parse_policy(POLICY % f", sequential: true{other}")
