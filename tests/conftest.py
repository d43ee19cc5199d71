"""What every test shares: where real data lies, and a project-local place for artifacts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kdgov.processes import collect_rarely

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
collect_rarely()  # as the command does: a twenty-fifth of the tests' time


LONGEST_FIRST = (
    "release",
    "real",
    "postgres",
    "sqlite",
    "distillation/test_signals",
    "evaluation/test_parity",
    "auditing/test_tamper",
    "decision/test_looks",
    "decision/test_drill",
    "tests/test_deploy",
    "tests/test_bad_input",
)
"""Groups of tests that keep one worker busy longest, these first: at the end both workers take from many short ones."""


OVER_A_SECOND = frozenset(
    {
        "test_a_case_gets_the_verdict_gate_obligations_and_clause_it_states",
        "test_a_common_mistake_warns_and_a_policy_makes_it_stop",
        "test_a_damaged_file_is_reported_with_what_was_read",
        "test_a_kind_of_task_and_a_judge_from_outside_are_part_of_the_evidence",
        "test_a_lineage_that_doubles_with_every_level_is_a_fault_not_a_hang",
        "test_a_loss_from_outside_trains_like_one_of_ours",
        "test_a_planted_violation_is_blocked_with_its_path_and_its_mend",
        "test_a_point_threshold_promotes_what_the_policy_stops",
        "test_a_report_format_from_outside_is_a_format_of_the_gate",
        "test_analytic_bca_of_many_values_is_close_to_resampling",
        "test_any_text_can_be_searched_and_hits_do_not_overlap",
        "test_datatrove_with_two_workers_gives_the_same_reports",
        "test_declared_names_and_rows_are_the_same_set",
        "test_detection_rates_on_labelled_text_reach_their_targets",
        "test_every_harm_that_can_escape_a_policy_comes_with_what_would_show_it",
        "test_every_module_of_task_kinds_is_a_row",
        "test_every_other_example_in_the_package_runs",
        "test_explain_list_show_and_facts_answer",
        "test_help_answers_in_a_fraction_of_a_second",
        "test_how_plants_are_run_changes_no_figure",
        "test_identifiers_across_windows_are_counted_once",
        "test_merkle_root_ignores_order_and_sees_every_leaf",
        "test_no_framework_is_loaded_to_answer",
        "test_no_other_module_spells_the_name_of_a_file",
        "test_one_distribution_is_not_told_apart_and_the_error_rate_holds",
        "test_one_line_larger_than_memory_should_hold_is_read_in_windows",
        "test_parts_scanned_apart_are_put_together",
        "test_rare_harm_does_not_slip_through_as_it_does_with_a_t_test",
        "test_references_that_multiply_are_refused_instead_of_expanded",
        "test_rules_are_listed_with_their_sources",
        "test_show_fills_in_every_default",
        "test_the_best_of_five_students_at_the_margin_passes_no_more_often_than_one_where_looks_are_corrected",
        "test_the_command_draws_the_release",
        "test_the_command_makes_checks_and_exports_cards",
        "test_the_command_prints_it",
        "test_the_command_writes_then_reads_and_blocks_until_everything_is_there",
        "test_the_default_policy_catches_every_deterministic_plant_but_a_teacher_that_nothing_pins",
        "test_the_default_policy_catches_twice_the_margin_and_passes_an_equal_student",
        "test_the_gate_loads_nothing_heavy_and_no_scipy",
        "test_the_reference_reader_accepts_our_croissant",
        "test_the_same_seed_gives_the_same_report_and_other_plants_change_nothing",
        "test_the_table_of_all_answers_is_the_one_that_was_read_by_hand",
        "test_what_the_installed_lm_eval_itself_writes_is_read",
    }
)
"""Tests of the pure core that take longer than a second (drills, real commands, large files); `make fast` leaves them out."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one worker, which then makes what its tests share once; start the long ones first, and mark what is slow."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))
        if getattr(item, "originalname", item.name) in OVER_A_SECOND:
            item.add_marker(pytest.mark.slow)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    group = next(mark.args[0] for mark in item.iter_markers("xdist_group"))
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


def real_folder(name: str) -> Path:
    """A folder of real data beside the checkout, or a skip with the reason."""
    data = Path(os.environ.get("KDGOV_REALDATA", ROOT.parent / "shared" / "realdata"))
    folder = data / name if name not in ("models", "hub_mirror") else data.parent / name
    if not folder.exists():
        pytest.skip(f"real data {name!r} is not beside this checkout; set KDGOV_REALDATA to its folder")
    return folder


@pytest.fixture
def asked_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own suites are asked in this process, as those that come with kdgov are.

    The process without keys loads torch and transformers anew, four seconds each time. What it keeps apart is the law of
    `tests/evaluation/test_confined.py`; tests marked ``apart`` go through it, and so does every command that a test starts.
    """
    if request.node.get_closest_marker("apart") is None:
        monkeypatch.setattr("kdgov.pipeline.confined.suite_calls._is_shipped", lambda suite: True)


@pytest.fixture
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def artifacts() -> Path:
    """Where a test leaves pictures and tables that CI keeps."""
    folder = ROOT / "tests" / ".artifacts"
    folder.mkdir(exist_ok=True)
    return folder
