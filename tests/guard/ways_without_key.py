# ruff: noqa: E501 - one way per line reads as the table it is
"""Ways that need no key: what anyone who reaches the registry can try against a recorded release."""

from __future__ import annotations

import base64
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import requests
from mlflow.entities import RunTag
from mlflow.entities.logged_model_tag import LoggedModelTag
from mlflow.exceptions import MlflowException

from tests.guard.attack import Attack, NotHereError, Way


def _run_folder(a: Attack, run_id: str) -> str:
    """Where a run's files lie on this machine."""
    uri = a.client.get_run(run_id).info.artifact_uri
    if uri.startswith("mlflow-artifacts:"):
        return f"{a.site.folder}/artifacts{uri.removeprefix('mlflow-artifacts:')}"
    return uri.removeprefix("kdgov-artifacts:")


def _experiment(a: Attack, location: str, name: str = "") -> None:
    made = a.client.create_experiment(name or f"mine-{uuid.uuid4().hex[:8]}", artifact_location=location)
    run = a.client.create_run(made)
    _put(a, run.info.run_id, "extra.json")


def _put(a: Attack, run_id: str, path: str, data: bytes = b"forged") -> None:
    """A file into a run's folder by the client."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.rpartition("/")[2]
        file.write_bytes(data)
        try:
            a.client.log_artifact(run_id, str(file), path.rpartition("/")[0] or None)
        except requests.exceptions.HTTPError as error:
            raise MlflowException(error.response.text, error_code=7) from error


def _upload(a: Attack, run_id: str, path: str) -> None:
    """MLflow's own upload beside the proxy."""
    if a.site.kind == "embedded":
        raise NotHereError("no server")
    address = f"{a.site.target.tracking_uri}/ajax-api/2.0/mlflow/upload-artifact"
    answer = requests.post(address, params={"run_uuid": run_id, "path": path}, data=b"forged", timeout=30)
    if answer.status_code == 403:
        raise MlflowException(answer.text, error_code=7)
    answer.raise_for_status()


def _served_only(a: Attack) -> None:
    if a.site.kind == "embedded":
        raise NotHereError("whoever runs the client owns the disk")


def _beside(a: Attack, role: str) -> str:
    """Run of the teacher or the student."""
    release = a.client.get_run(a.good.run_id)
    found = a.client.search_runs([release.info.experiment_id], f"tags.`kdgov-recording` = '{release.data.tags['kdgov-recording']}'")
    return next(run.info.run_id for run in found if run.data.tags["kdgov-role"] == role)


def _recording(a: Attack) -> str:
    return a.client.get_run(a.good.run_id).data.tags["kdgov-recording"]


def _new_run(a: Attack, **tags: str) -> str:
    return a.client.create_run(a.client.get_run(a.good.run_id).info.experiment_id, tags=tags).info.run_id


def _trace(a: Attack) -> None:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    experiment = a.client.get_run(a.good.run_id).info.experiment_id
    info = TraceInfo(
        trace_id=f"tr-{uuid.uuid4().hex}", trace_location=TraceLocation.from_experiment_id(experiment), request_time=1, state=TraceState.OK,
        trace_metadata={"mlflow.sourceRun": a.good.run_id},
    )  # fmt: skip
    a.client._tracing_client.start_trace(info)


def _logged_model(a: Attack) -> str:
    return a.client.get_model_version(a.good.name, str(a.good.version)).source.removeprefix("models:/")


def _attach_model(a: Attack) -> None:
    run = a.client.get_run(a.good.run_id)
    a.client.create_logged_model(run.info.experiment_id, name="extra", source_run_id=a.good.run_id)


def _scratch(a: Attack, guarded: str) -> None:
    """An unguarded name takes @champion and a verdict, then becomes a guarded one."""
    name = f"scratch-{uuid.uuid4().hex[:8]}"
    a.client.create_registered_model(name)
    version = a.client.get_model_version(a.good.name, str(a.good.version))
    made = a.client.create_model_version(name, source=version.source, run_id=version.run_id)
    a.client.set_model_version_tag(name, made.version, "kdgov.verdict", "PASS")
    a.client.set_registered_model_alias(name, "champion", made.version)
    a.client.rename_registered_model(name, guarded)


def _out_of_guard(a: Attack) -> None:
    name = f"plain-{uuid.uuid4().hex[:8]}"
    a.client.create_registered_model(name)
    a.client.rename_registered_model(name, f"scratch-{uuid.uuid4().hex[:8]}")


def _version_tag(a: Attack, key: str) -> None:
    a.client.set_model_version_tag(a.bad.name, str(a.bad.version), key, "PASS")


def _envelope(a: Attack) -> bytes:
    """A well-formed statement that nobody signed."""
    payload = base64.b64encode(json.dumps({"predicate": {"decision": "sha256:" + "0" * 64}}).encode()).decode()
    return json.dumps(
        {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "0" * 64, "sig": "AA=="}]}
    ).encode()


_INTO = (
    ("charts", "charts/extra.svg"),
    ("card", "card/extra.md"),
    ("signature", "signature/extra.sig"),
    ("a new folder", "notes/extra.txt"),
    ("the folder itself", "extra.txt"),
)

