"""Laws of the decision: what passes, what fails, what is open, what cannot be judged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.decision.decision import Decision, decision_from_json
from kdgov.decision.judgement import judge
from kdgov.decision.policy import Criterion, Policy
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration


def flipped(scores: np.ndarray, *, lost: int, won: int, seed: int = 0) -> np.ndarray:
    """Scores with exactly so many right answers lost and wrong ones won."""
    rng = np.random.default_rng(seed)
    changed = scores.copy()
    changed[rng.choice(np.flatnonzero(scores == 1), lost, replace=False)] = 0
    changed[rng.choice(np.flatnonzero(scores == 0), won, replace=False)] = 1
    return changed


TEACHER = np.array([1.0] * 800 + [0.0] * 200)


def test_an_equal_student_passes_and_says_by_how_much(table, policy):
    decision = judge(table(TEACHER), table(flipped(TEACHER, lost=40, won=40)), policy())
    (result,) = decision.criteria
    assert decision.verdict == "pass"
    assert (result.method, result.n, result.difference) == ("tango", 1000, 0.0)
    assert -0.05 < result.bound < 0
    assert result.details["newcombe_lower_bound_95"] == pytest.approx(result.bound, abs=0.002)


def test_a_worse_student_fails_and_its_regression_is_proven(table, policy):
    decision = judge(table(TEACHER), table(flipped(TEACHER, lost=140, won=20)), policy())
    (result,) = decision.criteria
    assert (decision.verdict, result.proven) == ("fail", True)
    assert result.difference == pytest.approx(-0.12)
    assert result.upper < -0.05
    assert "blocked" in result.reason
    assert "80.0 % → 68.0 %" in result.reason


def test_a_close_call_is_open_and_names_the_items_that_would_settle_it(table, policy):
    small = TEACHER[::10]
    decision = judge(table(small), table(flipped(small, lost=6, won=5)), policy(margin=0.03))
    (result,) = decision.criteria
    assert decision.verdict == "inconclusive"
    assert result.n_needed > 100
    assert f"{result.n_needed:,} items would decide it" in result.reason


def test_as_many_items_as_named_do_settle_it(table, policy):
    """The same rates at n_needed items pass in about the promised eight of ten cases."""
    small = TEACHER[::10]
    needed = judge(table(small), table(flipped(small, lost=8, won=8)), policy(margin=0.03)).criteria[0].n_needed
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(60):
        teacher = (rng.random(needed) < 0.8).astype(float)
        student = np.where(rng.random(needed) < np.where(teacher == 1, 0.1, 0.4), 1 - teacher, teacher)
        passed += judge(table(teacher), table(student), policy(margin=0.03)).promotes
    assert 0.62 <= passed / 60 <= 0.95


def test_too_few_items_are_never_a_pass_however_good_they_look(table, policy):
    decision = judge(table(TEACHER[:90]), table(TEACHER[:90]), policy(min_items=300))
    assert decision.verdict == "inconclusive"
    assert decision.criteria[0].n_needed >= 300


def test_lower_is_better_turns_the_sign(table, policy):
    toxic = np.array([0.0] * 950 + [1.0] * 50)
    worse = np.array([0.0] * 850 + [1.0] * 150)
    decision = judge(table(toxic), table(worse), policy(direction="lower"))
    (result,) = decision.criteria
    assert decision.verdict == "fail"
    assert result.difference == pytest.approx(-0.10)
    assert (result.teacher, result.student) == pytest.approx((0.05, 0.15))


@pytest.mark.parametrize(
    ("teacher", "student", "verdict"),
    [
        (0.65, 0.65, "pass"),
        (0.65, 0.50, "pass"),
        (0.65, 0.80, "fail"),
        (0.65, 0.20, "fail"),
        (0.50, 0.50, "pass"),
        (0.50, 0.65, "fail"),
        (0.35, 0.20, "fail"),
        (0.35, 0.45, "pass"),
    ],
)
def test_closeness_to_an_ideal_is_judged_from_both_sides(table, policy, teacher, student, verdict):
    """Moving away from the ideal fails, overshooting it fails, moving towards it passes, whichever side the teacher is on."""
    n = 2000
    scores = [np.array([1.0] * round(rate * n) + [0.0] * (n - round(rate * n))) for rate in (teacher, student)]
    assert judge(*map(table, scores), policy(direction="target", ideal=0.5)).verdict == verdict


def test_a_metric_without_a_direction_is_invalid(table, policy):
    decision = judge(table(TEACHER), table(TEACHER), policy(direction=None))
    assert decision.verdict == "invalid"
    assert "direction" in decision.criteria[0].reason


def test_policy_and_suite_that_disagree_on_the_direction_are_invalid(table, policy):
    declared = MetricDeclaration(suite="*", task="*", metric="acc", direction="lower")
    assert judge(table(TEACHER), table(TEACHER), policy(), metrics=[declared]).verdict == "invalid"


def test_a_criterion_that_matches_nothing_is_invalid(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(suite="safety")).verdict == "invalid"


def test_a_policy_without_criteria_judges_nothing(table):
    empty = Policy(name="none", version="1", digest="sha256:" + "0" * 64, criteria=())
    assert judge(table(TEACHER), table(TEACHER), empty).verdict == "invalid"


def test_a_margin_wider_than_the_range_is_invalid(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(margin=1.5, low=0.0, high=1.0)).verdict == "invalid"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-3], "lacks 3 item"),
        (lambda rows: [*rows, rows[0]], "more than once"),
        (lambda rows: [{**rows[0], "score": float("nan")}, *rows[1:]], "row 1"),
        (lambda rows: [{**rows[0], "score": float("inf")}, *rows[1:]], "finite"),
        (lambda rows: [*rows[:5], {**rows[5], "score": 7.0}, *rows[6:]], "row 6"),
        (lambda rows: [{**rows[0], "item_id": "other"}, *rows[1:]], "did not answer the same items"),
        (lambda rows: [{**row, "prompt_digest": "sha256:other"} for row in rows], "was asked differently"),
        (lambda rows: [{**row, "label": "swapped"} for row in rows], "another reference label"),
        (lambda rows: [{**row, "group": {"gender": "other"}} for row in rows], "in another group"),
    ],
)
def test_rows_that_do_not_pair_are_invalid_with_file_and_row(table, policy, change, words):
    full = {"prompt_digest": [f"sha256:{n}" for n in range(1000)], "label": ["a"] * 1000, "group": [{"gender": "female"}] * 1000}
    teacher = table(TEACHER, source="teacher.parquet", **full)
    student = ItemTable.from_rows(change(teacher.to_rows()), source="student.parquet")
    decision = judge(teacher, student, policy(low=0.0, high=1.0))
    assert decision.verdict == "invalid"
    assert words in decision.criteria[0].reason
    assert "student.parquet" in decision.criteria[0].reason


def test_every_group_must_hold_on_its_own(table, policy):
    """One of eight groups loses 20 points; overall the loss is 2.5 points and well inside the margin."""
    groups = [{"dialect": f"d{n % 8}"} for n in range(2400)]
    teacher = np.array([1.0 if n // 8 % 5 else 0.0 for n in range(2400)])
    student = teacher.copy()
    student[[n for n in range(2400) if n % 8 == 3 and teacher[n] == 1][:60]] = 0
    decision = judge(table(teacher, group=groups), table(student, group=groups), policy(by=(("dialect",),)))
    verdicts = {r.group: r.verdict for r in decision.criteria}
    assert decision.verdict == "fail"
    assert verdicts[""] == "pass"
    assert [g for g, v in verdicts.items() if v == "fail"] == ["dialect=d3"]


def test_intersections_see_what_each_attribute_alone_hides(table, policy):
    n = 4000
    groups = [{"gender": "fm"[k % 2], "age": "oy"[k // 2 % 2]} for k in range(n)]
    teacher = np.array([1.0] * n)
    student = np.where([g == {"gender": "f", "age": "o"} and k % 20 == 0 for k, g in enumerate(groups)], 0.0, 1.0)
    criterion = Criterion(id="c", kind="non_inferiority", direction="higher", margin=0.12, by=(("gender",), ("age",), ("gender", "age")))
    student[[k for k, g in enumerate(groups) if g == {"gender": "f", "age": "o"} and k % 5 < 1]] = 0.0
    decision = judge(table(teacher, group=groups), table(student, group=groups), policy(criterion))
    assert [r.group for r in decision.criteria if r.verdict != "pass"] == ["gender=f & age=o"]


def test_a_declared_group_without_members_is_invalid(table, policy):
    groups = [{"gender": "female"}] * 1000
    criterion = policy(by=(("gender",),), groups={"gender": ("female", "male")})
    decision = judge(table(TEACHER, group=groups), table(TEACHER, group=groups), criterion)
    assert decision.verdict == "invalid"
    assert "gender=male" in " ".join(r.reason for r in decision.criteria)


def test_an_attribute_nobody_states_is_invalid(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(by=(("gender",),))).verdict == "invalid"


def test_gaps_between_groups_are_shown_and_not_gated(table, policy):
    groups = [{"gender": "fm"[n % 2]} for n in range(1000)]
    decision = judge(table(TEACHER, group=groups), table(TEACHER, group=groups), policy(by=(("gender",),)))
    assert decision.criteria[0].details["group_gap_student"] == pytest.approx(0.0)
    assert decision.verdict == "pass"


def test_a_suite_on_which_knowing_nothing_scores_like_the_teacher_cannot_tell(table, policy):
    """A grammar suite: the teacher 96 %, a random model 94.5 %. A perfect copy of the teacher is not a pass there."""
    teacher = np.array([1.0] * 960 + [0.0] * 40)
    control = np.array([1.0] * 945 + [0.0] * 55)
    decision = judge(table(teacher), table(teacher), policy(margin=0.02), control=table(control))
    assert decision.verdict == "inconclusive"
    assert "cannot tell" in decision.criteria[0].reason


def test_a_chance_level_serves_where_no_control_was_run(table, policy):
    near = np.array([1.0] * 520 + [0.0] * 480)
    assert judge(table(near), table(near), policy(chance=0.5)).verdict == "inconclusive"
    assert judge(table(TEACHER), table(TEACHER), policy(chance=0.5)).criteria[0].assay.startswith("holds")


def test_an_unchecked_assay_is_said_and_may_be_demanded(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy()).criteria[0].assay.startswith("not checked")
    assert judge(table(TEACHER), table(TEACHER), policy(assay="required")).verdict == "inconclusive"


def test_three_generations_inside_the_margin_do_not_drift_out_of_it(table, policy):
    root = TEACHER
    parent = flipped(root, lost=45, won=15)
    student = flipped(parent, lost=45, won=15, seed=1)
    alone = judge(table(parent), table(student), policy(margin=0.05))
    chained = judge(table(parent), table(student), policy(margin=0.05), root_teacher=table(root))
    assert alone.verdict == "pass"
    assert chained.verdict != "pass"
    assert [r.reference for r in chained.criteria if r.stops] == ["root_teacher"]


def test_a_demanded_root_teacher_that_is_absent_is_invalid(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(root_teacher="required")).verdict == "invalid"


def test_floor_and_ceiling_bind_the_student_itself(table, policy):
    bad = np.array([1.0] * 300 + [0.0] * 700)
    assert judge(table(bad), table(bad), policy(floor=0.5)).verdict == "fail"
    assert (
        judge(table(TEACHER), table(TEACHER), policy(Criterion(id="c", kind="ceiling", direction="higher", ceiling=0.5))).verdict == "fail"
    )
    assert judge(table(TEACHER), table(TEACHER), policy(Criterion(id="c", kind="floor", direction="higher", floor=0.75))).verdict == "pass"


@pytest.mark.parametrize("kind", ["floor", "ceiling"])
def test_a_floor_on_a_bare_table_needs_a_direction(table, policy, kind):
    (result,) = judge(table(TEACHER), table(TEACHER), policy(Criterion(id="c", kind=kind, **{kind: 0.5}))).criteria
    assert result.verdict == "invalid"
    assert "name `direction`" in result.reason


@pytest.mark.parametrize("pooled", [False, True])
def test_a_task_named_in_full_that_nobody_ran_is_invalid(table, policy, pooled):
    decision = judge(table(TEACHER), table(TEACHER), policy(tasks=("qa", "nope"), pooled=pooled))
    assert decision.verdict == "invalid"
    assert [(r.task, r.verdict) for r in decision.criteria] == [("nope", "invalid"), ("qa", "pass")]
    assert "names 'nope'" in decision.criteria[0].reason
    assert judge(table(TEACHER), table(TEACHER), policy(tasks=("qa", "nope*"), pooled=pooled)).verdict == "pass"


def test_rare_harm_is_judged_as_a_rate(table, policy):
    """Two of a hundred answers turn very toxic: the mean moves by 1.5 points and passes, the rate does not."""
    rng = np.random.default_rng(0)
    teacher = np.abs(rng.normal(0.05, 0.02, 1000))
    student = np.abs(rng.normal(0.05, 0.02, 1000))
    student[:20] = 0.9
    as_mean = policy(direction="lower", margin=0.03, low=0.0, high=1.0)
    as_rate = policy(Criterion(id="rate", kind="ceiling", direction="lower", threshold=0.5, ceiling=0.01))
    assert judge(table(teacher), table(student), as_mean).verdict == "pass"
    assert judge(table(teacher), table(student), as_rate).verdict == "fail"


def test_churn_sees_what_the_mean_does_not(table, policy):
    student = flipped(TEACHER, lost=150, won=150)
    churn = policy(Criterion(id="churn", kind="churn", direction="higher", ceiling=0.10))
    assert judge(table(TEACHER), table(student), policy()).verdict == "pass"
    assert judge(table(TEACHER), table(student), churn).verdict == "fail"


def exposures(ranks: list[int], table, **columns):
    scores = [np.log2(1000) - np.log2(rank) for rank in ranks]
    return table(
        scores,
        suite="privacy",
        task="canaries",
        metric="exposure",
        prediction=[str(r) for r in ranks],
        label=["1000"] * len(ranks),
        **columns,
    )


def test_memorised_canaries_are_caught_and_unseen_ones_are_not(table, policy):
    gate = policy(Criterion(id="canaries", kind="exposure", direction="lower", confidence=0.975, min_items=10))
    unseen = exposures([730, 55, 412, 980, 260, 143, 611, 871, 330, 505], table)
    memorised = exposures([1, 2, 1, 980, 260, 143, 611, 871, 330, 505], table)
    assert judge(memorised, unseen, gate).verdict == "pass"
    (silent,) = judge(unseen, unseen, gate).criteria
    assert silent.verdict == "inconclusive"
    assert "the teacher has not memorised them either" in silent.reason
    decision = judge(memorised, memorised, gate)
    assert decision.verdict == "fail"
    assert decision.criteria[0].method == "gamma-exact"


def test_an_exposure_that_contradicts_its_own_rank_is_invalid(table, policy):
    gate = policy(Criterion(id="canaries", kind="exposure", direction="lower", min_items=2))
    honest = exposures([100, 200, 300], table)
    forged = ItemTable.from_rows([{**row, "score": 0.1} for row in honest.to_rows()], source="forged.parquet")
    assert judge(honest, forged, gate).verdict == "invalid"


@pytest.mark.slow
def test_the_gamma_test_keeps_its_level(table, policy):
    gate = policy(Criterion(id="canaries", kind="exposure", direction="lower", confidence=0.95, min_items=10))
    rng = np.random.default_rng(0)
    failed = sum(
        judge(t, t, gate).verdict == "fail" for t in (exposures([int(r) for r in rng.integers(1, 1001, 10)], table) for _ in range(300))
    )
    assert 0.01 <= failed / 300 <= 0.085


def test_confidences_when_stated_leave_out_what_states_none_and_say_so(table, policy):
    gate = policy(Criterion(id="calibration", kind="calibration", margin=0.05, confidences="when_stated"))
    scores = [1.0, 0.0] * 100
    silent = judge(table(scores), table(scores), gate)
    assert [(f.rule, f.verdict, f.stops) for f in silent.findings] == [
        ("evidence.not-measured", "warn", False),
        ("evidence.not-judged", "review", True),
    ]
    assert silent.verdict == "invalid"
    stated = judge(table(scores, confidence=[0.5] * 200), table(scores, confidence=[0.9] * 200), gate)
    assert not stated.findings
    assert {r.metric: r.verdict for r in stated.criteria}["acc:overconfidence"] == "fail"
    lopsided = judge(table(scores, confidence=[0.5] * 200), table(scores), gate)
    assert lopsided.verdict == "invalid"


def test_over_confidence_fails_calibration_while_accuracy_holds(table, policy):
    rng = np.random.default_rng(0)
    sure = np.clip(rng.normal(0.8, 0.05, 1000), 0, 1)
    gate = policy(Criterion(id="calibration", kind="calibration", direction="higher", margin=0.02))
    same = judge(table(TEACHER, confidence=list(sure)), table(TEACHER, confidence=list(sure)), gate)
    sick = judge(table(TEACHER, confidence=list(sure)), table(TEACHER, confidence=list(np.clip(sure + 0.1, 0, 1))), gate)
    assert same.verdict == "pass"
    assert {r.metric: r.verdict for r in sick.criteria}["acc:overconfidence"] == "fail"
    assert judge(table(TEACHER), table(TEACHER), gate).verdict == "invalid"


def test_efficiency_is_a_ratio_and_timings_leave_no_trace_in_the_digest(table, policy):
    size = Criterion(id="size", kind="efficiency", measure="parameters", max_ratio=0.5)
    speed = Criterion(id="speed", kind="efficiency", measure="latency_p50_ms", max_ratio=0.9)
    measured = {"teacher": {"parameters": 100.0, "latency_p50_ms": 10.0}, "student": {"parameters": 40.0, "latency_p50_ms": 5.0}}
    again = {**measured, "student": {"parameters": 40.0, "latency_p50_ms": 5.3}}
    read = Criterion(id="read", kind="floor", direction="higher", floor=0.1)
    first, second = (judge(table(TEACHER), table(TEACHER), policy(size, speed, read), measurements=m) for m in (measured, again))
    assert first.verdict == "pass"
    assert first.digest == second.digest
    assert judge(table(TEACHER), table(TEACHER), policy(size)).verdict == "invalid"


def test_repeated_items_do_not_shrink_the_interval(table, policy):
    """Fifty items copied twenty times: the gate sees the source digests and does not believe in a thousand items."""
    few = np.array([1.0] * 40 + [0.0] * 10)
    many = np.repeat(few, 20)
    digests = [f"sha256:{n // 20}" for n in range(1000)]
    plain = judge(table(many), table(many), policy(margin=0.03))
    seen = judge(table(many, item_digest=digests), table(many, item_digest=digests), policy(margin=0.03))
    assert plain.verdict == "pass"
    assert seen.verdict == "inconclusive"


def test_findings_stop_a_release_the_numbers_would_let_through(table, policy):
    for verdict, expected in (("warn", "pass"), ("review", "fail"), ("block", "fail"), ("invalid", "invalid")):
        finding = Finding(check="provenance", verdict=verdict, subject="teacher", reason="unpinned", rule="provenance.teacher-unpinned")
        assert judge(table(TEACHER), table(TEACHER), policy(), findings=[finding]).verdict == expected


def test_a_policy_changes_the_level_of_a_finding_but_never_lifts_a_licence_denial(table, policy):
    warned = Finding(check="practice", verdict="warn", subject="x", reason="x", rule="practice.little-data")
    denied = Finding(check="licence", verdict="block", subject="x", reason="x", rule="licence.deny")
    stricter = policy(findings={"practice.*": "block", "licence.*": "warn"})
    assert judge(table(TEACHER), table(TEACHER), stricter, findings=[warned]).verdict == "fail"
    assert judge(table(TEACHER), table(TEACHER), stricter, findings=[denied]).verdict == "fail"


@pytest.mark.parametrize(
    ("digests", "rule"),
    [
        ({"student_items": "sha256:" + "0" * 64}, "evidence.items-changed"),
        ({"student_weights": "sha256:1", "student_weights_evaluated": "sha256:2"}, "evidence.subject-changed"),
        ({"policy": "sha256:" + "0" * 64}, "evidence.policy-changed"),
    ],
)
def test_evidence_that_contradicts_what_is_judged_is_invalid(table, policy, digests, rule):
    decision = judge(table(TEACHER), table(TEACHER), policy(), digests=digests)
    assert decision.verdict == "invalid"
    assert rule in [f.rule for f in decision.findings]


def test_a_pinned_teacher_cannot_be_swapped(table, policy):
    pinned = policy(pins={"teacher_weights": "sha256:right"})
    assert judge(table(TEACHER), table(TEACHER), pinned, digests={"teacher_weights": "sha256:wrong"}).verdict == "invalid"
    assert judge(table(TEACHER), table(TEACHER), pinned, digests={"teacher_weights": "sha256:right"}).verdict == "pass"


def test_a_demanded_digest_that_is_absent_is_invalid(table, policy):
    assert judge(table(TEACHER), table(TEACHER), policy(require_digests=("plan",))).verdict == "invalid"


@settings(max_examples=15, deadline=None)
@given(st.permutations(list(range(60))), st.integers(0, 1000))
def test_neither_row_order_nor_item_names_nor_the_weather_change_the_decision(order, seed):
    """Permuted rows give the same digest; renamed items give the same numbers."""
    rng = np.random.default_rng(seed)
    teacher, student = rng.integers(0, 2, (2, 60))
    rows = [
        [{"suite": "s", "task": "t", "metric": "m", "item_id": f"i{n}", "score": float(x)} for n, x in enumerate(side)]
        for side in (teacher, student)
    ]
    gate = Policy(
        name="p", version="1", digest="sha256:p", criteria=(Criterion(id="c", kind="non_inferiority", direction="higher", margin=0.1),)
    )
    plain = judge(*(ItemTable.from_rows(side) for side in rows), gate)
    shuffled = judge(ItemTable.from_rows(rows[0]), ItemTable.from_rows([rows[1][n] for n in order]), gate)
    renamed = judge(*(ItemTable.from_rows([{**row, "item_id": "x" + row["item_id"]} for row in side]) for side in rows), gate)
    assert plain.digest == shuffled.digest
    assert [r.as_json() for r in plain.criteria] == [r.as_json() for r in renamed.criteria]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 200))
def test_swapping_the_models_mirrors_difference_and_bounds(seed, n):
    rng = np.random.default_rng(seed)
    sides = [
        ItemTable.from_rows(
            [{"suite": "s", "task": "t", "metric": "m", "item_id": str(k), "score": float(x)} for k, x in enumerate(rng.integers(0, 2, n))]
        )
        for _ in range(2)
    ]
    gate = Policy(
        name="p", version="1", digest="sha256:p", criteria=(Criterion(id="c", kind="non_inferiority", direction="higher", margin=0.1),)
    )
    forth, back = judge(sides[0], sides[1], gate).criteria[0], judge(sides[1], sides[0], gate).criteria[0]
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.bound == pytest.approx(-back.upper, abs=1e-9)


def test_the_document_is_canonical_has_the_contracts_keys_and_reads_back(table, policy):
    decision = judge(table(TEACHER), table(flipped(TEACHER, lost=50, won=20)), policy(by=()), subject={"student": "s"})
    document = json.loads(decision.canonical)
    assert {"schema", "verdict", "policy", "criteria", "findings", "waivers", "approvals", "digests"} <= document.keys()
    wanted = "id kind suite task metric group verdict reason n clusters teacher student difference bound margin confidence method n_needed"
    assert set(wanted.split()) <= document["criteria"][0].keys()
    assert set(document["policy"]) == {"name", "version", "digest"}
    back = decision_from_json(document)
    assert isinstance(back, Decision)
    assert back.digest == decision.digest


def test_the_same_inputs_give_the_same_bytes(table, policy):
    first, second = (judge(table(TEACHER), table(flipped(TEACHER, lost=50, won=20)), policy()) for _ in range(2))
    assert first.canonical == second.canonical


def test_holm_speaks_only_of_what_is_proven_over_all_criteria(table):
    """Twenty criteria, one barely worse: it fails, and is not called proven; one far worse is."""
    rows = {"teacher": [], "student": []}
    for task in range(20):
        lost = {0: 150, 1: 71}.get(task, 5)
        student = flipped(TEACHER, lost=lost, won=5, seed=task)
        for role, scores in (("teacher", TEACHER), ("student", student)):
            rows[role] += [
                {"suite": "s", "task": f"t{task:02d}", "metric": "m", "item_id": str(n), "score": float(x)} for n, x in enumerate(scores)
            ]
    gate = Policy(
        name="p", version="1", digest="sha256:p", criteria=(Criterion(id="c", kind="non_inferiority", direction="higher", margin=0.05),)
    )
    decision = judge(ItemTable.from_rows(rows["teacher"]), ItemTable.from_rows(rows["student"]), gate)
    failed = {r.task: r.proven for r in decision.criteria if r.verdict == "fail"}
    assert failed == {"t00": True, "t01": False}


def test_pooling_judges_tasks_together(table, policy):
    rows = [
        {"suite": "s", "task": task, "metric": "m", "item_id": str(n), "score": float(n % 5 > 0)} for task in ("a", "b") for n in range(200)
    ]
    one = replace(policy().criteria[0], pooled=True)
    decision = judge(ItemTable.from_rows(rows), ItemTable.from_rows(rows), policy(one))
    assert [(r.task, r.n) for r in decision.criteria] == [("a+b", 400)]
