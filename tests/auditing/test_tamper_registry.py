"""Tampering with the registry itself: every row and field of its database and every file of its artifact store, one at a time.

Whoever owns the database or the disk can change either behind MLflow and the guard. Each change is made there, the release is
audited through the ordinary client, and the audit must say so and name what was touched.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdgov.pipeline.audit import AuditRequest, audit_registry, audit_version
from tests.auditing.conftest import Recorded
from tests.auditing.test_tamper import flipped, on_disk, redated

FIELDS: Mapping[str, tuple[str, ...]] = {
    "model_versions": ("creation_time", "description", "current_stage", "source", "run_id", "storage_location", "user_id"),
    "model_version_tags": ("key", "value"),
    "registered_model_aliases": ("alias",),
    "runs": ("name", "status", "lifecycle_stage", "artifact_uri", "start_time", "end_time", "user_id"),
    "params": ("key", "value"),
    "latest_metrics": ("key", "value", "timestamp", "step"),
    "metrics": ("key", "value", "timestamp", "step"),
    "tags": ("key", "value"),
    "datasets": ("name", "digest", "dataset_source_type", "dataset_source"),
    "inputs": ("source_id", "destination_id", "source_type", "destination_type", "step"),
    "input_tags": ("name", "value"),
    "logged_models": (
        "name",
        "artifact_location",
        "source_run_id",
        "experiment_id",
        "creation_timestamp_ms",
        "model_type",
        "status_message",
    ),
    "logged_model_params": ("param_key", "param_value"),
    "logged_model_tags": ("tag_value",),
    "logged_model_metrics": ("metric_name", "metric_value", "dataset_name", "metric_timestamp_ms", "run_id"),
    "kdgov_log": ("entry",),
}
"""Table → fields that say something of a release. Every row of these tables is also deleted."""
BOOKKEEPING: Mapping[str, str] = {
    "alembic_version": "MLflow's own schema",
    "experiments": "a folder for runs: a release names its runs, not their experiment",
    "workspaces": "the default workspace, which is always there",
    "registered_models": "name and dates of the model; a version's own date, name and number are signed",
    "kdgov_envelopes": "the guard's own copy, which no client shows: the guard verifies its signature at each promotion",
    "kdgov_log_head": "where the guard goes on writing; the entries chain themselves, and the version's tag names the last",
}
"""Tables with rows of a release that are left alone, and why."""
SHOWN_OF = {("inputs", "step"): "RUN_OUTPUT", ("inputs", "source_type"): "RUN_OUTPUT"}
"""Table and field → the one kind of row that shows it: of a dataset's link MLflow reads neither step nor kind of source."""
ONE_ROW = {
    ("latest_metrics", "timestamp"),
    ("latest_metrics", "step"),
    ("metrics", "timestamp"),
    ("metrics", "step"),
    ("input_tags", "name"),
    ("inputs", "destination_type"),
    ("logged_model_metrics", "metric_timestamp_ms"),
    ("logged_model_metrics", "run_id"),
}
"""Fields judged alike in every row: one row stands for all."""
MLFLOWS_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit", "mlflow.source.git.branch")
"""Tags MLflow sets for itself on a run."""
EVERY_DAY = 16
"""Every how many-th change is tried in the everyday tests; the longer check tries all."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change, by SQL or on disk, and what the audit must name."""

    how: str
    what: str
    names: tuple[str, ...]
    sql: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    files: Mapping[Path, bytes | None] | None = None


