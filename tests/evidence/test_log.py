"""The log of acts: whatever is done to a written chain is seen."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from kdgov.evidence.event_chain import GENESIS, LogEntry, chain_faults, entry_from_json, signed_head
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import TrustedKey, TrustStore

START = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    made = new_key(tmp_path_factory.mktemp("keys"), "guard", passphrase=None)
    key = TrustedKey(keyid=made.keyid, name="guard", public=made.public_path.read_text(), purposes=["act"])
    return load_signer(f"file:{made.private_path}"), TrustStore(keys=[key])


@pytest.fixture(scope="module")
def chain(guard):
    return written(guard[0], 6)


def written(signer, count: int, start: str = GENESIS) -> list[LogEntry]:
    entries, previous = [], start
    for seq in range(1, count + 1):
        at = START + datetime.timedelta(minutes=seq)
        entry = LogEntry(
            seq=seq, previous=previous, at=at.strftime("%Y-%m-%dT%H:%M:%SZ"), kind="promote", workspace="default", name="m",
            version=seq, by="local", details={"alias": "champion"},
        )  # fmt: skip
        entries.append(dataclasses.replace(entry, head=signed_head(entry, signer, at=at)))
        previous = entry.hash
    return entries


def test_a_chain_as_written_has_no_fault(chain, guard):
    assert chain_faults(chain, guard[1]) == ()
    again = [entry_from_json({**e.body(), "head": dict(e.head)}) for e in chain]
    assert chain_faults(again, guard[1], known_head=(6, chain[-1].hash)) == ()


@pytest.mark.parametrize(
    "change", [{"version": 9}, {"kind": "revoke"}, {"at": "2026-11-21T12:59:00Z"}, {"by": "x"}, {"details": {"alias": "x"}}, {"name": "n"}]
)
@pytest.mark.parametrize("position", range(6))
def test_every_changed_entry_is_seen(chain, guard, position, change):
    forged = list(chain)
    forged[position] = dataclasses.replace(chain[position], **change)
    assert chain_faults(forged, guard[1])


@pytest.mark.parametrize("position", range(5))
def test_a_dropped_inserted_or_moved_entry_is_seen(chain, guard, position):
    dropped = chain[:position] + chain[position + 1 :]
    assert chain_faults(dropped, guard[1])
    assert chain_faults([*chain[: position + 1], chain[position], *chain[position + 1 :]], guard[1])
    moved = list(chain)
    moved[position], moved[position + 1] = moved[position + 1], moved[position]
    assert chain_faults(moved, guard[1])


def test_a_chain_cut_at_its_end_is_seen_by_a_head_kept_elsewhere(chain, guard):
    assert chain_faults(chain[:4], guard[1]) == ()
    assert "cut" in chain_faults(chain[:4], guard[1], known_head=(6, chain[5].hash))[0]


def test_a_chain_rewritten_with_another_key_is_seen(guard, tmp_path):
    other = new_key(tmp_path, "other", passphrase=None)
    assert chain_faults(written(load_signer(f"file:{other.private_path}"), 3), guard[1])


def test_unsigned_entries_are_named_and_without_a_trusted_key_it_is_said(chain, guard):
    bare = [dataclasses.replace(entry, head={}) for entry in chain]
    assert all("not signed" in fault for fault in chain_faults(bare, guard[1]))
    assert all("not checked" in fault for fault in chain_faults(chain, TrustStore()))
