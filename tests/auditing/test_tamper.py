"""Whatever is changed in a recorded release, the audit says so and names it: every file, tag, number and log entry, one at a time."""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from kdgov.auditing.registry.snapshot import LogShown, RunShown, VersionShown
from kdgov.auditing.review.review import review_version
from tests.auditing.conftest import Recorded

DAY = re.compile(rb"20\d\d-[01]\d-[0-3]\d")
Change = Callable[[], tuple[VersionShown, LogShown]]


@dataclass(frozen=True, kw_only=True)
class Tampering:
    """One change, and what the audit must name."""

    how: str
    what: str
    names: tuple[str, ...]
    shown: VersionShown
    log: LogShown
    files: Mapping[Path, bytes | None] = ()  # type: ignore[assignment]


@contextmanager
def on_disk(files: Mapping[Path, bytes | None]) -> Iterator[None]:
    """The files with other bytes (None: gone) while the block runs."""
    before = {path: path.read_bytes() for path in files if path.exists()}
    try:
        for path, data in files.items():
            path.unlink(missing_ok=True)
            if data is not None:
                path.write_bytes(data)
        yield
    finally:
        for path in files:
            path.unlink(missing_ok=True)
        for path, data in before.items():
            path.write_bytes(data)


def flipped(data: bytes) -> bytes:
    """One bit of the middle byte turned."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def redated(data: bytes) -> bytes | None:
    """The first date one year later; None where there is none."""
    if b'"payload"' in data and b"dsse" not in data[:10] and b"in-toto" in data:
        envelope = json.loads(data)
        payload = redated(base64.b64decode(envelope["payload"]))
        return json.dumps({**envelope, "payload": base64.b64encode(payload or b"").decode()}).encode()
    found = DAY.search(data)
    if found is None:
        return None
    return data[: found.start()] + str(int(found.group()[:4]) + 1).encode() + data[found.start() + 4 :]


def file_changes(shown: VersionShown, log: LogShown) -> Iterator[Tampering]:
    """Every file of the release: a byte flipped, cut, gone, swapped, dated otherwise; and one added to every folder."""
    places = [(shown.files, ""), (shown.model_files, "model/")]
    files = {prefix + p.relative_to(root).as_posix(): p for root, prefix in places for p in sorted(root.rglob("*")) if p.is_file()}
    names = list(files)
    for index, (name, path) in enumerate(files.items()):
        data = path.read_bytes()
        other_name = names[(index + 1) % len(names)]
        other = files[other_name]
        changes: list[tuple[str, dict[Path, bytes | None]]] = [
            ("flip", {path: flipped(data)}),
            ("cut", {path: data[: len(data) // 2]}),
            ("empty", {path: b""}),
            ("delete", {path: None}),
            ("swap", {path: other.read_bytes(), other: data}),
        ]
        if (dated := redated(data)) is not None:
            changes.append(("re-date", {path: dated}))
        for how, change in changes:
            # Which envelope is gone only its folder can say; every other file is named in full.
            named = "attestation" if how == "delete" and name.startswith("attestation/") else name
            names_of_both = (name, other_name) if how == "swap" else (named,)
            # With the manifest gone only its own loss can be named: it alone knew the other file's digest.
            manifest = [n for n in names_of_both if n == "evidence/manifest.json"]
            yield Tampering(how=how, what=name, names=tuple(manifest or names_of_both), shown=shown, log=log, files=change)
    for folder in sorted({p.parent for p in files.values()}):
        root, prefix = places[0] if folder.is_relative_to(shown.files) else places[1]
        name = prefix + (folder / "added.json").relative_to(root).as_posix()
        yield Tampering(how="add", what=name, names=(name,), shown=shown, log=log, files={folder / "added.json": b"{}"})


def mapping_changes(table: Mapping[str, object]) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every entry of a table: changed, cut, gone, swapped, dated otherwise."""
    keys = sorted(table)
    for index, key in enumerate(keys):
        value, other = table[key], keys[(index + 1) % len(keys)]
        yield "delete", key, {k: v for k, v in table.items() if k != key}
        if isinstance(value, float):
            yield "flip", key, {**table, key: value + 0.001}
        else:
            text = str(value)
            yield "flip", key, {**table, key: flipped(text.encode()).decode("utf-8", "replace")}
            yield "cut", key, {**table, key: text[:-1]}
            if (dated := redated(text.encode())) is not None:
                yield "re-date", key, {**table, key: dated.decode()}
        if table[other] != value:
            yield "swap", key, {**table, key: table[other], other: value}
    yield "add", "kdgov.forged", {**table, "kdgov.forged": 1.0 if keys and isinstance(table[keys[0]], float) else "PASS"}


