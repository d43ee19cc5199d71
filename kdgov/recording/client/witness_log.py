"""A registry's log against the heads that a witness saw, and the present head countersigned."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from kdgov.evidence.derivation.witness import countersign, witness_faults, witnessed_heads
from kdgov.evidence.event_chain import LogEntry
from kdgov.evidence.signing_keys import load_signer
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.target import RegistryTarget


def witness_log(target: RegistryTarget, entries: Sequence[LogEntry], known: Sequence[str], file: Path, *, key: str = "") -> tuple[str, ...]:
    """What of the log is not as the witness saw it; where it is, and the chain is whole, its head is added to the file.

    Args:
        target: whose log; its trust store says whose countersignatures count (purpose ``act``).
        entries: the whole log.
        known: faults found in the chain already; a faulty chain is not witnessed.
        file: of the witness; made where it is absent.
        key: source of the witness's key; as for recordings where empty.

    Raises:
        InputError: if the file or the key cannot be read.
    """
    now = datetime.datetime.now(datetime.UTC)
    faults: tuple[str, ...] = ()
    if file.exists():
        heads, unreadable = witnessed_heads(file, load_trust(trust_path(target.store)), at=now)
        faults = (*unreadable, *witness_faults(entries, heads))
    if not faults and not known:
        signers = (load_signer(key),) if key else signing_for(target.store).signers
        countersign(file, entries, signers, at=now)
    return faults
