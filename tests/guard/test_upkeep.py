"""MLflow's own upkeep of a registry's database leaves recorded releases as they were: verified, audited clean, and promoted afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kdgov.pipeline.audit import AuditRequest, audit_registry, audit_version
from kdgov.recording.client.client import registry_client
from kdgov.recording.promotion import promote
from kdgov.recording.verify import verify_version
from tests.guard.conftest import Site

pytestmark = [pytest.mark.nightly]
UPKEEP = {
    "mlflow gc": lambda site: ["gc", "--backend-store-uri", site.database],
    "mlflow gc through the guard's address": lambda site: ["gc", "--backend-store-uri", f"kdgov:{site.database}"],
    "mlflow db upgrade": lambda site: ["db", "upgrade", site.database],
}


@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep_leaves_a_recorded_release_as_it_was(embedded: Site, name):
    recorded = embedded.record()
    with registry_client(embedded.target) as client:
        # What a killed recording leaves behind, and somebody else's run: both wait to be collected.
        experiment = client.get_run(recorded.run_id).info.experiment_id
        left = client.create_run(experiment).info.run_id
        client.delete_run(left)
    address = {**os.environ, "MLFLOW_TRACKING_URI": embedded.target.tracking_uri}
    command = [sys.executable, "-m", "mlflow", *UPKEEP[name](embedded)]
    done = subprocess.run(command, env=address, capture_output=True, text=True, check=False, timeout=240)
    request = AuditRequest(store=embedded.target.store)
    # `mlflow gc` may take a deleted run's rows; of the artifact store it takes nothing, and says why.
    assert done.returncode == 0 or "this store keeps evidence" in done.stderr, done.stderr[-2000:]
    assert verify_version(recorded.name, recorded.version, embedded.target).holds, done.stderr[-2000:]
    assert [f.subject for f in audit_version(recorded.name, recorded.version, request).findings if f.stops] == []
    assert [f for f in audit_registry(request)["log"] if f["standing"] == "violated"] == []
    act = promote(recorded.name, recorded.version, embedded.target)
    assert act.done, act.sentence
