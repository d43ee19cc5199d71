"""Readers: the same examples whatever the format and compression, nothing skipped silently, memory bounded."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdgov.checks.scan import shards
from kdgov.checks.scan.shards import BLOCK_BYTES, LONG_LINE_BYTES, OVERLAP, read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.errors import InputError

ROWS = [{"id": "a", "prompt": "What is it?", "completion": "A café."}, {"id": "b", "prompt": "And that?", "completion": "A house"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def texts(path: Path) -> list[tuple[int, str, str, str]]:
    return [(p.row, p.field, p.role, p.text) for row in read_rows(path, Tally()) for p in row.pieces]


EXPECTED = [
    (n, key, role, row[key])
    for n, row in enumerate(ROWS, 1)
    for key, role in (("id", "text"), ("prompt", "prompt"), ("completion", "output"))
]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.bz2", ".jsonl.xz", ".jsonl.zst", ".json", ".csv", ".parquet"])
def test_every_format_gives_the_same_texts(tmp_path, ending):
    path = tmp_path / f"data{ending}"
    table = pa.Table.from_pylist(ROWS)
    match ending:
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(LINES))
        case ".jsonl.bz2":
            path.write_bytes(bz2.compress(LINES))
        case ".jsonl.xz":
            path.write_bytes(lzma.compress(LINES))
        case ".jsonl.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as stream:
                stream.write(LINES)
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".csv":
            path.write_text("id,prompt,completion\na,What is it?,A café.\nb,And that?,A house\n", encoding="utf-8")
        case ".parquet":
            pq.write_table(table, path)
        case _:
            path.write_bytes(LINES)
    assert texts(path) == EXPECTED


def test_speakers_of_a_conversation_have_their_roles(tmp_path):
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": talk}))
    assert [(role, text) for _, _, role, text in texts(tmp_path / "a.jsonl")] == [
        ("text", "user"),
        ("prompt", "Hello"),
        ("text", "assistant"),
        ("output", "Good day"),
    ]


def test_windows_of_a_long_text_own_every_character_once(tmp_path):
    path = tmp_path / "a.txt"
    text = "".join(f"line {n} of the text\n" for n in range(3 * BLOCK_BYTES // 20))
    path.write_text(text)
    owned = []
    for row in read_rows(path, Tally()):
        piece = row.pieces[0]
        owned.append((piece.offset + piece.own_from, piece.offset + (len(piece.text) if piece.own_to is None else piece.own_to)))
        assert text[piece.offset : piece.offset + len(piece.text)] == piece.text
    assert len(owned) > 3
    assert owned[0][0] == 0
    assert owned[-1][1] == len(text)
    assert all(end == begin for (_, end), (begin, _) in zip(owned, owned[1:], strict=False))


def test_plain_text_counts_its_non_empty_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\n  \ntwo\nthree")
    tally = Tally()
    list(read_rows(tmp_path / "a.txt", tally))
    assert tally.rows == 3


def test_bytes_that_are_no_utf8_are_counted_and_the_rest_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "caf\xe9 one"}\n{"text": "two"}\n')
    tally = Tally()
    found = [p.text for row in read_rows(tmp_path / "a.jsonl", tally) for p in row.pieces]
    assert found == ["caf\ufffd one", "two"]
    assert tally.invalid_utf8 == 1


def test_a_character_cut_by_a_block_is_whole(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * (BLOCK_BYTES - 1) + "é".encode() * 10)
    tally = Tally()
    assert "".join(row.pieces[0].text for row in read_rows(tmp_path / "a.txt", tally)).count("é") >= 10
    assert tally.invalid_utf8 == 0


def test_lines_that_are_no_json_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": \n{"text": "c"}\n')
    tally = Tally()
    list(read_rows(tmp_path / "a.jsonl", tally))
    assert (tally.rows, tally.unreadable, tally.unreadable_count) == (2, [2], 1)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz", "a.jsonl.xz"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name):
    whole = {".gz": gzip.compress(LINES * 50), ".xz": lzma.compress(LINES * 50)}.get(Path(name).suffix, b"PAR1 no such thing")
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read") as caught:
        list(read_rows(tmp_path / name, Tally()))
    assert name in str(caught.value)


@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_one_line_larger_than_memory_should_hold_is_read_in_windows(tmp_path, ending):
    """48 MB on one line: read as windows of about a block, with the last words intact and bounded memory."""
    path = tmp_path / f"long{ending}"
    with path.open("wb") as stream:
        stream.write(b'{"text": "')
        for _ in range(3 * LONG_LINE_BYTES // (1 << 20)):
            stream.write(b"some words of \\u0041 text\\n " * ((1 << 20) // 27))
        stream.write(b'the last words"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally, last, longest = Tally(), "", 0
    for row in read_rows(path, tally):
        last, longest = row.pieces[0].text, max(longest, len(row.pieces[0].text))
    assert "the last words" in last
    assert "of A text\n" in last
    assert tally.long_lines == 1
    assert longest < 2 * BLOCK_BYTES + OVERLAP
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown_bytes < 6 * LONG_LINE_BYTES


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_larger_than_a_line_may_be_is_read_element_by_element(tmp_path, indent, monkeypatch):
    monkeypatch.setattr(shards, "LONG_LINE_BYTES", 4000)
    monkeypatch.setattr(shards, "BLOCK_BYTES", 64)
    rows = [{"prompt": f"née {n} ]}}, {{", "completion": ["x" * (n % 90), {"deep": n}]} for n in range(300)]
    path, tally = tmp_path / "a.json", Tally()
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=indent) + "\n")
    assert [row.value for row in read_rows(path, tally)] == rows
    assert (tally.rows, tally.long_lines, tally.invalid_utf8) == (300, 0, 0)


@pytest.mark.parametrize("ending", ["{]", ', "loose words"]', '] {"more": "words"}', "", ', {"open": "words'])
def test_what_is_no_element_of_a_long_array_is_told_and_scanned(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(shards, "LONG_LINE_BYTES", 4000)
    rows = [{"text": f"words {n}"} for n in range(300)]
    path, tally = tmp_path / "a.json", Tally()
    path.write_text(json.dumps(rows)[:-1] + ending)
    read = list(read_rows(path, tally))
    assert [row.value for row in read[:300]] == rows
    assert tally.long_lines == 1
    assert "".join(piece.text for row in read[300:] for piece in row.pieces).strip() == ending.removeprefix("] ").strip()
