"""A registry of many versions grown from one that was recorded for real: own statements, own log entries, planted faults.

Rows are copied below MLflow (a thousand recordings would take an hour); every statement and log head is signed for its version.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kdgov.digest import digest_file
from kdgov.evidence.bundle import bundle_digest, write_manifest
from kdgov.evidence.event_chain import GENESIS, LogEntry, signed_head
from kdgov.evidence.signing import DECISION_PREDICATE, envelope_digest, sign_statement, statement
from kdgov.evidence.signing_keys import load_signer, new_key

PER_MODEL = 50


class LargeRegistry:
    """The copy of a store that is being filled."""

    def __init__(self, store: Path, predicate: Mapping[str, Any], source_run: str) -> None:
        self.store = store
        self.predicate = dict(predicate)
        self.connection = sqlite3.connect(store / "mlflow.db")
        self.connection.execute("PRAGMA foreign_keys = OFF")
        self.signer = load_signer(f"file:{store / 'keys' / 'project.key'}")
        self.run = self._row("runs", "run_uuid = ?", source_run)
        self.version = self._row("model_versions", "run_id = ?", source_run)
        self.files = Path(str(self.run["artifact_uri"]).removeprefix("kdgov-artifacts:"))
        seq, last = self.connection.execute("SELECT seq, hash FROM kdgov_log_head WHERE id = 1").fetchone()
        self.seq, self.last = int(seq), str(last or GENESIS)
        self.now = datetime.datetime.now(datetime.UTC)

    def _row(self, table: str, where: str, *values: Any) -> dict[str, Any]:
        cursor = self.connection.execute(f"SELECT * FROM {table} WHERE {where}", values)
        return dict(zip([c[0] for c in cursor.description], cursor.fetchone(), strict=True))

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608

    def evidence_of(self, name: str) -> Path:
        """The release's evidence, about another model: names, decision and manifest made anew, once per model."""
        folder = self.store / "renamed" / name
        if not folder.exists():
            shutil.copytree(self.files / "evidence", folder)
            for path in ("decision.json", "inputs.json", "release.json"):
                text = (folder / path).read_text().replace('"support-student"', f'"{name}"')
                (folder / path).write_text(text)
            write_manifest(folder)
        self.predicate |= {"decision": digest_file(folder / "decision.json"), "bundle": bundle_digest(folder)}
        self.predicate["tags"] = {**self.predicate["tags"], "kdgov.decision": self.predicate["decision"]}
        return folder

    def folder(self, run_id: str) -> Path:
        """Artifacts of a run."""
        return self.store / "artifacts" / "grown" / run_id / "artifacts"

    def add(self, name: str, number: int, *, is_decided: bool = True) -> str:
        """One more version, honest in every respect; returns its run."""
        run_id = f"{abs(hash((name, number))):032x}"[-32:]
        created = int(self.version["creation_time"]) + number
        source = f"models:/m-{run_id}"
        folder = self.folder(run_id)
        evidence = self.evidence_of(name)
        apart = {"attestation", "evidence"}
        beside = [p for p in self.files.rglob("*") if p.is_file() and not apart & set(p.relative_to(self.files).parts)]
        named = [(p, folder / p.relative_to(self.files)) for p in beside]
        named += [(p, folder / "evidence" / p.relative_to(evidence)) for p in evidence.rglob("*") if p.is_file()]
        for path, target in named:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
        self._insert("runs", {**self.run, "run_uuid": run_id, "artifact_uri": f"kdgov-artifacts:{folder}"})
        self._insert("tags", {"key": "kdgov-role", "value": "release", "run_uuid": run_id})
        own = {"name": name, "version": number, "creation_time": created, "source": source, "run_id": run_id}
        self._insert("model_versions", {**self.version, **own})
        tags = {"kdgov.verdict": "NONE"}
        if is_decided:
            envelope = self.sign(name, number, created, source, run_id)
            self.attest(run_id, envelope)
            tags = {
                **self.predicate["tags"],
                "kdgov.log": self.log("decide", name, number, {"decision": self.predicate["decision"], "verdict": "pass"}),
            }
            self.keep(envelope, name, number, created)
        for key, value in tags.items():
            self.tag(name, number, key, value)
        return run_id

    def sign(self, name: str, number: int, created: int, source: str, run_id: str, **change: Any) -> dict[str, Any]:
        """The version's own statement."""
        own = {"name": name, "version": number, "creation_timestamp": created, "source": source, "run_id": run_id, **change}
        predicate = {k: v for k, v in {**self.predicate, **own}.items() if k != "signed_at"}
        subjects = {"decision.json": predicate["decision"], "manifest.json": predicate["bundle"], "weights": predicate["weights"]}
        return sign_statement(statement(DECISION_PREDICATE, predicate, subjects=subjects), [self.signer], at=self.now)

    def attest(self, run_id: str, envelope: Mapping[str, Any]) -> Path:
        """Put a statement beside the evidence."""
        path = self.folder(run_id) / "attestation" / f"decision-{envelope_digest(envelope)[7:19]}.dsse.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(envelope))
        return path

    def keep(self, envelope: Mapping[str, Any], name: str, number: int, created: int) -> None:
        """The statement as the guard stores it with the last entry."""
        place = {"workspace": "default", "name": name, "version": number, "creation_timestamp": created, "kind": "decision"}
        when = {"received_at": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"), "seq": self.seq}
        body = json.dumps(dict(envelope), sort_keys=True)
        self._insert("kdgov_envelopes", {"digest": envelope_digest(envelope), **place, **when, "body": body})

    def log(self, kind: str, name: str, number: int, details: Mapping[str, Any]) -> str:
        """One more act; what the version's ``kdgov.log`` tag says of it."""
        fields = {
            "seq": self.seq + 1, "previous": self.last, "at": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"), "kind": kind,
            "workspace": "default", "name": name, "version": number, "by": "test", "details": dict(details),
        }  # fmt: skip
        entry = LogEntry(**fields)
        head = signed_head(entry, self.signer, at=self.now)
        text = json.dumps({**entry.body(), "head": head}, ensure_ascii=False, sort_keys=True)
        row = {k: fields[k] for k in ("seq", "workspace", "name", "version", "kind")}
        self._insert("kdgov_log", {**row, "hash": entry.hash, "entry": text})
        self.seq, self.last = entry.seq, entry.hash
        return f"{entry.seq}:{entry.hash}"

    def tag(self, name: str, number: int, key: str, value: str) -> None:
        """Set one version tag."""
        self.connection.execute("DELETE FROM model_version_tags WHERE name = ? AND version = ? AND key = ?", (name, number, key))
        self._insert("model_version_tags", {"key": key, "value": value, "name": name, "version": number, "workspace": "default"})

    def promote(self, name: str, number: int) -> None:
        """Through the log, as the guard does."""
        note = self.log("promote", name, number, {"alias": "champion", "previous": 0, "decision": self.predicate["decision"], "reason": ""})
        self.tag(name, number, "kdgov.log", note)
        self.alias(name, number)

    def alias(self, name: str, number: int) -> None:
        """The bare row: what a database owner can do."""
        self._insert("registered_model_aliases", {"alias": "champion", "version": number, "name": name, "workspace": "default"})

    def close(self) -> None:
        """Write the head and let go."""
        self.connection.execute("UPDATE kdgov_log_head SET seq = ?, hash = ? WHERE id = 1", (self.seq, self.last))
        self.connection.commit()
        self.connection.close()


def grow(store: Path, into: Path, predicate: Mapping[str, Any], run_id: str, *, versions: int, plants: int) -> dict[str, str]:
    """A store of ``versions`` versions; the planted ones as ``name/version`` → what was done to it."""
    shutil.copytree(store, into)
    registry = LargeRegistry(into, predicate, run_id)
    model = registry._row("registered_models", "name = ?", "support-student")
    registry.connection.execute("DELETE FROM registered_model_aliases")
    registry.connection.execute("DELETE FROM model_version_tags")
    registry.connection.execute("DELETE FROM model_versions")
    registry.connection.execute("DELETE FROM registered_models")
    registry.log("delete", "support-student", 0, {"what": "delete"})
    places: list[tuple[str, int, str]] = []
    for index in range(versions):
        name, number = f"model-{index // PER_MODEL:02d}", index % PER_MODEL + 1
        if number == 1:
            registry._insert("registered_models", {**model, "name": name})
        # Some were registered by hand and never judged: incomplete, not violated.
        decided = index % 40 != 7
        run = registry.add(name, number, is_decided=decided)
        if number == 3:
            registry.promote(name, number)
        if decided and number != 3:
            places.append((name, number, run))
    step = len(places) // plants
    planted = {}
    for index in range(plants):
        name, number, run = places[index * step + 5]
        done = PLANTS[index % len(PLANTS)]
        done(registry, name, number, run)
        planted[f"{name}/{number}"] = done.__name__
    registry.close()
    return planted


def _replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def evidence_flipped(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    path = registry.folder(run) / "evidence" / "student" / "items.parquet"
    data = path.read_bytes()
    _replace(path, data[:100] + bytes([data[100] ^ 1]) + data[101:])


def evidence_deleted(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    (registry.folder(run) / "evidence" / "findings.json").unlink()


def evidence_added(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    (registry.folder(run) / "evidence" / "more.json").write_text("{}")


def card_cut(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    path = registry.folder(run) / "card" / "card.md"
    _replace(path, path.read_bytes()[:50])


def tag_forged(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    registry.tag(name, number, "kdgov.weights", "sha256:" + "0" * 64)


def description_edited(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    registry.connection.execute("UPDATE model_versions SET description = 'fine' WHERE name = ? AND version = ?", (name, number))


def promoted_past_the_guard(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    registry._insert("registered_model_aliases", {"alias": f"live-{number}", "version": number, "name": name, "workspace": "default"})


def statement_of_another(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    shutil.rmtree(registry.folder(run) / "attestation")
    registry.attest(run, registry.sign(name, number + 1000, 1, "models:/m-other", run))


def statement_by_a_stranger(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    key = new_key(registry.store / f"stranger-{run}", "stranger", passphrase=None)
    mine, registry.signer = registry.signer, load_signer(f"file:{key.private_path}")
    version = registry._row("model_versions", "run_id = ?", run)
    shutil.rmtree(registry.folder(run) / "attestation")
    registry.attest(run, registry.sign(name, number, version["creation_time"], version["source"], run))
    registry.signer = mine


def statement_deleted(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    shutil.rmtree(registry.folder(run) / "attestation")


def note_of_another_act(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    registry.tag(name, number, "kdgov.log", "1:sha256:" + "1" * 64)


def date_moved(registry: LargeRegistry, name: str, number: int, run: str) -> None:
    registry.connection.execute("UPDATE model_versions SET creation_time = creation_time + 86400000 WHERE run_id = ?", (run,))


PLANTS: tuple[Callable[[LargeRegistry, str, int, str], None], ...] = (
    evidence_flipped, evidence_deleted, evidence_added, card_cut, tag_forged, description_edited, promoted_past_the_guard,
    statement_of_another, statement_by_a_stranger, statement_deleted, note_of_another_act, date_moved,
)  # fmt: skip


def names(rows: Iterator[Mapping[str, Any]]) -> set[str]:
    """``name/version`` of rows of an overview."""
    return {f"{row['name']}/{row['version']}" for row in rows}
