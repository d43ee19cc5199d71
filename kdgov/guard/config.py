"""How one guard is set: read from the environment once, so that every server worker has the same."""

from __future__ import annotations

import datetime
import fnmatch
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.evidence.derivation.owner_rules import OwnerRules, load_owner_rules
from kdgov.evidence.signing_keys import load_signer
from kdgov.evidence.trust_store import TRUST_VARIABLE, TrustStore, load_trust

FREE_ALIASES_VARIABLE = "KDGOV_FREE_ALIASES"
UNGUARDED_VARIABLE = "KDGOV_UNGUARDED_MODELS"
GUARD_KEY_VARIABLE = "KDGOV_GUARD_KEY"
POLICIES_VARIABLE = "KDGOV_POLICY_DIGESTS"
WEIGHTS_VARIABLE = "KDGOV_WEIGHTS"

DEFAULT_FREE_ALIASES = ("candidate", "challenger")
TrustStamp = tuple[int, ...]
"""Inode, times and size of the trust store; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """What one guard trusts, leaves free and demands."""

    trust_path: Path
    """Trust store; read anew whenever it changes."""
    free_aliases: frozenset[str]
    """Aliases anyone may set; every other name is guarded, look-alikes included."""
    unguarded_models: tuple[str, ...]
    """Shell patterns of model names the guard leaves alone."""
    guard_key: str
    """Key source that signs the heads of the log; empty: unsigned."""
    policies: frozenset[str]
    """Digests of the policies that count; empty: any."""
    weights_required: bool
    """Refuse when the weights cannot be re-read from here (otherwise promote, load and audit re-read them)."""

    def guards(self, model: str) -> bool:
        """Whether this model is guarded."""
        return not any(fnmatch.fnmatchcase(model, pattern) for pattern in self.unguarded_models)

    def trust(self) -> TrustStore:
        """The trust store as it is now.

        Raises:
            InputError: if the file is at fault.
        """
        return trust_of(*self.trust_stamp())

    def rules(self, at: datetime.datetime) -> OwnerRules:
        """What the registry's owner signed, read beside the trust store at every call.

        Raises:
            InputError: if the trust store is at fault.
        """
        return load_owner_rules(self.trust_path, self.trust(), at=at)

    def trust_stamp(self) -> tuple[Path, TrustStamp]:
        """Which state of the trust store is the present one."""
        return self.trust_path, _stamp(self.trust_path)

    def signer(self) -> Signer | None:
        """Who signs the log's heads."""
        return load_signer(self.guard_key) if self.guard_key else None


def guard_config(database_uri: str) -> GuardConfig:
    """The guard's settings for one database.

    An embedded SQLite registry finds its trust store and its own key in ``keys/`` beside the database file.
    """
    beside = beside_database(database_uri)
    trust_path = Path(os.environ.get(TRUST_VARIABLE) or (beside / "keys" / "trust.json" if beside else Path("keys/trust.json")))
    # A declared trust store lies elsewhere; the embedded registry's own key stays where the first recording made it.
    own_keys = [trust_path.parent / "project.key", *([beside / "keys" / "project.key"] if beside else [])]
    guard_key = os.environ.get(GUARD_KEY_VARIABLE) or next((f"file:{key}" for key in own_keys if key.exists()), "")
    return GuardConfig(
        trust_path=trust_path,
        free_aliases=frozenset(_words(FREE_ALIASES_VARIABLE) or DEFAULT_FREE_ALIASES),
        unguarded_models=tuple(_words(UNGUARDED_VARIABLE)),
        guard_key=guard_key,
        policies=frozenset(_words(POLICIES_VARIABLE)),
        weights_required=os.environ.get(WEIGHTS_VARIABLE, "when_reachable") == "required",
    )


@lru_cache(maxsize=8)
def trust_of(path: Path, stamp: TrustStamp) -> TrustStore:  # noqa: ARG001 - part of the cache's key
    """The trust store in one of its states.

    Raises:
        InputError: if the file is at fault.
    """
    return load_trust(path)


def _stamp(path: Path) -> TrustStamp:
    # The store is replaced by renaming, so a new one has another inode even within one tick of the clock.
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)


def _words(variable: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]


def beside_database(database_uri: str) -> Path | None:
    """Folder of an SQLite database; None for another kind."""
    parsed = urlparse(database_uri)
    if not parsed.scheme.startswith("sqlite") or not parsed.path.strip("/"):
        return None
    # sqlite:///relative and sqlite:////absolute
    return Path(parsed.path[1:]).parent
