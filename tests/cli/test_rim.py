"""The rim: one message, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import json

import pytest
import typer

from kdgov.cli.rim import rim
from kdgov.errors import DeclarationError, Fault, InputError, UnavailableError

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
        (KeyboardInterrupt(), 3, "goes on where it stood"),
    ],
)
def test_every_deliberate_error_ends_with_its_code_and_message(error, code, says, capsys):
    with pytest.raises(typer.Exit) as caught, rim():
        raise error
    assert caught.value.exit_code == code
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""
    assert "Traceback" not in err


def test_all_faults_are_shown_at_once_also_as_json(capsys):
    with pytest.raises(typer.Exit), rim(output_format="json"):
        raise DeclarationError(FAULTS)
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [f["key"] for f in document["error"]["faults"]] == ["criteria[2].margin", "name"]
    assert document["error"]["exit_code"] == 2
    assert err.count("error: ") == 2


def test_a_programming_error_is_not_dressed_up_as_the_users_fault():
    with pytest.raises(ZeroDivisionError), rim():
        raise ZeroDivisionError


def test_a_full_disk_behind_a_librarys_own_error_is_still_the_environments_fault(capsys):
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail] . unexpected pos 5120 vs 5012")  # noqa: B904 - as torch does it
    except RuntimeError as error:
        hidden = error
    with pytest.raises(typer.Exit) as caught, rim():
        raise hidden
    assert caught.value.exit_code == 3
    assert "Free some disk space" in capsys.readouterr().err