WITHOUT_KEY = (
    Way("an experiment located inside sealed evidence, `file:`", lambda a: _experiment(a, "file://" + _run_folder(a, a.good.run_id) + "/evidence")),
    Way("an experiment located inside sealed evidence, plain path", lambda a: _experiment(a, _run_folder(a, a.good.run_id) + "/evidence")),
    Way("an experiment located inside a recorded run's charts, through the write-once store", lambda a: _experiment(a, a.client.get_run(a.good.run_id).info.artifact_uri + "/charts")),
    Way("an experiment located around another's files", lambda a: _experiment(a, a.client.get_run(a.good.run_id).info.artifact_uri.rpartition("/")[0].rpartition("/")[0])),
    Way("an experiment located where all artifacts lie", lambda a: _experiment(a, f"file://{a.site.folder}/{'store/' if a.site.kind == 'embedded' else ''}artifacts")),
    Way("an experiment located below the store's keys", lambda a: _experiment(a, f"kdgov-artifacts:{a.site.target.store}/keys/x")),
    Way("an experiment located below the store's keys, `file:`", lambda a: _experiment(a, f"file://{a.site.target.store}/keys/x")),
    Way("an experiment located by a path that climbs (`..`)", lambda a: _experiment(a, f"kdgov-artifacts:{a.site.folder}/elsewhere/../store/keys")),
    Way("an experiment located by a path with escapes (`%2e`)", lambda a: _experiment(a, f"file://{a.site.folder}/elsewhere/%2e%2e/store/keys")),
    Way("an experiment located in a folder of the server's machine", lambda a: (_served_only(a), _experiment(a, f"file://{a.folder}/mine"))),
    Way("an experiment of recordings, made in advance with a place of its own", lambda a: (_served_only(a), _experiment(a, "s3://mallory/x", name=f"kdgov/taken-{uuid.uuid4().hex[:6]}"))),
    *(Way(f"add a file to a recorded run: {where}", lambda a, path=path: _put(a, a.good.run_id, path)) for where, path in _INTO),
    *(Way(f"add a file to a recorded run beside the proxy (upload-artifact): {where}", lambda a, path=path: _upload(a, a.good.run_id, path)) for where, path in _INTO[:2]),
    Way("add a file to a recorded run: attestation, an unsigned statement", lambda a: _put(a, a.good.run_id, "attestation/decision-000000000000.dsse.json", _envelope(a))),
    Way("add 100 kB of `[` as an attestation", lambda a: _put(a, a.good.run_id, "attestation/decision-000000000000.dsse.json", b"[" * 100_000)),
    Way("add a file to the teacher's run", lambda a: _put(a, _beside(a, "teacher"), "extra.txt")),
    Way("add a file to the student's run", lambda a: _put(a, _beside(a, "student"), "extra.txt")),
    Way("attach a trace to the evidence run", _trace),
    Way("attach a model to the evidence run", _attach_model),
    Way("let a new run pass for the teacher's of a recorded release", lambda a: _new_run(a, **{"kdgov-recording": _recording(a), "kdgov-role": "teacher"})),
    Way("let a run pass for the teacher's by a later tag", lambda a: a.client.set_tag(_new_run(a), "kdgov-recording", _recording(a))),
    Way("let a run pass for the teacher's by a batch", lambda a: a.client.log_batch(_new_run(a), tags=[RunTag("kdgov-recording", _recording(a))])),
    Way("create a run that is sealed from the start", lambda a: _new_run(a, **{"kdgov.sealed": "x"})),
    Way("rename the experiment of the evidence", lambda a: a.client.rename_experiment(a.client.get_run(a.good.run_id).info.experiment_id, f"x-{uuid.uuid4().hex[:6]}")),
    Way("describe the experiment of the evidence", lambda a: a.client.set_experiment_tag(a.client.get_run(a.good.run_id).info.experiment_id, "mlflow.note.content", "All is well.")),
    Way("tag the logged model behind a version", lambda a: a.client.set_logged_model_tags(_logged_model(a), {"team": "x"})),
    Way("create a logged model with a verdict", lambda a: a.client._tracking_client.store.create_logged_model("0", name="x", tags=[LoggedModelTag("kdgov.verdict", "PASS")])),
    Way("forge the verdict tag with a look-alike name (Cyrillic о)", lambda a: _version_tag(a, "kdgоv.verdict")),
    Way("forge the verdict tag with full-width letters", lambda a: _version_tag(a, "ｋｄｇｏｖ．verdict")),
    Way("change the tag that names the recording", lambda a: a.client.set_model_version_tag(a.bad.name, str(a.bad.version), "kdgov-recording", "sha256:0")),
    Way("delete the tag that names the recording", lambda a: a.client.delete_model_version_tag(a.good.name, str(a.good.version), "kdgov-recording")),
    Way("take @champion under an unguarded name, then rename to a guarded one", lambda a: _scratch(a, f"guarded-{uuid.uuid4().hex[:6]}")),
    Way("rename a guarded model to an unguarded name", _out_of_guard),
)  # fmt: skip


def squat(site: Any, path: str, data: bytes) -> Any:
    """Record a release while somebody puts a file into its run before the recorder does; returns the recorded version."""
    from kdgov.recording.recorder import Recorder

    plain, done = Recorder._upload, []

    def after_the_squatter(self: Recorder, run_id: str) -> None:
        if not done:
            done.append(run_id)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / path.rpartition("/")[2]
                file.write_bytes(data)
                self.client.log_artifact(run_id, str(file), path.rpartition("/")[0] or None)
        plain(self, run_id)

    Recorder._upload = after_the_squatter  # type: ignore[method-assign]
    try:
        return site.record()
    finally:
        Recorder._upload = plain  # type: ignore[method-assign]
