"""Registries to attack: embedded, and served on SQLite and on PostgreSQL, each behind the guard."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, TrustStore, save_trust
from kdgov.guard.config import GUARD_KEY_VARIABLE, UNGUARDED_VARIABLE
from kdgov.guard.serving import ServerPlan, start_server, stop_server
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.recording.release_recording import RecordedVersion, record_release
from tests.guard.postgres import cluster, free_port
from tests.recording.evidence_bundle import POLICY, bundle, checkpoint
from tests.recording.policy_list import let_store_count

_NUMBER = itertools.count(1)


@dataclass(frozen=True)
class Site:
    """One guarded registry, and how to record something in it."""

    kind: str
    target: RegistryTarget
    folder: Path
    database: str

    def record(self, verdict: str = "pass", name: str = "") -> RecordedVersion:
        """A freshly recorded version of a new model."""
        number = next(_NUMBER)
        folder = self.folder / f"release-{number}"
        weights = checkpoint(folder / "weights", seed=number)
        made = bundle(folder / "bundle", name=name or f"model-{number}", weights=weights, verdict=verdict, seed=number)
        return record_release(made, self.target, weights=weights)

    def weights_of(self, recorded: RecordedVersion) -> Path:
        """Checkpoint folder of a recorded version."""
        return next(
            p for p in self.folder.glob("release-*/weights") if (p.parent / "bundle/decision.json").exists() and _is(p.parent, recorded)
        )

    def client(self):
        """An MLflow client, as a context."""
        return registry_client(self.target)


def _is(folder: Path, recorded: RecordedVersion) -> bool:
    from kdgov.digest import digest_file

    return digest_file(folder / "bundle/decision.json") == recorded.decision


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory) -> Path:
    """A registry's database without anything in it, made once: MLflow takes seconds for its tables."""
    store = tmp_path_factory.mktemp("empty") / "store"
    with registry_client(registry_target(store)) as client:
        client.search_registered_models()
    return store / "mlflow.db"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory, empty_registry) -> Iterator[Site]:
    """The store's own SQLite registry, in this process; names that begin with ``scratch-`` are unguarded."""
    yield from _embedded(tmp_path_factory.mktemp("embedded"), empty_registry)


@pytest.fixture
def own_embedded(tmp_path, empty_registry) -> Iterator[Site]:
    """The same for one test alone, whose acts would stay in everybody's log."""
    folder = tmp_path / "own-registry"
    folder.mkdir()
    yield from _embedded(folder, empty_registry)


def _embedded(folder: Path, empty_registry: Path) -> Iterator[Site]:
    target = registry_target(folder / "store")
    target.store.mkdir()
    shutil.copy(empty_registry, target.store / "mlflow.db")
    let_store_count(target.store, POLICY.replace(b"SAFETY", b"safety"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(UNGUARDED_VARIABLE, "scratch-*")
        yield Site(kind="embedded", target=target, folder=folder, database=f"sqlite:///{folder}/store/mlflow.db")


def _served(folder: Path, database: str, kind: str, further: tuple[str, ...] = ()) -> Iterator[Site]:
    store = folder / "store"
    key = new_key(store / "keys", "project", passphrase=None)
    public = key.public_path.read_text()
    save_trust(
        store / "keys" / "trust.json",
        TrustStore(keys=[TrustedKey(keyid=key.keyid, name="ci", public=public, purposes=list(PROJECT_PURPOSES))]),
    )
    let_store_count(store, POLICY.replace(b"SAFETY", b"safety"))
    plan = ServerPlan(
        backend=database,
        artifacts=str(folder / "artifacts"),
        port=free_port(),
        settings={
            "KDGOV_TRUST": str(store / "keys" / "trust.json"),
            GUARD_KEY_VARIABLE: f"file:{key.private_path}",
            UNGUARDED_VARIABLE: "scratch-*",
        },
        further=further,
    )
    process = start_server(plan, log=folder / "server.log")
    try:
        yield Site(kind=kind, target=registry_target(store, plan.address), folder=folder, database=database)
    finally:
        stop_server(process)


@pytest.fixture(scope="session")
def served_sqlite(tmp_path_factory) -> Iterator[Site]:
    """A guarded server on SQLite."""
    folder = tmp_path_factory.mktemp("sqlite")
    yield from _served(folder, f"sqlite:///{folder}/registry.db", "SQLite server")


@pytest.fixture(scope="session")
def served_postgres(tmp_path_factory) -> Iterator[Site]:
    """A guarded server on PostgreSQL."""
    with cluster() as database:
        yield from _served(tmp_path_factory.mktemp("postgres"), database, "PostgreSQL server")


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("served_sqlite", marks=[pytest.mark.server, pytest.mark.xdist_group("sqlite")]),
        pytest.param("served_postgres", marks=[pytest.mark.server, pytest.mark.xdist_group("postgres")]),
    ]
)
def site(request) -> Site:
    """Every kind of guarded registry in turn."""
    found: Callable[[], Site] = request.getfixturevalue(request.param)
    return found
