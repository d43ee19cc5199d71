"""The full drill on several cores says what it says on one."""

from __future__ import annotations

import pytest

from kdgov.decision.drill import drill
from kdgov.decision.drill import run_drill as run_module
from kdgov.decision.drill.drill_cores import drill_file
from kdgov.declarations.policy_file import load_policy
from kdgov.errors import InputError
from kdgov.resources import data_folder

DEFAULT = data_folder("policies") / "default.yaml"


def test_a_name_that_is_no_plant_is_refused():
    with pytest.raises(InputError, match="R99"):
        drill_file(DEFAULT, read=load_policy, quick=True, only=["R99"])


def test_the_number_of_tables_can_be_named():
    report = drill_file(DEFAULT, read=load_policy, runs=2, only=["R06", "R11"])
    assert (report.runs, [result.runs for result in report.planted]) == (2, [2, 3])


def test_how_plants_are_run_changes_no_figure():
    """Backwards, each from a fresh start: every plant has its own stream of chance."""
    policy = load_policy(DEFAULT)
    plain = drill(policy, quick=True, only=["R06", "R11", "G10"], runs=5)
    turned = drill(policy, quick=True, only=["R06", "R11", "G10"], runs=5, each=lambda one, names: [one(n) for n in reversed(names)])
    assert plain == turned


@pytest.mark.nightly
def test_several_processes_give_the_report_of_one(monkeypatch):
    monkeypatch.setattr("kdgov.decision.drill.drill_cores.FULL_RUNS", 1)
    monkeypatch.setattr(run_module, "FULL_RUNS", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert drill_file(DEFAULT, read=load_policy) == drill(load_policy(DEFAULT))