@pytest.fixture(scope="module")
def database(recorded: Recorded) -> sqlite3.Connection:
    """The registry's own database, opened behind its back."""
    connection = sqlite3.connect(recorded.store / "mlflow.db", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def rows_of(database: sqlite3.Connection, table: str) -> list[tuple[int, dict[str, Any]]]:
    """Row number → row, of one table."""
    cursor = database.execute(f"SELECT rowid, * FROM {table}")  # noqa: S608
    names = [column[0] for column in cursor.description][1:]
    return [(row[0], dict(zip(names, row[1:], strict=True))) for row in cursor.fetchall()]


def named(table: str, field: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What the audit's finding has to name, any of them."""
    match table:
        case "model_versions":
            # Who changes date, source or run breaks what the signature covers: the signed statement is what no longer fits.
            plain = {"description": "description", "current_stage": "stage", "storage_location": "logged model", "user_id": "user"}
            return (plain.get(field, "attestation"),)
        case "model_version_tags":
            return (f"tag {row['key']}",)
        case "registered_model_aliases":
            return ("alias", "tag kdgov.log")
        case "runs":
            return ("evidence", "run ") if field == "artifact_uri" else ("run ",)
        case "params" | "tags":
            # The tag that names the recording is also how the runs are found.
            return (row["key"], "run ") if row["key"] in ("kdgov-recording", "kdgov-role") else (row["key"],)
        case "latest_metrics" | "metrics":
            return (row["key"],)
        case "inputs" if row["source_type"] == "RUN_OUTPUT":
            return ("logged model",)
        case "datasets" | "inputs" | "input_tags":
            return ("dataset",)
        case "kdgov_log":
            return ("log",)
        case _:
            return ("logged model", "model/", "attestation")


def changed(value: Any, table: str, field: str) -> Any:
    """Another value of the same kind."""
    if isinstance(value, float):
        return value + 0.001
    if isinstance(value, int):
        return value + 86_400_000
    if field in ("status", "lifecycle_stage", "current_stage"):
        return {"status": "FAILED", "lifecycle_stage": "deleted", "current_stage": "Production"}[field]
    if field in ("artifact_uri", "artifact_location", "storage_location"):
        return f"{value}-elsewhere"
    text = str(value or "")
    if table == "kdgov_log":
        # Each field of the entry in turn is `test_tamper`'s; here the row is dated a year later.
        return re.sub(r'(?<="at": ")2', "3", text)
    return (redated(text.encode()) or flipped(text.encode())).decode("utf-8", "replace") if text else "other"


def row_edits(database: sqlite3.Connection) -> Iterator[Edit]:
    """Every field changed, every row deleted, every two neighbours' values swapped, one row added to every table of claims."""
    for table, fields in FIELDS.items():
        rows = [(number, row) for number, row in rows_of(database, table) if row.get("key") not in MLFLOWS_TAGS]
        assert rows, f"{table} is empty: nothing would be tried"
        for index, (number, row) in enumerate(rows):
            label = str(row.get("key") or row.get("name") or row.get("param_key") or number)
            for field in fields:
                if (table, field) in SHOWN_OF and row["source_type"] != SHOWN_OF[table, field] or index and (table, field) in ONE_ROW:
                    continue
                update = (f"UPDATE {table} SET {field} = ? WHERE rowid = ?", (changed(row[field], table, field), number))  # noqa: S608
                names = named(table, field, row)
                yield Edit(how="change", what=f"{table}.{field} of {label}", names=names, sql=(update,))
            delete = (f"DELETE FROM {table} WHERE rowid = ?", (number,))  # noqa: S608
            gone = ("run ", "evidence") if table == "runs" else named(table, fields[-1], row)
            # A version that is gone is in no audit of one version; an alias the guard leaves free may go at any time.
            if table != "model_versions" and row.get("alias") != "candidate":
                yield Edit(how="delete", what=f"{table}: {label}", names=gone, sql=(delete,))
            other_number, other = rows[(index + 1) % len(rows)]
            if {"key", "value"} <= {*fields} and other["value"] != row["value"]:
                swap = f"UPDATE {table} SET value = ? WHERE rowid = ?"  # noqa: S608
                both = ((swap, (other["value"], number)), (swap, (row["value"], other_number)))
                yield Edit(how="swap", what=f"{table}: {label}, {other['key']}", names=named(table, "value", row), sql=both)
    yield from _added(database)


def _added(database: sqlite3.Connection) -> Iterator[Edit]:
    """A claim nobody made: an alias, a version tag, a parameter, a metric, a second point of a metric."""
    (version,) = [row for _, row in rows_of(database, "model_versions")]
    run = version["run_id"]
    metric = next(row for _, row in rows_of(database, "latest_metrics") if row["run_uuid"] == run)
    output = next(row for _, row in rows_of(database, "inputs") if row["source_type"] == "RUN_OUTPUT")
    for name, (table, row) in {
        "alias live": ("registered_model_aliases", {"alias": "live", "version": 1, "name": version["name"], "workspace": "default"}),
        "tag kdgov.approved": (
            "model_version_tags",
            {"key": "kdgov.approved", "value": "yes", "name": version["name"], "version": 1, "workspace": "default"},
        ),
        "tag kdgov.approved of run": ("tags", {"key": "kdgov.approved", "value": "yes", "run_uuid": run}),
        "param approved": ("params", {"key": "approved", "value": "yes", "run_uuid": run}),
        "metric better": ("latest_metrics", {**metric, "key": "better", "value": 1.0}),
        "logged model": ("inputs", {**output, "input_uuid": "0" * 32, "destination_id": "m-" + "0" * 32}),
        f"metric {metric['key']}": ("metrics", {**metric, "step": 1, "value": metric["value"] + 0.1}),
    }.items():
        marks = ", ".join("?" * len(row))
        insert = (f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
        yield Edit(how="add", what=name, names=(name.removesuffix(" of run"),), sql=(insert,))


def file_edits(store: Path) -> Iterator[Edit]:
    """Every file of the artifact store: a byte flipped, cut, emptied, deleted, dated otherwise, swapped with the next; one added."""
    root = store / "artifacts"
    files = sorted(path for path in root.rglob("*") if path.is_file() and "artifacts" in path.relative_to(root).parts)
    for index, path in enumerate(files):
        data, other = path.read_bytes(), files[(index + 1) % len(files)]
        variants: dict[str, dict[Path, bytes | None]] = {
            "flip": {path: flipped(data)}, "cut": {path: data[: len(data) // 2]}, "empty": {path: b""}, "delete": {path: None},
        }  # fmt: skip
        if other.read_bytes() != data:
            # The runs of one recording hold the same seal, and run identifiers are drawn: which of them are neighbours is chance.
            variants["swap"] = {path: other.read_bytes(), other: data}
        if (dated := redated(data)) is not None:
            variants["re-date"] = {path: dated}
        for how, change in variants.items():
            # Which envelope is gone only its folder can say.
            name = "attestation" if how == "delete" and path.parent.name == "attestation" else path.name
            # With the manifest gone nobody can say any more which digest the file under the other name should have.
            names = (name, other.name) if how == "swap" and other.name == "manifest.json" else (name,)
            yield Edit(how=how, what=str(path.relative_to(root)), names=names, files=change)
    for folder in sorted({path.parent for path in files}):
        yield Edit(how="add", what=f"{folder.name}/added.json", names=("added.json",), files={folder / "added.json": b"{}"})


@contextmanager
def made(edit: Edit, database: sqlite3.Connection, whole: Path) -> Iterator[None]:
    """The change stands while the block runs; then the database is as it was, byte for byte."""
    with on_disk(edit.files or {}):
        try:
            for statement, values in edit.sql:
                touched = database.execute(statement, values).rowcount
                assert touched == 1, (edit.what, touched)
            yield
        finally:
            if edit.sql:
                source = sqlite3.connect(whole)
                source.backup(database)
                source.close()


def told(recorded: Recorded) -> list[str]:
    """Subjects of everything violated or required and missing, by the ordinary command's own step."""
    audit = audit_version("support-student", 1, AuditRequest(store=recorded.store))
    return [finding.subject for finding in audit.findings if finding.stops]


def tried(
    recorded: Recorded, database: sqlite3.Connection, folder: Path, every: int, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[tuple[str, str, list[str]]]]:
    """How many changes were made, and those that were not detected and named."""
    whole = folder / "whole.db"
    shutil.copyfile(recorded.store / "mlflow.db", whole)
    missed, count = [], dict.fromkeys(("change", "flip", "cut", "empty", "delete", "swap", "re-date", "add"), 0)
    for number, edit in enumerate([*row_edits(database), *file_edits(recorded.store)]):
        if number % every:
            continue
        with made(edit, database, whole):
            found = told(recorded)
        count[edit.how] += 1
        if not any(name in subject for name in edit.names for subject in found):
            missed.append((edit.how, edit.what, found[:3]))
    total = sum(count.values())
    with capsys.disabled():
        print(f"\n  in the registry: {total} changes, {total - len(missed)} detected and named: {count}")  # noqa: T201
    assert told(recorded) == []
    return total, missed


def test_no_table_of_a_release_is_forgotten(database: sqlite3.Connection) -> None:
    """Each table with rows is either changed field by field or left alone for a stated reason."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    filled = {name for name in tables if database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]}  # noqa: S608
    assert filled == set(FIELDS) | set(BOOKKEEPING)


def test_a_version_that_was_taken_away_is_missed(recorded: Recorded, database: sqlite3.Connection, tmp_path: Path) -> None:
    """Its row deleted, it is in no list any more; the log still tells of it."""
    request = AuditRequest(store=recorded.store)
    shutil.copyfile(recorded.store / "mlflow.db", tmp_path / "whole.db")
    edit = Edit(how="delete", what="model_versions", names=(), sql=(("DELETE FROM model_versions", ()),))
    with made(edit, database, tmp_path / "whole.db"):
        found = [f for f in audit_registry(request)["log"] if f["standing"] == "violated"]
    assert [f["subject"] for f in found] == ["support-student/1"]
    assert [f["standing"] for f in audit_registry(request)["log"]] == ["verified"]


def test_a_sample_of_changes_in_the_registry_is_detected_and_named(
    recorded: Recorded, database: sqlite3.Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sixteenth change of database rows and stored files, audited through the ordinary client."""
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "cache"))
    total, missed = tried(recorded, database, tmp_path, EVERY_DAY, capsys)
    assert total >= 40
    assert missed == [], missed


@pytest.mark.nightly
@pytest.mark.ci
@pytest.mark.timeout(2400)
def test_every_change_in_the_registry_is_detected_and_named(
    recorded: Recorded, database: sqlite3.Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them: 100 %."""
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "cache"))
    total, missed = tried(recorded, database, tmp_path, 1, capsys)
    assert total >= 600
    assert missed == [], missed
