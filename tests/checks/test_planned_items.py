"""Items that only the plan has are looked for in the training data before the gate judges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kdgov.pipeline.context import open_release
from kdgov.pipeline.late_scans.planned_items import planned_items_step
from tests.checks.conftest import QUESTION, World

TASK = """task: asked
dataset_path: json
dataset_kwargs: {data_files: {test: "DATA"}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["yes", "no"]
doc_to_target: 0
metric_list: [{metric: acc}]
"""


def with_lm_eval_task(world: World) -> Path:
    """The world's suite, its items read by lm-eval itself: the check does not see them."""
    path = world.write()
    suite = world.folder / "suite"
    (suite / "asked.yaml").write_text(TASK.replace("DATA", str(suite / "items.jsonl")))
    task = {"task": "asked", "file": "asked.yaml", "metrics": [{"metric": "acc", "direction": "higher", "range": [0, 1]}]}
    (suite / "suite.yaml").write_text(yaml.safe_dump({"schema": "kdgov.suite/1", "name": "suite", "license": "CC0-1.0", "tasks": [task]}))
    return path


@pytest.mark.parametrize("is_planted", [True, False])
@pytest.mark.slow
def test_training_data_that_holds_the_items_of_a_benchmark_is_found_before_the_gate(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_planted: bool
) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    if is_planted:
        world.rows[7] = {"prompt": QUESTION, "completion": "The eastern one."}
    context = open_release(with_lm_eval_task(world), store=world.folder / "store")
    done = planned_items_step(context, "sha256:plan", world.folder / "distilled")
    assert done is not None
    rules = {row["rule"] for row in json.loads((done.folder / "findings.json").read_bytes())}
    assert rules == ({"contamination.verbatim"} if is_planted else {"contamination.scanned"})
    assert (done.items, done.found) == (1, int(is_planted))
    again = planned_items_step(context, "sha256:plan", world.folder / "distilled")
    assert again is not None
    assert again.key == done.key


def test_nothing_is_scanned_twice_where_the_check_knew_every_item(world: World) -> None:
    context = open_release(world.write(), store=world.folder / "store")
    assert planned_items_step(context, "sha256:plan", world.folder / "distilled") is None
