"""Declared files: every fault at once, with file, key, line and mend."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from kdgov.declarations.load import Declared, load, parse_yaml, resolve
from kdgov.errors import DeclarationError, InputError


class Soft(Declared):
    kind: Literal["soft"]
    temperature: float = Field(default=1.0, gt=0)


class Hard(Declared):
    kind: Literal["hard"]
    weight: float = 1.0


class Recipe(Declared):
    schema_: Literal["test/1"] = Field(alias="schema")
    name: str
    steps: int = 10
    terms: list[Annotated[Soft | Hard, Field(discriminator="kind")]] = []


def faults_of(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        load(path, Recipe)
    return caught.value.faults


def test_every_fault_is_named_with_its_key_and_line(tmp_path):
    faults = faults_of(
        tmp_path, "schema: test/1\nsteps: many\nterms:\n  - {kind: soft, temperature: -1}\n  - kind: hard\n    wieght: 0.3\n"
    )
    by_key = {f.key: f for f in faults}
    assert set(by_key) == {"name", "steps", "terms[0].temperature", "terms[1].wieght"}
    assert (by_key["steps"].line, by_key["terms[0].temperature"].line, by_key["terms[1].wieght"].line) == (2, 4, 6)
    assert "missing" in by_key["name"].what
    assert "'many' is a text" in by_key["steps"].what


def test_an_unknown_key_is_answered_with_the_nearest_known_one(tmp_path):
    faults = faults_of(tmp_path, "schema: test/1\nname: a\nterms:\n  - {kind: hard, wieght: 1}\n")
    assert [f.mend for f in faults] == ["Did you mean `weight`?"]


def test_an_unknown_kind_lists_the_known_ones(tmp_path):
    (fault,) = faults_of(tmp_path, "schema: test/1\nname: a\nterms:\n  - {kind: sfot}\n")
    assert fault.key == "terms[0]"
    assert "soft" in fault.mend
    assert "hard" in fault.mend


def test_a_syntax_error_names_the_line(tmp_path):
    (fault,) = faults_of(tmp_path, "schema: test/1\nname: [a\nsteps: 3\n")
    assert fault.line in (2, 3)
    assert "not valid YAML" in fault.what


def test_a_repeated_key_is_a_fault_and_never_silently_the_last(tmp_path):
    (fault,) = faults_of(tmp_path, "schema: test/1\nname: a\nname: b\n")
    assert (fault.key, fault.line) == ("name", 3)
    assert "first on line 2" in fault.what


@pytest.mark.parametrize(("text", "says"), [("", "is empty"), ("- a\n", "a list"), ("42\n", "whole number")])
def test_a_file_that_is_no_mapping_says_what_it_is(tmp_path, text, says):
    (fault,) = faults_of(tmp_path, text)
    assert says in fault.what
    assert "schema: test/1" in fault.mend


def test_a_missing_file_a_folder_and_wrong_encoding_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none.yaml", Recipe)
    with pytest.raises(InputError, match="is a folder"):
        load(tmp_path, Recipe)
    (tmp_path / "latin.yaml").write_bytes("name: Müller".encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 7\)"):
        load(tmp_path / "latin.yaml", Recipe)


def test_lines_are_known_for_nested_keys():
    _, lines = parse_yaml("a:\n  b:\n    - x\n    - y: 1\n", file="f")
    assert lines["a", "b", 1, "y"] == 4


def test_paths_resolve_beside_the_file_first_then_in_the_working_folder(tmp_path, monkeypatch):
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    monkeypatch.chdir(work)
    (work / "both").write_text("w")
    (work / "only").write_text("w")
    (home / "both").write_text("h")
    assert resolve("both", beside=home / "r.yaml").read_text() == "h"
    assert resolve("only", beside=home / "r.yaml").read_text() == "w"
    assert resolve("neither", beside=home / "r.yaml") == home / "neither"


def test_references_that_multiply_are_refused_instead_of_expanded(tmp_path):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(DeclarationError) as caught:
        parse_yaml(text, file="bomb.yaml")
    assert "more than" in caught.value.faults[0].what
    assert len(caught.value.faults) < 20