def tag_changes(shown: VersionShown, log: LogShown) -> Iterator[Tampering]:
    """Every version tag, and every parameter, metric, tag and dataset of the three runs."""
    for how, key, table in mapping_changes(shown.tags):
        swapped = [k for k in table if table.get(k) != shown.tags.get(k)] if how == "swap" else [key]
        yield Tampering(how=how, what=f"tag {key}", names=tuple(f"tag {k}" for k in swapped), shown=replace(shown, tags=table), log=log)
    for role, run in shown.runs.items():
        for kind in ("params", "metrics", "tags", "datasets"):
            for how, key, table in mapping_changes(getattr(run, kind)):
                changed = replace(shown, runs={**shown.runs, role: replace(run, **{kind: table})})
                if kind == "datasets" and role != "release":
                    continue
                name = f"{kind[:-1]} {key} of run {role}"
                yield Tampering(how=how, what=name, names=(name.partition(" ")[2].partition(" of")[0],), shown=changed, log=log)


def record_changes(shown: VersionShown, log: LogShown) -> Iterator[Tampering]:
    """The version itself: description, date, source, run, aliases, stage, runs gone."""
    facts, card = shown.facts, shown.description
    for how, text in (("flip", flipped(card.encode()).decode()), ("cut", card[:-5]), ("delete", ""), ("re-date", card + " 2031-01-01")):
        yield Tampering(how=how, what="description", names=("description",), shown=replace(shown, description=text), log=log)
    others = {
        "creation_timestamp": facts.creation_timestamp + 86_400_000,
        "source": "models:/m-0",
        "run_id": "0" * 32,
        "version": 2,
        "name": "other",
    }
    for key, value in others.items():
        changed = replace(shown, facts=replace(facts, **{key: value}))
        yield Tampering(how="re-date" if "time" in key else "swap", what=f"version {key}", names=("attestation/",), shown=changed, log=log)
    for alias in ("production", "сhampion", "champion\n"):
        changed = replace(shown, aliases=(*shown.aliases, alias))
        yield Tampering(how="add", what=f"alias {alias!r}", names=(f"alias {alias}",), shown=changed, log=log)
    yield Tampering(how="add", what="stage", names=("stage",), shown=replace(shown, stage="Production"), log=log)
    for role in shown.runs:
        gone = {r: run for r, run in shown.runs.items() if r != role}
        yield Tampering(how="delete", what=f"run {role}", names=(f"run {role}",), shown=replace(shown, runs=gone), log=log)
        deleted = {**shown.runs, role: replace(shown.runs[role], lifecycle="deleted")}
        yield Tampering(how="delete", what=f"run {role} soft", names=(f"run {role}",), shown=replace(shown, runs=deleted), log=log)


def log_changes(shown: VersionShown, log: LogShown) -> Iterator[Tampering]:
    """Every entry and field of the log, and the log cut, reordered, forged."""
    entries = log.entries
    for index, entry in enumerate(entries):
        variants = {
            "seq": entry.seq + 1, "previous": "sha256:" + "1" * 64, "at": redated(entry.at.encode()).decode(), "kind": "refuse",
            "workspace": "other", "name": "other", "version": 9, "by": "somebody", "details": {**entry.details, "alias": "x"}, "head": {},
            "stated": "sha256:" + "2" * 64,
        }  # fmt: skip
        assert set(variants) == {f.name for f in fields(entry)}
        for field, value in variants.items():
            changed = (*entries[:index], replace(entry, **{field: value}), *entries[index + 1 :])
            how = "re-date" if field == "at" else "flip"
            yield Tampering(how=how, what=f"log {index + 1} {field}", names=("log",), shown=shown, log=replace(log, entries=changed))
        cut = (*entries[:index], *entries[index + 1 :])
        yield Tampering(how="delete", what=f"log {index + 1}", names=("log",), shown=shown, log=replace(log, entries=cut))
        yield Tampering(how="cut", what=f"log to {index}", names=("log",), shown=shown, log=replace(log, entries=entries[:index]))
    yield Tampering(how="swap", what="log order", names=("log",), shown=shown, log=replace(log, entries=entries[::-1]))


