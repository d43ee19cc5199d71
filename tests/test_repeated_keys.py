"""A key that stands twice in one JSON object, or a column in one table, is refused at every door: readers would keep the last silently."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdgov.checks.scan.logged_inputs import read_log
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.declarations.suite_parts.media_folders import listed
from kdgov.distillation.data.examples import read_data
from kdgov.errors import InputError
from kdgov.evaluation.plan.data_files import read_rows
from kdgov.evaluation.scoring.judge_labels import read_labels
from kdgov.items.results import read_results
from kdgov.safe_parse import json_value, line_of_repeat

GOOD = '{"prompt": "2 + 2 =", "completion": " 4"}\n'
TWICE = '{"prompt": "3 + 3 =", "completion": " 6", "completion": " 7"}\n'
NESTED = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "content": "c"}]}\n'
AS_TEXT = json.dumps({"messages": '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "content": "c"}]'}) + "\n"
DATA = {
    "a line": ("x.jsonl", GOOD + TWICE, 2, "completion"),
    "a message": ("x.jsonl", GOOD + NESTED, 2, "content"),
    "a conversation as text": ("x.jsonl", AS_TEXT, 1, "content"),
    "an array": ("x.json", f"[{GOOD.strip()},\n{TWICE.strip()}\n]", 2, "completion"),
    "lines under another name": ("x.json", GOOD + TWICE, 2, "completion"),
    "a compressed line": ("x.jsonl.gz", GOOD + TWICE, 2, "completion"),
    "a column": ("x.csv", "prompt,completion,completion\na,b,c\n", 1, "completion"),
}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("case", DATA)
def test_data_that_say_two_things_under_one_key_are_refused(case, tmp_path):
    name, text, line, key = DATA[case]
    with pytest.raises(InputError) as refused:
        read_data([written(tmp_path, name, text)])
    assert f"{name}:{line}: " in str(refused.value)
    assert key in str(refused.value)
    assert "twice" in str(refused.value)


def test_every_such_line_is_told_at_once(tmp_path):
    with pytest.raises(InputError) as refused:
        read_data([written(tmp_path, "x.jsonl", TWICE + GOOD + TWICE + '{"text": 3}\n')])
    assert [fault.line for fault in refused.value.faults] == [4, 1, 3]


def test_two_columns_of_one_name_are_refused_in_a_binary_table(tmp_path):
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "x.parquet")
    for reader in (lambda path: read_data([path]), read_rows):
        with pytest.raises(InputError, match="names the key 'text' twice"):
            reader(tmp_path / "x.parquet")


def _item(name: str) -> str:
    return f'{{"suite": "s", "task": "t", "item_id": "{name}", "metric": "acc", "score": 1.0}}\n'


def _gate(folder: Path) -> None:
    read_results(written(folder, "x.jsonl", _item("a") + _item("b")[:-2] + ', "score": 0.0}\n'))


def _foreign_log(folder: Path) -> None:
    sample = {"doc_id": 0, "doc": {"q": "a"}, "target": "b", "arguments": [["a", "b"]], "resps": [[0.5]], "acc": 1.0}
    text = "".join(json.dumps(sample | {"doc_id": n}) + "\n" for n in range(2))
    read_results(written(folder, "samples_arc_2026-11-01T00-00-00.000000.jsonl", text[:-2] + ', "acc": 0.0}\n'))


def _log(folder: Path) -> None:
    read_log(written(folder, "x.jsonl", '{"input": "a"}\n{"input": "b", "input": "c"}\n'), ProductionInputs(path="x.jsonl"))


def _suite(folder: Path) -> None:
    read_rows(written(folder, "x.jsonl", GOOD + TWICE))


def _labels(folder: Path) -> None:
    text = '{"answer_id": "a", "label": "good"}\n{"answer_id": "b", "label": "good", "label": "bad"}\n'
    read_labels([written(folder, "x.jsonl", text)])


def _pictures(folder: Path) -> None:
    written(folder, "1.png", "picture")
    written(folder, "metadata.jsonl", '\n{"file_name": "1.png", "label": "cat", "label": "dog"}\n')
    listed(folder)


@pytest.mark.parametrize("door", [_gate, _foreign_log, _log, _suite, _labels, _pictures], ids=lambda door: door.__name__)
def test_every_other_reader_of_lines_refuses_them(door, tmp_path):
    with pytest.raises(InputError) as refused:
        door(tmp_path)
    assert "jsonl:2: " in str(refused.value)
    assert "twice" in str(refused.value)
    assert refused.value.faults[0].mend


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1,\n "b": {"a": 2},\n "c": [{"a": 1}, {"a": "a"}]}', 0),
        ('{"a": 1,\n "b": "{\\"b\\": 1}",\n "\\u0062" : 3}', 3),
        ('[{"a": {"x": 1}},\n{"a": [{"x": 1,\n"x": 2}]}]', 3),
    ],
)
def test_the_line_of_a_document_is_found(text, line):
    assert line_of_repeat(text.encode()) == line
    if not line:
        assert json_value(text, where="x.json") == json.loads(text)
        return
    with pytest.raises(InputError, match=rf"x\.json:{line}: ") as refused:
        json_value(text, where="x.json")
    assert "twice" in str(refused.value)
