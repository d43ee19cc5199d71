"""A whole registry at a glance: exactly what was planted is found, first, within its time, and after a kill too."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kdgov.auditing.registry.overview import OverviewRow, sorted_rows
from kdgov.auditing.registry.snapshot import LogShown
from kdgov.auditing.review.event_log import vanished
from kdgov.auditing.review.signatures import read_attestation
from kdgov.evidence.event_chain import LogEntry
from kdgov.pipeline.audit import AuditRequest, Scope, audit_registry
from tests.auditing.conftest import Recorded
from tests.auditing.large_registry import grow, names

DAY = datetime.date(2026, 11, 22)


def grown(recorded: Recorded, folder: Path, versions: int, plants: int) -> tuple[AuditRequest, dict[str, str]]:
    attested, _ = read_attestation(recorded.shown, recorded.reviewer.trust, at=recorded.reviewer.at)
    planted = grow(recorded.store, folder / "store", attested.predicate, recorded.shown.facts.run_id, versions=versions, plants=plants)
    return AuditRequest(store=folder / "store"), planted


def found_of(document: dict[str, object]) -> set[str]:
    return names(row for row in document["versions"] if row["outcome"] == "violated")  # type: ignore[index, union-attr]


def test_a_registry_shows_exactly_what_was_planted_first(recorded: Recorded, tmp_path: Path) -> None:
    """120 versions, one of every kind of fault: those and no others are violated, and they stand on top."""
    request, planted = grown(recorded, tmp_path, 120, 12)
    document = audit_registry(request)
    assert found_of(document) == set(planted), planted
    assert document["counts"]["versions"] == 120
    assert document["counts"]["without_decision"] == 3
    assert document["counts"]["outside_guard"] == 1
    tops = [f"{row['name']}/{row['version']}" for row in document["versions"][:12]]
    assert set(tops) == set(planted)
    assert all(row["needs"] for row in document["versions"][:12])
    assert [f["standing"] for f in document["log"]] == ["verified"]


def test_only_violated_model_and_since_narrow_the_rows(recorded: Recorded, tmp_path: Path) -> None:
    request, planted = grown(recorded, tmp_path, 60, 4)
    only = audit_registry(request, Scope(only_violated=True))
    assert names(iter(only["versions"])) == set(planted)
    one = audit_registry(request, Scope(model="model-01"))
    assert {row["name"] for row in one["versions"]} == {"model-01"}
    later = audit_registry(request, Scope(since=datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)))
    assert later["versions"] == []


def test_an_interrupted_overview_goes_on_where_it_stood(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after 20 of 60 versions: the second call reviews the other 40, and a whole one leaves nothing behind."""
    from kdgov.pipeline import audit as step

    request, planted = grown(recorded, tmp_path, 60, 4)
    reviewed = 0
    real: Callable[..., OverviewRow] = step.review_briefly

    def counted(*arguments: object) -> OverviewRow:
        nonlocal reviewed
        reviewed += 1
        if reviewed == 21:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(step, "review_briefly", counted)
    with pytest.raises(KeyboardInterrupt):
        audit_registry(request)
    kept = list((request.store / "audit").glob("overview-*.jsonl")) or list((request.store / "audit").glob("*.jsonl"))
    assert len(kept) == 1
    kept[0].write_text(kept[0].read_text() + '{"of": "cut in ha')
    reviewed = 100
    document = audit_registry(request)
    assert reviewed == 140
    assert found_of(document) == set(planted)
    assert not list((request.store / "audit").glob("*.jsonl"))


@pytest.mark.nightly
@pytest.mark.ci
def test_a_thousand_versions_within_a_minute(recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 generated versions, 25 planted violations: exactly those 25, in at most 60 CPU seconds without weights."""
    request, planted = grown(recorded, tmp_path, 1000, 25)
    began, wall = time.process_time(), time.monotonic()
    document = audit_registry(request)
    spent = time.process_time() - began
    with capsys.disabled():
        print(f"\n  1000 versions, {len(planted)} planted: {spent:.1f} CPU s, {time.monotonic() - wall:.1f} s wall")  # noqa: T201
    assert len(planted) == 25
    assert found_of(document) == set(planted), planted
    assert spent <= 60


def row(**change: object) -> OverviewRow:
    plain = {
        "name": "m", "version": 1, "outcome": "clean", "verdict": "PASS", "aliases": (), "registered_at": "", "evidence_age_days": 1,
        "expires": "2027-05-01", "waiver_expires": "", "is_outside_guard": False, "needs": (),
    }  # fmt: skip
    return OverviewRow(**{**plain, **change})  # type: ignore[arg-type]


def test_what_needs_a_person_comes_first() -> None:
    """Violated and served, violated, undecided and served, ending soon, undecided, then the oldest evidence."""
    rows = [
        row(version=1, evidence_age_days=1),
        row(version=2, evidence_age_days=90),
        row(version=3, outcome="incomplete", verdict="NONE", evidence_age_days=None),
        row(version=4, waiver_expires="2026-12-01"),
        row(version=5, outcome="incomplete", aliases=("champion",)),
        row(version=6, outcome="violated"),
        row(version=7, outcome="violated", aliases=("champion",)),
        row(version=8, expires="2026-12-10"),
    ]
    assert [r.version for r in sorted_rows(rows, day=DAY)] == [7, 6, 5, 8, 4, 3, 2, 1]


def test_rows_survive_a_round_through_json() -> None:
    made = row(aliases=("champion",), needs=("a: b",))
    kept = json.loads(json.dumps(made.as_json()))
    assert OverviewRow(**{**kept, "aliases": tuple(kept["aliases"]), "needs": tuple(kept["needs"])}) == made


def entry(seq: int, kind: str, version: int, *, name: str = "m", workspace: str = "default") -> LogEntry:
    return LogEntry(seq=seq, previous="", at="", kind=kind, workspace=workspace, name=name, version=version, by="")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("acts", "gone"),
    [
        ([("decide", 1), ("decide", 2)], {"m/1"}),
        ([("decide", 1), ("delete", 1), ("decide", 2)], set()),
        ([("decide", 1), ("delete", 0), ("decide", 2)], set()),
        ([("decide", 1), ("delete", 1), ("decide", 1)], {"m/1"}),
    ],
)
def test_a_version_may_leave_the_registry_only_by_an_act(acts: list[tuple[str, int]], gone: set[str]) -> None:
    """Deleted as a version, with its model, and registered again after a deletion."""
    log = LogShown(entries=tuple(entry(seq, kind, version) for seq, (kind, version) in enumerate(acts, 1)))
    found = vanished(log, {("default", "m", 2)}, workspaces={"default"})
    assert {f.subject for f in found} == gone
    assert vanished(log, {("default", "m", 2)}, workspaces={"default"}, model="other") == ()
    assert vanished(log, {("x", "m", 9)}, workspaces={"x"}) == ()
