"""Files under names and in forms that are not read as they are meant: refused in one line, never learnt as some other text."""

from __future__ import annotations

import gzip
import json
import re

import pyarrow as pa
import pytest

from kdgov.checks.scan.logged_inputs import read_log
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.distillation.data.examples import read_data, read_examples
from kdgov.errors import InputError
from kdgov.evaluation.plan.data_files import read_rows

LINE = b'{"text": "a"}\n'
FILES = {
    "x.pdf": (b"%PDF-1.4 words", "is of a kind that is not read (.pdf)"),
    "x.yaml": (b"- text: a\n", "(.yaml)"),
    "x.jsonlines": (LINE, "(.jsonlines)"),
    "x.csv.bak": (b"text\na\n", "(.bak)"),
    "x.tar.gz": (gzip.compress(LINE), "(.tar)"),
    "x.txt": (LINE * 2, "holds JSON lines under the name of a plain text"),
    "x": (LINE, "holds JSON lines"),
    "x.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git-LFS pointer"),
    "y.txt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git-LFS pointer"),
    "z.jsonl": (gzip.compress(LINE), "is gzip-compressed as a whole"),
    "u.csv": ("text\na\n".encode("utf-16"), "is UTF-16 text"),
    "y.jsonl.gz": (LINE, "cannot be read as .jsonl.gz"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_its_name_says_is_refused(name, tmp_path):
    data, told = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as refused:
        read_data([tmp_path / name])
    (fault,) = refused.value.faults
    assert told in fault.what
    assert fault.file == str(tmp_path / name)
    assert fault.mend


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        *((name, data.replace(b"text", b"input"), told) for name, (data, told) in FILES.items() if b"\x1f\x8b" not in data),
        ("l.csv", b"input\n\xe9\n", "is not UTF-8 text"),
        ("l.jsonl", b'{"input": "\xe9"}\n', "is not UTF-8 text"),
        ("q.csv", b'input\n"a\n', "closed by a quote"),
        ("s.jsonl", b'{"input": "a\\ud83d"}\n', "not JSON"),
    ],
)
def test_a_log_of_production_inputs_is_refused_alike(name, data, told, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(told)):
        read_log(tmp_path / name, ProductionInputs(path=name))


def test_lines_of_a_text_are_those_of_an_editor(tmp_path):
    (tmp_path / "x.txt").write_bytes("one\u2028more\r\n\r\ntwo\x0c\rthree".encode())
    assert read_rows(tmp_path / "x.txt") == [{"text": "one\u2028more"}, {"text": "two\x0c"}, {"text": "three"}]
    (tmp_path / "x.jsonl").write_text('{"input": "a", "who": {"id": 7}}\n')
    (one,) = read_log(tmp_path / "x.jsonl", ProductionInputs(path="x.jsonl", session="who.id")).inputs
    assert one.session == "7"


def test_a_stream_that_is_cut_short_is_one_line(tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "x.jsonl.zst"), "zstd") as out:
        out.write(LINE * 99)
    (tmp_path / "x.jsonl.zst").write_bytes((tmp_path / "x.jsonl.zst").read_bytes()[:-4])
    with pytest.raises(InputError, match=r"cannot be read as \.jsonl\.zst"):
        read_data([tmp_path / "x.jsonl.zst"])


@pytest.mark.parametrize("text", ["one\n\ntwo\nthree\n", "one\r\n\r\ntwo\r\nthree", "\ufeffone\n \t\n\n\ntwo\nthree", "one\r\rtwo\rthree"])
@pytest.mark.parametrize("name", ["x.txt", "x.md", "x.txt.gz", "x"])
def test_paragraphs_are_those_of_a_reader_whatever_breaks_lines_and_compresses(name, text, tmp_path):
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert [(one.item_id, one.completion) for one in read_examples([tmp_path / name])] == [
        (f"{name}#1", "one"),
        (f"{name}#2", "two\nthree"),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "a", "train": False}, "marks the line with False"),
        ({"text": "a", "loss_weight": 0.1}, "marks the line with 0.1"),
        ({"text": "a", "sample_weight": 2}, "marks the line with 2"),
        ({"prompt": "a", " Completion": "b"}, "holds ` Completion` beside"),
        ({"text": "a", "Label": 1}, "holds `Label` beside"),
        ({"question": "a", "answer": "b"}, "needs `text`"),
        ({"text": "half \ud83d a pair"}, "is not JSON of whole characters"),
    ],
)
def test_a_key_that_would_change_what_is_learnt_is_refused(row, told, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError) as refused:
        read_data([tmp_path / "x.jsonl"])
    assert told in str(refused.value)
    assert "x.jsonl:1" in str(refused.value)


def test_a_mark_that_changes_nothing_is_counted(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "a", "train": True, "loss": 0.37, "sample_weight": 1}) + "\n")
    assert read_data([tmp_path / "x.jsonl"]).ignored_keys == {"loss": 1, "sample_weight": 1, "train": 1}
