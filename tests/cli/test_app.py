"""The table of commands and the commands themselves say the same."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest
import typer

import kdgov.cli.commands
from kdgov.cli.app import COMMANDS, load_command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_is_the_commands_own_first_sentence(name):
    command = load_command(name)
    assert " ".join((command.help or "").split()).startswith(COMMANDS[name].help.rstrip("."))


def test_no_registered_command_is_missing_from_the_list():
    shelf = typer.Typer()
    for module in pkgutil.iter_modules(kdgov.cli.commands.__path__):
        code = importlib.import_module(f"kdgov.cli.commands.{module.name}")
        if hasattr(code, "register"):
            code.register(shelf)
    assert set(typer.main.get_group(shelf).commands) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name):
    done = subprocess.run(
        [sys.executable, "-m", "kdgov", name, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "120"}
    )
    assert f"kdgov {name}" in done.stdout.replace("Usage: kdgov", "", 1) or "COMMAND" in done.stdout


def test_an_unknown_command_is_a_usage_error_naming_the_nearest():
    done = subprocess.run([sys.executable, "-m", "kdgov", "distil"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "distill" in done.stderr
