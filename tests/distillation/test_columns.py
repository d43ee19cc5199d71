"""Columns of a file under other names: read as an entry says wherever the file is read; a name that is not there is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.distillation.data.examples import read_data
from kdgov.distillation.shown_examples import shown_examples
from kdgov.errors import InputError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import step_key
from kdgov.pipeline.generation.asked_terms import prompted_terms
from kdgov.pipeline.inputs.distill_inputs import distill_inputs

ROWS = [
    {"id": n, "q": {"text": f"How many are {n}?"}, "found": {"text": [f" {n}", " more"]}, "context": "a page", "q_id": "x"}
    for n in range(4)
]
PROMPTS = {"prompt": "q.text", "context": None}
COLUMNS = {"prompt": "q.text", "completion": "found.text.0", "context": None}


def use(**columns: str | None) -> list[DataUse]:
    return [DataUse(columns=columns)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_columns_stand_for_the_keys_of_a_line(table):
    read = read_data([table], uses=use(**COLUMNS))
    assert [(one.item_id, one.prompt, one.completion) for one in read.examples] == [
        (str(n), f"How many are {n}?", f" {n}") for n in range(4)
    ]
    assert dict(read.ignored_keys) == {"q_id": 4}, "what no name takes is read as it is: here it is counted"


def test_a_label_and_a_conversation_are_mapped_too(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"sentence": "good", "sentiment": "joy", "text": "other"}) + "\n")
    (one,) = read_data([path], uses=use(text="sentence", label="sentiment")).examples
    assert (one.completion, one.label) == ("good", "joy")
    path.write_text(json.dumps({"chat": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}) + "\n")
    (one,) = read_data([path], uses=use(conversations="chat")).examples
    assert [turn["role"] for turn in one.messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"prompt": "query"}, "has no column 'query'; it has id, q, found, context, q_id"),
        ({"prompt": "q.text", "completion": "found.text.7", "context": None}, "has no column 'found.text.7'"),
        ({"prompt": "q.text", "completion": "found", "context": None}, "is not text"),
        ({"prompt": "q.text", "completion": "found.text.0"}, "holds `context` beside"),
    ],
)
def test_what_does_not_fit_is_refused(columns, what, table):
    with pytest.raises(InputError) as refused:
        read_data([table], uses=use(**columns))
    assert what in str(refused.value)
    assert str(table) in str(refused.value)


def test_plain_text_has_no_columns(tmp_path):
    (tmp_path / "x.txt").write_text("one\n\ntwo\n")
    with pytest.raises(InputError, match="plain text, which has no columns"):
        read_data([tmp_path / "x.txt"], uses=use(text="sentence"))


def test_a_release_says_them_once_for_every_door(teacher, table, tmp_path):
    said = {
        "schema": "kdgov.release/1", "name": "mapped", "teacher": {"model": str(teacher)}, "student": {"keep_layers": [0, 3]},
        "distillation": {"steps": 2, "terms": [{"kind": "teacher_text", "prompts": str(table), "columns": PROMPTS}]},
    }  # fmt: skip
    keys = []
    for columns in (COLUMNS, {**COLUMNS, "completion": "found.text.1"}):
        path = tmp_path / "release.yaml"
        path.write_text(yaml.safe_dump({**said, "data": [{"path": str(table), "columns": columns}]}))
        context = open_release(path, store=tmp_path / "store")
        inputs = distill_inputs(context)
        keys.append(step_key(context, inputs))
        recipe = context.release.distillation
        assert recipe is not None
        (shown,) = shown_examples(recipe, teacher, inputs.data, 1, uses=inputs.uses)
        assert shown.item_id == "0"
        assert "?" in "".join(piece for kind, piece in shown.pieces if kind == "shown")
    assert keys[0] != keys[1], "other columns are other data"
    (asked,) = prompted_terms(context, inputs.data, inputs.prompts)
    assert [one.prompt for one in asked.prompts] == [f"How many are {n}?" for n in range(4)]
