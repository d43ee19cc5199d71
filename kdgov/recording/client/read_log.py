"""The guard's log of acts, read through any MLflow client: whole, of one model, or what is new since it was last verified."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.digest import digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.event_chain import GENESIS, LogEntry, chain_faults, entry_from_json, unreadable_entry, withheld_entry
from kdgov.evidence.trust_store import TrustStore, load_trust, trust_path
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import RegistryTarget
from kdgov.safe_parse import json_value

_PAGE = 500
_NO_GUARD = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheck:
    """What came of verifying the log."""

    entries: int
    """Number of the last entry."""
    faults: tuple[str, ...]
    """Everything wrong with the chain and its signed heads."""


def read_log(client: MlflowClient, *, after: int = 0) -> list[LogEntry] | None:
    """Every act after a number, in order; None where the registry has no guard and so no log."""
    return _pages(client, lambda seq: f"kdgov.log > {seq}", after)


def log_of(client: MlflowClient, name: str, version: int | None = None) -> list[LogEntry] | None:
    """The acts on one version (or, None, on a model and all its versions), in order; None where the registry has no guard."""

    def asked(seq: int) -> str:
        place = base64.urlsafe_b64encode(json.dumps([name, version, seq]).encode()).decode()
        return f"kdgov.log.of = '{place}'"

    return _pages(client, asked, 0)


def check_log(client: MlflowClient, trust: TrustStore, *, memory: Path | None = None) -> LogCheck | None:
    """Whether the log is one unbroken, signed chain; None where the registry keeps none.

    Args:
        client: of the registry.
        trust: whose heads count.
        memory: file that keeps the number and hash up to which the chain was found whole; only what is new is read then, and a
            log that was cut or rewritten since is told.
    """
    key = digest_json(trust.model_dump(mode="json"))
    seq, known = _remembered(memory, key)
    # The remembered entry itself is read again: it must still be there, unchanged.
    entries = read_log(client, after=max(0, seq - 1))
    if entries is None:
        return None
    if seq:
        if not entries or entries[0].seq != seq or entries[0].hash != known:
            # A registry made anew in the same place, or a log cut or rewritten: only the whole chain tells which.
            return _whole(client, trust, known_head=(seq, known))
        entries = entries[1:]
    faults = chain_faults(entries, trust, after=(seq, known))
    last = entries[-1] if entries else None
    if not faults and last is not None and memory is not None:
        _remember(memory, {"trust": key, "seq": last.seq, "hash": last.hash})
    return LogCheck(entries=last.seq if last is not None else seq, faults=faults)


def memory_of(target: RegistryTarget) -> Path:
    """Where a store remembers how far it has verified the log of a registry."""
    return target.store / "log" / f"{digest_json(target.name)[7:23]}.json"


def log_faults(client: MlflowClient) -> tuple[str, ...]:
    """What the guard's own tables, and the versions there are, contradict in the log's signed text; empty where no guard tells."""
    try:
        page = client.search_registered_models("kdgov.log.faults = 'all'")
        found: list[str] = json.loads(page[0].description or "[]")
    except (MlflowException, IndexError, ValueError):
        # An older guard, or none: its log is judged by its entries alone.
        return ()
    return tuple(str(fault) for fault in found)


def guard_status(client: MlflowClient) -> dict[str, Any] | None:
    """How the registry's guard is set; None where there is none."""
    try:
        page = client.search_registered_models("kdgov.guard = 'status'")
    except MlflowException as error:
        if error.error_code in _NO_GUARD:
            return None
        raise
    found: dict[str, Any] = json.loads(page[0].description)
    return found


def verified_log(target: RegistryTarget) -> tuple[list[LogEntry], tuple[str, ...]]:
    """The whole log of a registry and everything wrong with its chain and signatures.

    Raises:
        InputError: if the registry keeps no log.
        UnavailableError: if it cannot be reached.
    """
    with registry_client(target) as client:
        entries = read_log(client)
    if entries is None:
        raise InputError("this registry has no guard, so it keeps no log", where=target.name, mend="Serve it with `kdgov serve`.")
    return entries, chain_faults(entries, load_trust(trust_path(target.store)))


def _pages(client: MlflowClient, asked: Any, after: int) -> list[LogEntry] | None:
    entries: list[LogEntry] = []
    while True:
        try:
            page = client.search_registered_models(asked(entries[-1].seq if entries else after), max_results=_PAGE)
        except MlflowException as error:
            if error.error_code in _NO_GUARD:
                return None
            raise
        entries += [_shown(model.description, seq) for seq, model in enumerate(page, start=(entries[-1].seq if entries else after) + 1)]
        if len(page) < _PAGE:
            return entries


def _shown(text: str | None, seq: int) -> LogEntry:
    """An entry as the registry shows it; one of another shape stands for a row that cannot be read."""
    try:
        document = json_value(text or "", where=f"log entry {seq}")
        return withheld_entry(document) if document.get("withheld") is True else entry_from_json(document)
    except (InputError, ValueError, TypeError, AttributeError):
        return unreadable_entry(seq, workspace="", name="", version=0)


def _whole(client: MlflowClient, trust: TrustStore, *, known_head: tuple[int, str]) -> LogCheck:
    entries = read_log(client) or []
    return LogCheck(entries=len(entries), faults=chain_faults(entries, trust, known_head=known_head))


def _remembered(memory: Path | None, key: str) -> tuple[int, str]:
    try:
        kept = json.loads(memory.read_bytes()) if memory is not None else {}
        return (int(kept["seq"]), str(kept["hash"])) if kept.get("trust") == key else (0, GENESIS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0, GENESIS


def _remember(memory: Path, kept: dict[str, Any]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(memory, json.dumps(kept).encode())
    except OSError:
        # A store that cannot be written costs time, not correctness.
        return
