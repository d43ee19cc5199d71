"""The rim: one message, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from kdgov.cli.app import COMMANDS
from kdgov.cli.error_boundary import error_boundary, write_answer
from kdgov.cli.unforeseen import EXTRA_OF_COMMAND, EXTRA_OF_MODULE
from kdgov.errors import DeclarationError, Fault, InputError, UnavailableError
from tests.command import kdgov

FAULTS = [
    Fault(file="p.yaml", key="criteria[2].margin", line=9, what="-0.02 is below 0", mend="Write 0.02."),
    Fault(file="p.yaml", key="name", what="is missing", mend="Add it."),
]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            InputError("there is no such file", where="r.yaml", mend="Check the path."),
            2,
            "r.yaml: there is no such file\n  Check the path.",
        ),
        (DeclarationError(FAULTS), 2, "p.yaml:9: criteria[2].margin: -0.02 is below 0\n  Write 0.02."),
        (UnavailableError("registry unreachable", where="http://127.0.0.1:1", mend="Start it."), 3, "registry unreachable"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 3, "Free some disk space"),
        (KeyboardInterrupt(), 3, "continues where it stopped"),
    ],
)
def test_every_deliberate_error_ends_with_its_code_and_message(error, code, says, capsys):
    with pytest.raises(typer.Exit) as caught, error_boundary():
        raise error
    assert caught.value.exit_code == code
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""
    assert "Traceback" not in err


def test_all_faults_are_shown_at_once_also_as_json(capsys):
    with pytest.raises(typer.Exit), error_boundary(output_format="json"):
        raise DeclarationError(FAULTS)
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [f["key"] for f in document["error"]["faults"]] == ["criteria[2].margin", "name"]
    assert document["error"]["exit_code"] == 2
    assert err.count("error: ") == 2


def test_an_error_nobody_foresaw_is_one_line_a_file_and_never_a_verdict(capsys):
    with pytest.raises(typer.Exit) as caught, error_boundary():
        raise ZeroDivisionError("inside")
    assert caught.value.exit_code == 3
    told = capsys.readouterr().err
    assert "nobody foresaw (ZeroDivisionError)" in told
    assert "Traceback" not in told
    (path,) = (Path(word.rstrip(",")) for word in told.split() if "kdgov-error-" in word)
    try:
        assert "ZeroDivisionError: inside" in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("evaluate", "torch", "evaluate"),
        ("distill", "torch", "distill"),
        ("run", "mlflow.tracking", "all"),
        ("gate", "mlflow", "registry"),
        ("record", "torch", "all"),
    ],
)
def test_a_part_that_is_not_installed_is_one_line_with_the_extras_name(command, module, extra, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kdgov", "--verbose", command, "x"])
    with pytest.raises(typer.Exit) as caught, error_boundary():
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert caught.value.exit_code == 3
    assert f"pip install 'kdgov[{extra}]'" in capsys.readouterr().err


def test_every_extra_named_exists(project_root):
    declared = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*EXTRA_OF_MODULE.values(), *EXTRA_OF_COMMAND.values()} <= set(declared)
    assert set(EXTRA_OF_COMMAND) - {"generate"} <= set(COMMANDS)


def test_a_full_disk_behind_a_librarys_own_error_is_still_the_environments_fault(capsys):
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail] . unexpected pos 5120 vs 5012")  # noqa: B904 - as torch does it
    except RuntimeError as error:
        hidden = error
    with pytest.raises(typer.Exit) as caught, error_boundary():
        raise hidden
    assert caught.value.exit_code == 3
    assert "Free some disk space" in capsys.readouterr().err


def policy_and_tables(folder: Path) -> list[str]:
    rows = [{"suite": "s", "task": "t", "item_id": str(i), "metric": "acc", "score": 1.0} for i in range(400)]
    for name in ("teacher", "student"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    criterion = {"id": "kept", "kind": "non_inferiority", "suite": "s", "metric": "acc", "direction": "higher", "margin": 0.05}
    (folder / "p.yaml").write_text(json.dumps({"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [criterion]}))
    return ["gate", "--teacher", f"{folder}/teacher.jsonl", "--student", f"{folder}/student.jsonl", "--policy", f"{folder}/p.yaml"]


@pytest.mark.parametrize("option", ["--out", "--flips"])
@pytest.mark.parametrize("place", ["folder", "student.jsonl/below", "/proc/none/answer.txt"])
def test_an_answer_that_cannot_be_written_there_is_the_inputs_fault(tmp_path, option, place):
    (tmp_path / "folder").mkdir()
    answer = kdgov(*policy_and_tables(tmp_path), option, tmp_path / place, "--format", "json")
    answer.refuses(2)
    assert answer.document["error"]["faults"][0]["file"]


def test_an_answer_goes_through_a_link_and_into_a_pipe(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_answer(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    write_answer(tmp_path / "pipe", "new")
    assert reader.communicate(timeout=30)[0] == "new"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_the_environments_fault(tmp_path):
    command = [sys.executable, "-m", "kdgov", *policy_and_tables(tmp_path), "--format", "json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path):
    command = f"set -o pipefail; {sys.executable} -m kdgov policy schema | head -c 10 >/dev/null; echo $?"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("0", "3")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_usage_error_is_one_json_document_too():
    answer = kdgov("gate", "--format", "json", "--bogus")
    answer.refuses(2)
    assert "--bogus" in answer.document["error"]["faults"][0]["what"]


LATE_ECHO = """
import atexit, os, signal, sys, typer
import kdgov.cli.app as shelf
from kdgov.cli.error_boundary import error_boundary
shelf.app = typer.Typer()
@shelf.app.command()
def body():
    with error_boundary():
        os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["kdgov"]
atexit.register(os.kill, os.getpid(), signal.SIGINT)
shelf.main()
"""


def test_an_interrupt_that_a_library_hands_on_late_changes_no_exit_code():
    done = subprocess.run([sys.executable, "-c", LATE_ECHO], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "continues where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
