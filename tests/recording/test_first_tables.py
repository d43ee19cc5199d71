"""The first use of a store: a full disk leaves nothing half-made, and several at once make one registry."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sqlalchemy as sa

from kdgov.errors import UnavailableError
from kdgov.recording.client import first_tables
from kdgov.recording.client.first_tables import make_database


def test_a_disk_that_fills_while_tables_are_made_leaves_nothing(tmp_path, monkeypatch):
    class Full:
        def __init__(self, uri, _):
            (tmp_path / first_tables._MAKING).write_bytes(b"half")
            raise sa.exc.OperationalError("CREATE TABLE", {}, Exception("database or disk is full"))

    monkeypatch.setattr(first_tables, "SqlAlchemyStore", Full)
    with pytest.raises(UnavailableError, match="disk is full"):
        make_database(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".mlflow.lock"]
    monkeypatch.undo()
    make_database(tmp_path)
    assert (tmp_path / "mlflow.db").is_file()


@pytest.mark.nightly
def test_several_first_uses_at_once_make_one_registry(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from kdgov.recording.client.client import registry_client\n"
        "from kdgov.recording.client.target import registry_target\n"
        "with registry_client(registry_target(pathlib.Path(sys.argv[1]))) as client:\n"
        "    client.search_registered_models()\n"
        "    client.create_registered_model(sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store")]
    started = [subprocess.Popen([*command, f"model-{n}"], stderr=subprocess.PIPE) for n in range(3)]
    ended = [(process.communicate(timeout=300)[1].decode()[-400:], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
