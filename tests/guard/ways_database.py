# ruff: noqa: E501 - one way per line reads as the table it is
"""Edits by whoever owns the database: let through by the database, named by the audit. Each is undone afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kdgov.errors import InputError
from kdgov.pipeline.audit import AuditRequest, audit_registry, audit_version
from kdgov.recording.release_recording import RecordedVersion


@dataclass(frozen=True)
class DatabaseEdit:
    """One edit, as statements with :name, :version and :run filled in."""

    what: str
    """As the table of the documentation says it."""
    sql: tuple[str, ...]
    """What is executed."""
    tables: tuple[str, ...]
    """Tables that are put back afterwards."""
    expected: str = "named"
    """named by `kdgov audit`, or not covered (docs/audit.md says why)."""


def _edit(what: str, table: str, sql: str, expected: str = "named") -> DatabaseEdit:
    return DatabaseEdit(what=what, sql=(sql,), tables=(table,), expected=expected)


_V = "WHERE name = :name AND version = :version"
_LAST = "WHERE seq = (SELECT max(seq) FROM kdgov_log WHERE name = :name)"

EDITS = (
    _edit("log entry: its column kind", "kdgov_log", f"UPDATE kdgov_log SET kind = 'refuse' {_V} AND kind = 'promote'"),
    _edit("log entry: its column name", "kdgov_log", f"UPDATE kdgov_log SET name = 'other' {_V}"),
    _edit("log entry: its column version", "kdgov_log", f"UPDATE kdgov_log SET version = 77 {_V}"),
    _edit("log entry: its column workspace", "kdgov_log", f"UPDATE kdgov_log SET workspace = 'other' {_V}"),
    _edit("log entry: its column hash", "kdgov_log", f"UPDATE kdgov_log SET hash = 'sha256:0' {_V}"),
    _edit("log entry: its signed text", "kdgov_log", f"UPDATE kdgov_log SET entry = replace(entry, 'champion', 'candidate') {_V}"),
    _edit("log entry: text that nobody can read", "kdgov_log", f"UPDATE kdgov_log SET entry = '[[[' {_V} AND kind = 'promote'"),
    _edit("log entry: deleted", "kdgov_log", f"DELETE FROM kdgov_log {_V} AND kind = 'promote'"),
    _edit("log: its head's number", "kdgov_log_head", "UPDATE kdgov_log_head SET seq = seq + 5"),
    _edit("log: its head's hash", "kdgov_log_head", "UPDATE kdgov_log_head SET hash = 'sha256:0'"),
    _edit("log: its head deleted", "kdgov_log_head", "DELETE FROM kdgov_log_head"),
    _edit("stored statement: deleted", "kdgov_envelopes", f"DELETE FROM kdgov_envelopes {_V}"),
    _edit("stored statement: re-dated", "kdgov_envelopes", f"UPDATE kdgov_envelopes SET received_at = '2020-01-01T00:00:00Z' {_V}"),
    _edit("stored statement: of another kind", "kdgov_envelopes", f"UPDATE kdgov_envelopes SET kind = 'revoke' {_V}"),
    _edit("stored statement: another body", "kdgov_envelopes", f"UPDATE kdgov_envelopes SET body = '{{}}' {_V}"),
    _edit("stored statement: another digest", "kdgov_envelopes", f"UPDATE kdgov_envelopes SET digest = 'sha256:1' {_V}"),
    _edit("stored statement: another creation time", "kdgov_envelopes", f"UPDATE kdgov_envelopes SET creation_timestamp = 1 {_V}"),
    _edit("version: status", "model_versions", f"UPDATE model_versions SET status = 'FAILED_REGISTRATION' {_V}"),
    _edit("version: status message", "model_versions", f"UPDATE model_versions SET status_message = 'approved by risk' {_V}"),
    _edit("version: link to a run", "model_versions", f"UPDATE model_versions SET run_link = 'https://elsewhere/' {_V}"),
    _edit("version: description", "model_versions", f"UPDATE model_versions SET description = 'All is well.' {_V}"),
    _edit("version: user", "model_versions", f"UPDATE model_versions SET user_id = 'risk' {_V}"),
    _edit("version: source", "model_versions", f"UPDATE model_versions SET source = 's3://other/weights' {_V}"),
    _edit("version: creation time", "model_versions", f"UPDATE model_versions SET creation_time = creation_time + 1 {_V}"),
    _edit("version: stage Production", "model_versions", f"UPDATE model_versions SET current_stage = 'Production' {_V}"),
    _edit("version: taken away", "model_versions", f"UPDATE model_versions SET current_stage = 'Deleted_Internal' {_V}"),
    _edit("version: verdict tag", "model_version_tags", f"UPDATE model_version_tags SET value = 'FAIL' {_V} AND key = 'kdgov.verdict'"),
    _edit("version: verdict tag deleted", "model_version_tags", f"DELETE FROM model_version_tags {_V} AND key = 'kdgov.verdict'"),
    _edit("version: a further tag under kdgov.", "model_version_tags", "INSERT INTO model_version_tags (workspace, name, version, key, value) VALUES ('default', :name, :version, 'kdgov.extra', 'x')"),
    _edit("version: a further tag of a user", "model_version_tags", "INSERT INTO model_version_tags (workspace, name, version, key, value) VALUES ('default', :name, :version, 'team', 'x')", "not covered"),
    _edit("model: tag kdgov.verdict", "registered_model_tags", "INSERT INTO registered_model_tags (workspace, name, key, value) VALUES ('default', :name, 'kdgov.verdict', 'PASS')"),
    _edit("model: description", "registered_models", "UPDATE registered_models SET description = 'All is well.' WHERE name = :name", "not covered"),
    _edit("alias: taken away", "registered_model_aliases", "DELETE FROM registered_model_aliases WHERE name = :name"),
    _edit("alias: a further one", "registered_model_aliases", "INSERT INTO registered_model_aliases (workspace, name, version, alias) VALUES ('default', :name, :version, 'production')"),
    _edit("run: name", "runs", "UPDATE runs SET name = 'x' WHERE run_uuid = :run"),
    _edit("run: status", "runs", "UPDATE runs SET status = 'RUNNING' WHERE run_uuid = :run"),
    _edit("run: deleted", "runs", "UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = :run"),
    _edit("run: end before its beginning", "runs", "UPDATE runs SET end_time = 1 WHERE run_uuid = :run"),
    _edit("run: beginning and end moved together", "runs", "UPDATE runs SET start_time = start_time - 1000, end_time = end_time + 1000 WHERE run_uuid = :run"),
    _edit("run: user", "runs", "UPDATE runs SET user_id = 'somebody' WHERE run_uuid = :run"),
    _edit("run: end", "runs", "UPDATE runs SET end_time = end_time + 1000 WHERE run_uuid = :run"),
    _edit("run: a further tag", "tags", "INSERT INTO tags (run_uuid, key, value) VALUES (:run, 'approved', 'yes')"),
    _edit("run: a parameter", "params", "UPDATE params SET value = 'x' WHERE run_uuid = :run AND key = (SELECT min(key) FROM params WHERE run_uuid = :run)"),
    _edit("run: a metric's value", "metrics", "UPDATE metrics SET value = 0.123 WHERE run_uuid = :run AND key = (SELECT min(key) FROM metrics WHERE run_uuid = :run)"),
    _edit("run: a metric's step", "metrics", "UPDATE metrics SET step = 9 WHERE run_uuid = :run AND key = (SELECT min(key) FROM metrics WHERE run_uuid = :run)"),
    _edit("run: a metric's time", "metrics", "UPDATE metrics SET timestamp = 1 WHERE run_uuid = :run AND key = (SELECT min(key) FROM metrics WHERE run_uuid = :run)"),
    _edit("run: the step of a metric's latest value", "latest_metrics", "UPDATE latest_metrics SET step = 9 WHERE run_uuid = :run AND key = (SELECT min(key) FROM latest_metrics WHERE run_uuid = :run)"),
    _edit("dataset: what it was used for", "input_tags", "UPDATE input_tags SET name = 'approved' WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE destination_id = :run)"),
    _edit("dataset: schema", "datasets", "UPDATE datasets SET dataset_schema = 'x' WHERE dataset_uuid IN (SELECT source_id FROM inputs WHERE destination_id = :run)"),
    _edit("dataset: profile", "datasets", "UPDATE datasets SET dataset_profile = 'x' WHERE dataset_uuid IN (SELECT source_id FROM inputs WHERE destination_id = :run)"),
    _edit("dataset: digest", "datasets", "UPDATE datasets SET digest = 'x' || substr(digest, 2, 20) WHERE dataset_uuid IN (SELECT source_id FROM inputs WHERE destination_id = :run)"),
    _edit("experiment: name", "experiments", "UPDATE experiments SET name = 'x' WHERE experiment_id = (SELECT experiment_id FROM runs WHERE run_uuid = :run)"),
    _edit("logged model: a further tag", "logged_model_tags", "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) SELECT model_id, experiment_id, 'approved', 'yes' FROM logged_models WHERE source_run_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run))"),
    _edit("logged model: link from the student's run", "inputs", "DELETE FROM inputs WHERE source_type = 'RUN_OUTPUT' AND source_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run))"),
    _edit("logged model: type", "logged_models", "UPDATE logged_models SET model_type = 'approved' WHERE source_run_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run))"),
    _edit("logged model: day it was made", "logged_models", "UPDATE logged_models SET creation_timestamp_ms = 1 WHERE source_run_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run))"),
    _edit("logged model: a number's moment", "logged_model_metrics", "UPDATE logged_model_metrics SET metric_timestamp_ms = 1 WHERE model_id IN (SELECT model_id FROM logged_models WHERE source_run_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run)))"),
    _edit("logged model: name", "logged_models", "UPDATE logged_models SET name = 'x' WHERE source_run_id IN (SELECT run_uuid FROM tags WHERE key = 'kdgov-recording' AND value = (SELECT value FROM tags WHERE key = 'kdgov-recording' AND run_uuid = :run))"),
)  # fmt: skip


@contextmanager
def made(site: Any, recorded: RecordedVersion, edit: DatabaseEdit) -> Iterator[int]:
    """The edit, while the block runs; how many rows it touched."""
    engine = sa.create_engine(site.database)
    values = {"name": recorded.name, "version": recorded.version, "run": recorded.run_id}
    try:
        with engine.begin() as connection:
            kept = {table: [dict(row._mapping) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))] for table in edit.tables}  # noqa: S608
            touched = 0
            for text in edit.sql:
                used = {key: value for key, value in values.items() if f":{key}" in text}
                touched += connection.execute(sa.text(text), used).rowcount
        yield touched
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SET session_replication_role = replica"))
            for table, rows in kept.items():
                connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608
                for row in rows:
                    columns = ", ".join(row)
                    marks = ", ".join(f":{column}" for column in row)
                    plain = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
                    connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), plain)  # noqa: S608
    finally:
        engine.dispose()


def is_named(site: Any, recorded: RecordedVersion) -> bool:
    """Whether the audit of the version, or of the registry, names a violation."""
    request = AuditRequest(store=site.target.store, registry=None if site.kind == "embedded" else site.target.tracking_uri)
    try:
        if audit_version(recorded.name, recorded.version, request).outcome == "violated":
            return True
    except InputError:
        # The version is not there any more: the registry's own audit must say so.
        pass
    document = audit_registry(request)
    return any(finding["standing"] == "violated" for finding in document["log"])
