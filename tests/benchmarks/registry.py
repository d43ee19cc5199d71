"""What the guard and the recording cost: ``python -m tests.benchmarks.registry``.

An alias is set through the guard and past it in turn, on the same database; what the guard adds is the difference of the medians.
A recording's own share is what it takes beyond the time inside MLflow's client. A promotion derives the verdict of a bundle of 10,000
items anew, and once more where only its bytes are read again. Targets: 15 ms, 3 s, and 1 s of CPU per promotion.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from kdgov.evidence.derivation.derive import RememberedDerivations
from kdgov.guard import evidence
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.recording.release_recording import record_release
from tests.guard.postgres import cluster
from tests.recording.evidence_bundle import POLICY, bundle, checkpoint
from tests.recording.policy_list import let_store_count

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 60
GUARD_MS, RECORDING_S, PROMOTION_S = 15.0, 3.0, 1.0
ITEMS = 10_000


def guard_cost(target: RegistryTarget, database: str, folder: Path) -> dict[str, float]:
    """Medians in ms of CPU and wall, guarded and not, and what the guard adds."""
    weights = checkpoint(folder / "weights")
    recorded = record_release(bundle(folder / "bundle", name=f"alias-{folder.name}", weights=weights), target, weights=weights)
    clients = {"guarded": MlflowClient(target.tracking_uri, target.registry_uri), "plain": MlflowClient(database, database)}
    cpu: dict[str, list[float]] = {kind: [] for kind in clients}
    wall: dict[str, list[float]] = {kind: [] for kind in clients}
    for turn in range(ROUNDS + 5):
        for kind, client in clients.items():
            began, used = time.perf_counter(), time.process_time()
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
            if turn >= 5:
                cpu[kind].append(1000 * (time.process_time() - used))
                wall[kind].append(1000 * (time.perf_counter() - began))
    medians = {f"{kind} {name} ms": statistics.median(found[kind]) for name, found in (("cpu", cpu), ("wall", wall)) for kind in clients}
    added = {f"added {name} ms": medians[f"guarded {name} ms"] - medians[f"plain {name} ms"] for name in ("cpu", "wall")}
    return {**medians, **added}


def recording_cost(target: RegistryTarget, folder: Path) -> dict[str, float]:
    """Seconds of CPU of one recording, and of it what was spent outside MLflow's client."""
    weights = checkpoint(folder / "weights", seed=2)
    made = bundle(folder / "bundle", name=f"recorded-{folder.name}", weights=weights, seed=2)
    with _counted() as inside:
        used = time.process_time()
        record_release(made, target, weights=weights)
        total = time.process_time() - used
    return {"recording cpu s": total, "recording beyond MLflow cpu s": total - inside()}


def promotion_cost(target: RegistryTarget, folder: Path) -> dict[str, float]:
    """Seconds of CPU of a guarded promotion of a bundle of 10,000 items: judged again, and with the judgement remembered."""
    weights = checkpoint(folder / "weights", seed=3)
    made = bundle(folder / "bundle", name=f"large-{folder.name}", weights=weights, seed=3, lost=8, number=ITEMS // 2)
    recorded = record_release(made, target, weights=weights)
    client = MlflowClient(target.tracking_uri, target.registry_uri)
    spent: dict[str, list[float]] = {"judged again": [], "judgement remembered": []}
    for _ in range(5):
        evidence._JUDGED = RememberedDerivations()
        for found in spent.values():
            used = time.process_time()
            client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
            found.append(time.process_time() - used)
    return {f"promotion, {name} cpu s": statistics.median(found) for name, found in spent.items()}


@contextmanager
def _counted() -> Iterator[Callable[[], float]]:
    """CPU seconds spent in the outermost calls of MLflow's client."""
    spent, depth = [0.0], [0]

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*positional: Any, **named: Any) -> Any:
            depth[0] += 1
            used = time.process_time()
            try:
                return method(*positional, **named)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent[0] += time.process_time() - used

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in vars(MlflowClient) if not n.startswith("_") and callable(getattr(MlflowClient, n))]:
            patch.setattr(MlflowClient, name, timed(getattr(MlflowClient, name)))
        yield lambda: spent[0]


def main() -> int:
    """Print the table and keep it as JSON; 1 when a target was missed."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        embedded = registry_target(folder / "store")
        record_release(bundle(folder / "first", name="first"), embedded)
        let_store_count(embedded.store, POLICY.replace(b"SAFETY", b"safety"))
        for part in ("a", "b", "e"):
            (folder / part).mkdir()
        found["SQLite"] = guard_cost(embedded, f"sqlite:///{folder}/store/mlflow.db", folder / "a")
        found["SQLite"] |= recording_cost(embedded, folder / "b")
        found["SQLite"] |= promotion_cost(embedded, folder / "e")
        try:
            with cluster() as database, pytest.MonkeyPatch.context() as patch:
                # As the embedded registry finds them by itself: whose signature counts, and who signs the log.
                patch.setenv("KDGOV_TRUST", str(embedded.store / "keys" / "trust.json"))
                patch.setenv("KDGOV_GUARD_KEY", f"file:{embedded.store / 'keys' / 'project.key'}")
                target = registry_target(folder / "store", f"kdgov:{database}")
                target = RegistryTarget(
                    tracking_uri=target.tracking_uri,
                    registry_uri=target.registry_uri,
                    artifact_root=f"kdgov-artifacts:{folder / 'artifacts'}",
                    store=target.store,
                    is_embedded=False,
                )
                for part in ("c", "d", "f"):
                    (folder / part).mkdir()
                found["PostgreSQL"] = guard_cost(target, database, folder / "c")
                found["PostgreSQL"] |= recording_cost(target, folder / "d")
                found["PostgreSQL"] |= promotion_cost(target, folder / "f")
        except pytest.skip.Exception as absent:
            sys.stdout.write(f"PostgreSQL: {absent}\n")
    for kind, figures in found.items():
        for name, value in figures.items():
            sys.stdout.write(f"{kind:<12}{name:<32}{value:8.2f}\n")
    place = ROOT / "tests" / ".artifacts" / "bench" / "registry.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found, indent=1))
    limits = {"added cpu ms": GUARD_MS, "recording beyond MLflow cpu s": RECORDING_S, "promotion, judged again cpu s": PROMOTION_S}
    return 0 if all(figures[name] <= limit for figures in found.values() for name, limit in limits.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
