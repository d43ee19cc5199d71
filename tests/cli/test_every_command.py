"""Laws over all commands: examples of the help parse, options mean one thing, and broken input never ends with a verdict's exit code."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from kdgov.cli.app import COMMANDS, app, load_command


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that runs, by its words."""
    for name in COMMANDS:
        yield from below((name,), load_command(name))


def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The command itself, or those of its group."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, under in command.commands.items():
        yield from below((*words, name), under)


LEAVES = dict(leaves())


def examples() -> Iterator[str]:
    """Every ``kdgov …`` line of every help page."""
    pages = [command.epilog or "" for command in [*LEAVES.values(), *map(load_command, COMMANDS)]]
    for page in dict.fromkeys(pages):
        for line in re.sub(r"\[/?\w+\]", "", page).splitlines():
            if line.strip().startswith("kdgov "):
                # Two blanks or more end the command: what follows says what it does.
                yield re.split(r" {2,}", line.strip())[0]


@pytest.mark.parametrize("line", sorted(set(examples())))
def test_every_example_of_the_help_is_a_command_line_that_parses(line):
    words = shlex.split(line.partition(" > ")[0].partition(" | ")[0])[1:]
    name = next((tuple(words[:count]) for count in (3, 2, 1) if tuple(words[:count]) in LEAVES), ())
    assert name, f"{line} names no command"
    # A line may be broken before its last options.
    LEAVES[name].make_context(" ".join(name), words[len(name) :], resilient_parsing=True)
    known = {option for parameter in LEAVES[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    own = list(itertools.takewhile(lambda word: word != "--", words))
    named = {word.partition("=")[0] for word in own if word.startswith("--")}
    assert named <= known | {"--help"}, line


def test_an_option_of_one_name_means_one_thing():
    """The same question has the same option everywhere; older names go on working, unseen."""
    for name, leaf in LEAVES.items():
        shown = {option for parameter in leaf.params if not getattr(parameter, "hidden", False) for option in parameter.opts}
        assert "--json" not in shown, f"{name}: --format json"
        assert "--date" not in shown, f"{name}: --as-of"
        assert "--because" not in shown or "--reason" in shown, name
        assert "--today" not in shown or "--as-of" in shown, name


# These start servers, ask on a terminal or take minutes; their own tests break them.
LONG = {("serve",), ("demo",), ("endpoint",), ("policy", "drill"), ("doctor",)}
BROKEN = {
    "absent": lambda folder: str(folder / "absent.yaml"),
    "empty": lambda folder: _file(folder, "empty.yaml", b""),
    "bytes": lambda folder: _file(folder, "bytes.json", bytes(range(256)) * 8),
    "deep": lambda folder: _file(folder, "deep.json", b"[" * 200_000),
    "folder": lambda folder: str(folder),
    "list": lambda folder: _file(folder, "list.yaml", b"- 1\n- 2\n"),
    "word": lambda folder: "\x1b[31m\u202ex",
}

DAILY = ("deep", "folder")


def _file(folder, name, content):
    (folder / name).write_bytes(content)
    return str(folder / name)


def _required(leaf: Any, value: str) -> list[str]:
    words: list[str] = []
    for parameter in leaf.params:
        if parameter.required:
            words += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    if not words:
        words = [value for parameter in leaf.params if parameter.param_type_name == "argument"][:1]
    return words


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind if kind in DAILY else pytest.param(kind, marks=pytest.mark.nightly) for kind in BROKEN])
@pytest.mark.parametrize("name", [name for name in LEAVES if name not in LONG], ids=" ".join)
def test_broken_input_is_one_message_and_no_verdict(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDGOV_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("KDGOV_TRUST", str(tmp_path / "trust.json"))
    words = _required(LEAVES[name], BROKEN[kind](tmp_path))
    done = CliRunner().invoke(app, [*name, *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "nobody foresaw" not in done.stderr, done.stderr
    assert "Traceback" not in done.output
    assert done.exit_code in (0, 2, 3), f"{name} {words}: {done.exit_code}\n{done.output}"
    assert "\x1b[31m" not in done.output
