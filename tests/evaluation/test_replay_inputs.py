"""Logged inputs on their way to the replay: read in one pass, equal ones once, faults in one line, answers that fit."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kdgov.checks.scan.logged_inputs import read_log, text_at
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.errors import InputError, KdgovError
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release

MINIATURE = Path(__file__).parents[2] / "registry/releases/miniature.yaml"


def log(folder: Path, rows: list[object], name: str = "log.jsonl") -> Path:
    path = folder / name
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def declared(**keys: object) -> ProductionInputs:
    return ProductionInputs.model_validate({"path": "log.jsonl", **keys})


def test_repeats_count_once_with_how_often_they_came_and_keep_their_session(tmp_path):
    rows = [{"input": text, "s": f"s{n}"} for n, text in enumerate(["How?", "Why?", "how? ", "HOW?", "Who?"])]
    found = read_log(log(tmp_path, rows), declared(session="s"))
    assert (found.rows, found.distinct) == (5, 3)
    assert [(one.text, one.times, one.session) for one in found.inputs] == [("How?", 3, "s0"), ("Why?", 1, "s1"), ("Who?", 1, "s4")]


def test_the_draw_does_not_depend_on_order(tmp_path):
    rows = [{"input": f"question {n}"} for n in range(300)]
    one = read_log(log(tmp_path, rows), declared(limit=40))
    other = read_log(log(tmp_path, rows[::-1], "b.jsonl"), declared(limit=40))
    assert {i.text for i in one.inputs} == {i.text for i in other.inputs}
    assert len(one.inputs) == 40
    assert one.distinct == 300


@pytest.mark.parametrize(
    ("value", "field", "text"),
    [
        ({"input": "hi"}, "input", "hi"),
        ({"a": {"b": "hi"}}, "a.b", "hi"),
        ({"a.b": "hi"}, "a.b", "hi"),
        (
            {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "hi"}, {"role": "assistant", "content": "y"}]},
            "messages",
            "hi",
        ),
        ({"messages": [{"from": "human", "value": "hi"}]}, "messages", "hi"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]}]}, "messages", "hi"),
        ({"turns": [{"content": "hi"}]}, "turns.0", "hi"),
        ({"input": "¿Dónde está la 図書館؟"}, "input", "¿Dónde está la 図書館؟"),
        ({"input": 3}, "input", None),
        ({"input": None}, "input", None),
        ([1, 2], "input", None),
    ],
)
def test_text_is_found_where_it_lies(value, field, text):
    assert text_at(value, field) == text


@pytest.mark.parametrize(
    ("rows", "keys", "says"),
    [
        ([{"input": "a"}, "{broken"], {}, "1 line is not JSON (first: line 2)"),
        ([{"input": "a"}, {"text": "b"}], {}, "row 2 has no text under 'input' (its keys are text)"),
        ([{"input": "a"}, {"input": "  "}], {}, "row 2 has an empty text"),
        ([{"input": ["a"]}], {}, "row 1 has no text"),
        ([], {}, "holds no input"),
        (["", " "], {}, "holds no input"),
        ([{"input": "a"}], {"session": "s"}, "row 1 has no 's'"),
        ([{"input": "a", "r": ""}], {"reference": "r"}, "row 1 has no 'r'"),
    ],
)
def test_a_fault_of_the_log_is_one_line(tmp_path, rows, keys, says):
    with pytest.raises(InputError) as caught:
        read_log(log(tmp_path, rows), declared(**keys))
    assert says in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.mend


def test_plain_text_and_tables_are_logs_too(tmp_path):
    (tmp_path / "log.txt").write_text("one\n\ntwo\none\n")
    assert [one.text for one in read_log(tmp_path / "log.txt", declared()).inputs] == ["one", "two"]
    (tmp_path / "log.csv").write_text('input,n\n"a, b",1\nc,2\n')
    assert [one.text for one in read_log(tmp_path / "log.csv", declared()).inputs] == ["a, b", "c"]


@pytest.mark.nightly
def test_a_million_lines_are_read_in_bounded_memory(tmp_path):
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps({"input": f"question {n % 700_000} of a long log of a service"}) + "\n" for n in range(1_000_000))
    code = (
        "import sys; from pathlib import Path; from kdgov.checks.scan.logged_inputs import read_log;"
        "from kdgov.declarations.release_parts.production_inputs import ProductionInputs;"
        "log = read_log(Path(sys.argv[1]), ProductionInputs(path='x'));"
        # Not ru_maxrss: a child of a large process begins with its parent's peak.
        "print(log.rows, log.distinct, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)  # noqa: S603
    rows, distinct, peak = map(int, done.stdout.split())
    assert (rows, distinct) == (1_000_000, 700_000)
    assert peak < 500_000  # kilobytes
    assert resource is not None


def _release(folder: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, object], rows: list[object]) -> Path:
    text = (
        MINIATURE.read_text()
        .replace("../", f"{MINIATURE.parents[1]}/")
        .replace("policies/default", str(MINIATURE.parents[2] / "policies/default"))
    )
    log(folder, rows)
    named = json.dumps({"path": str(folder / "log.jsonl"), **inputs})
    lines = [f"production_inputs: {named}" if line.startswith("production_inputs:") else line for line in text.splitlines()]
    (folder / "release.yaml").write_text("\n".join(lines))
    monkeypatch.setenv("KDGOV_CACHE", str(folder / "cache"))
    return folder / "release.yaml"


@pytest.mark.parametrize(
    ("inputs", "rows", "says"),
    [
        ({"max_new_tokens": 64}, [{"input": "Where does Mido live?"}], "max_new_tokens: 64 do not fit: the teacher takes 64 tokens"),
        ({}, [{"input": "Where does Mido live? " * 20}], "an input has 100 tokens, and the teacher takes 64"),
    ],
)
def test_an_answer_that_does_not_fit_is_told_before_training(tmp_path, monkeypatch, inputs, rows, says):
    path = _release(tmp_path, monkeypatch, inputs, rows)
    with pytest.raises(KdgovError) as caught:
        check_step(open_release(path, store=tmp_path / "store"))
    assert says in str(caught.value)