def test_an_honest_release_audits_clean(recorded: Recorded) -> None:
    """Recorded, promoted, untouched: nothing violated and nothing required missing."""
    audit = review_version(recorded.shown, recorded.log, recorded.reviewer)
    assert [f for f in audit.findings if f.standing != "verified"] == []
    assert audit.outcome == "clean"
    assert audit.verdict == "pass"
    assert {f.area for f in audit.findings} >= {
        "evidence",
        "signature",
        "log",
        "registry",
        "plan",
        "decision",
        "licence",
        "permission",
        "practice",
        "weights",
    }


def test_every_tampering_is_detected_and_named(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """100 % of single changes, each named by the file, tag, run or log it touched."""
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path))
    # Only a bundle that is as sealed is judged again, so one answer serves all changes outside it.
    again = recorded.reviewer.rejudge(recorded.shown.evidence, recorded.reviewer.at)
    reviewer, missed, count = replace(recorded.reviewer, rejudge=lambda folder, received: again), [], {}
    for make in (file_changes, tag_changes, record_changes, log_changes):
        for change in make(recorded.shown, recorded.log):
            with on_disk(dict(change.files)):
                audit = review_version(change.shown, change.log, reviewer)
            told = [f.subject for f in audit.findings if f.standing == "violated"]
            if not all(any(name in subject for subject in told) for name in change.names):
                missed.append((change.how, change.what, told[:3]))
            count[change.how] = count.get(change.how, 0) + 1
    with capsys.disabled():
        print(f"\n  tampering: {sum(count.values())} changes, {sum(count.values()) - len(missed)} detected and named: {count}")  # noqa: T201
    assert missed == [], missed
    assert set(count) == {"flip", "cut", "empty", "delete", "swap", "re-date", "add"}


def test_a_clean_audit_after_all_that_shows_nothing_was_left_behind(recorded: Recorded) -> None:
    """The tampering above restores what it changed, so a miss cannot hide behind an earlier change."""
    assert review_version(recorded.shown, recorded.log, recorded.reviewer).outcome == "clean"


def test_an_untrusted_signer_leaves_the_audit_incomplete(recorded: Recorded) -> None:
    """Without anybody's trust nothing is clean: the reviewer must bring the keys."""
    from kdgov.evidence.trust_store import TrustStore

    audit = review_version(recorded.shown, recorded.log, replace(recorded.reviewer, trust=TrustStore()))
    assert audit.outcome == "incomplete"
    assert any(f.area == "signature" and f.required for f in audit.findings)


def test_an_expired_decision_behind_an_alias_is_a_violation(recorded: Recorded) -> None:
    """The day is passed in: a year later champion is served under a decision that has ended."""
    later = replace(recorded.reviewer, at=recorded.reviewer.at + datetime.timedelta(days=400))
    audit = review_version(recorded.shown, recorded.log, later)
    assert audit.outcome == "violated"
    assert [f.subject for f in audit.findings if f.standing == "violated"] == ["alias champion"]


def test_weights_that_changed_after_the_decision_are_told(recorded: Recorded) -> None:
    """One bit of the served checkpoint turned: not the weights that were judged."""
    path = recorded.weights / "model.safetensors"
    data = path.read_bytes()
    with on_disk({path: data[:-1] + bytes([data[-1] ^ 1])}):
        audit = review_version(recorded.shown, recorded.log, recorded.reviewer)
    assert any(f.area == "weights" and f.standing == "violated" for f in audit.findings)


def test_runs_are_frozen_values() -> None:
    """What was fetched cannot be changed by the review that reads it."""
    with pytest.raises(AttributeError):
        RunShown(run_id="x").status = "FINISHED"  # type: ignore[misc]
