"""A text that would end a parser, or fill the memory, is one line of error; a text that would not is read."""

from __future__ import annotations

import json

import pytest

from kdgov.declarations.load import parse_yaml
from kdgov.declarations.suite import load_suite
from kdgov.errors import InputError
from kdgov.safe_parse import MOST_DEPTH, first_bytes, json_file, json_lines, json_value


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000, "a: " + "[" * 101 + "]" * 101])
def test_yaml_nested_without_end_is_one_line(text):
    with pytest.raises(InputError, match="nested deeper"):
        parse_yaml(text, file="p.yaml")


@pytest.mark.parametrize("text", ["a: !!timestamp x", "a: !!bool x", "a: !!int x", "a: !!float x", "a: !!timestamp 2026-99-99"])
def test_a_yaml_tag_that_its_value_contradicts_is_one_line(text):
    with pytest.raises(InputError, match="not valid YAML"):
        parse_yaml(text, file="p.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 5_000, "nested deeper"),
        (b'{"a":"' + b'\\"' * 50_000 + b'",' + b'"b":[' * 200, "nested deeper"),
        (b'{"a":' + b"9" * 5_000 + b"}", "thousands of digits"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b"[1,", "not JSON"),
        (b"[{},", "not JSON"),
    ],
)
def test_json_that_no_parser_should_see_is_one_line(text, words):
    with pytest.raises(InputError, match=words):
        json_value(text, where="x.json")


def test_brackets_in_texts_are_no_nesting():
    value = {"text": "[[[{{{" * 100, "more": ["]]" * 50, '\\"[[[' * 50]}
    assert json_value(json.dumps(value), where="x.json") == value
    deep: object = 1
    for _ in range(MOST_DEPTH):
        deep = [deep]
    assert json_value(json.dumps(deep), where="x.json") == deep


def test_a_document_that_would_fill_the_memory_is_refused_before_it_is_parsed():
    with pytest.raises(InputError, match="of memory"):
        json_value(b"[" + b"{}," * 4_000_000 + b"{}]", where="x.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n", "Git-LFS pointer"),
        (b"\x1f\x8b\x08\x00", "gzip-compressed"),
        (b"\x28\xb5\x2f\xfd\x00", "Zstandard-compressed"),
    ],
)
def test_a_file_that_is_something_else_says_so(tmp_path, content, words):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    for reader in (first_bytes, json_file, lambda p: list(json_lines(p))):
        with pytest.raises(InputError, match=words):
            reader(path)


def test_lines_are_read_one_at_a_time_and_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a":1}\n\n{"a":2}\n{"a":')
    found = json_lines(path)
    assert [next(found)[::2], next(found)[::2]] == [(1, {"a": 1}), (3, {"a": 2})]
    with pytest.raises(InputError, match="line 4 is cut short"):
        next(found)


def test_what_the_c_parser_ends_at_hides_no_depth_and_no_half_character(tmp_path):
    """Libyaml refuses half a surrogate pair where it stands; the plain reader goes on, and must be guarded too."""
    file = tmp_path / "suite.yaml"
    for text, words in (('a: "\\ud800"\n', "half a surrogate pair"), ('a: "\\x"\nb: ' + "[" * 100_000, "not valid YAML")):
        file.write_text(text)
        with pytest.raises(InputError, match=words):
            load_suite(file)
    file.write_text("%YAML 1.3\n---\nb: " + "[" * 100_000)
    with pytest.raises(InputError):
        load_suite(file)
