# ruff: noqa: E501 - one way per line reads as the table it is
"""Every known way around the guard, as data: what is tried, what becomes of it, and the table of docs/registry.md.

``python -m tests.guard.ways`` prints the table.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException

from kdgov.evidence.signing_keys import new_key
from kdgov.recording.release_recording import RecordedVersion
from kdgov.recording.verify import verify_version
from tests.guard.attack import NOW, Attack, NotHereError, Way
from tests.guard.ways_database import EDITS
from tests.guard.ways_with_key import WITH_KEY
from tests.guard.ways_without_key import WITHOUT_KEY


def _another_key(a: Attack) -> str:
    folder = a.folder / "mallory"
    if not (folder / "m.key").exists():
        new_key(folder, "m", passphrase=None)
    return f"file:{folder}/m.key"


def _recreate_and_replay(a: Attack) -> None:
    made = a.site.record("fail")
    envelope = a.decision(made)
    a.client.delete_registered_model(made.name)
    a.client.create_registered_model(made.name)
    version = a.client.get_model_version(a.good.name, str(a.good.version))
    a.client.create_model_version(made.name, source=version.source, run_id=version.run_id)
    a.submit(made, envelope)


def _replay_an_older_pass(a: Attack) -> None:
    made = a.site.record("fail")
    older = a.decision(made, at=NOW - datetime.timedelta(hours=2))
    a.submit(made, older)


def _expired(a: Attack) -> None:
    made = a.site.record()
    a.submit(
        made,
        a.decision(made, expires=NOW - datetime.timedelta(days=1), at=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)),
    )
    a.champion(made)


def _copy(a: Attack) -> None:
    copied = a.client.copy_model_version(f"models:/{a.good.name}/{a.good.version}", f"{a.good.name}-copy")
    assert "kdgov.decision" not in a.client.get_model_version(copied.name, copied.version).tags
    a.client.set_registered_model_alias(copied.name, "champion", copied.version)


def _same_files_as_new_model(a: Attack) -> None:
    version = a.client.get_model_version(a.good.name, str(a.good.version))
    name = f"{a.good.name}-again"
    a.client.create_registered_model(name)
    made = a.client.create_model_version(name, source=version.source, run_id=version.run_id)
    a.client.set_registered_model_alias(name, "champion", made.version)


def _prompt_entry(a: Attack, name: str) -> Any:
    """A prompt made past the client's own checks; returns the store, which has none."""
    store = a.client._get_registry_client().store
    store.create_registered_model(name, tags=[RegisteredModelTag("mlflow.prompt.is_prompt", "true")])
    return store


def _disguised_as_prompt(a: Attack) -> None:
    name = f"{a.good.name}-prompt"
    store = _prompt_entry(a, name)
    made = store.create_model_version(name, "s3://weights/bad", tags=[ModelVersionTag("mlflow.prompt.is_prompt", "true")])
    store.set_registered_model_alias(name, "champion", made.version)


def _model_under_prompt(a: Attack) -> None:
    name = f"{a.good.name}-mixed"
    _prompt_entry(a, name).create_model_version(name, "s3://weights/bad")


def _decided_fail_then_champion(a: Attack) -> None:
    made = a.site.record("fail")
    a.champion(made)


def _left_out(field: str) -> Callable[[Attack], None]:
    return lambda a: a.submit(a.bad, a.decision(a.bad, change=lambda p: p.pop(field)))


def _change_weights(a: Attack) -> None:
    made = a.site.record()
    file = a.site.weights_of(made) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    a.champion(made)


def _change_weights_of_champion(a: Attack) -> RecordedVersion:
    made = a.site.record()
    a.champion(made)
    file = a.site.weights_of(made) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    return made


def _write(a: Attack, run_id: str, path: str, text: str) -> None:
    file = a.folder / path.rpartition("/")[2]
    file.write_text(text)
    a.client.log_artifact(run_id, str(file), path.rpartition("/")[0] or None)


def _flask_or_async_put(a: Attack, path: str) -> None:
    if a.site.kind == "embedded":
        raise NotHereError("no server")
    experiment = a.client.get_run(a.good.run_id).info.experiment_id
    address = f"{a.site.target.tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{a.good.run_id}/artifacts/{path}"
    answer = requests.put(address, data=b"forged", timeout=30)
    if answer.status_code == 403:
        raise MlflowException(answer.text, error_code=7)
    answer.raise_for_status()


def _delete_artifact(a: Attack) -> None:
    if a.site.kind == "embedded":
        raise NotHereError("no server")
    experiment = a.client.get_run(a.good.run_id).info.experiment_id
    path = f"{experiment}/{a.good.run_id}/artifacts/evidence/decision.json"
    answer = requests.delete(f"{a.site.target.tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{path}", timeout=30)
    if answer.status_code == 403:
        raise MlflowException(answer.text, error_code=7)
    answer.raise_for_status()


def _logged_model(a: Attack) -> str:
    return a.client.get_model_version(a.good.name, str(a.good.version)).source.removeprefix("models:/")


def _file_into_the_model(a: Attack) -> None:
    extra = a.folder / "extra.bin"
    extra.write_bytes(b"x")
    try:
        a.client.log_model_artifact(_logged_model(a), str(extra))
    except requests.exceptions.HTTPError as error:
        raise MlflowException(error.response.text, error_code=7) from error


def _metric_through_another_run(a: Attack) -> None:
    run = a.client.create_run(a.client.get_run(a.good.run_id).info.experiment_id)
    a.client.log_metric(run.info.run_id, "acc", 1.0, model_id=_logged_model(a))


def _revoked_then_champion(a: Attack) -> None:
    from kdgov.recording.promotion import revoke

    made = a.site.record()
    revoke(made.name, made.version, a.site.target, reason="found harmful")
    a.champion(made)


def _plain_client(a: Attack) -> RecordedVersion:
    """Another client straight on the database, without the guard."""
    made = a.site.record("fail")
    MlflowClient(a.site.database, a.site.database).set_registered_model_alias(made.name, "champion", str(made.version))
    return made


def _plain_client_tags(a: Attack) -> RecordedVersion:
    made = a.site.record("fail")
    MlflowClient(a.site.database, a.site.database).set_model_version_tag(made.name, str(made.version), "kdgov.verdict", "PASS")
    return made


def _plain_client_metrics(a: Attack) -> RecordedVersion:
    made = a.site.record()
    plain = MlflowClient(a.site.database, a.site.database)
    key = sorted(plain.get_run(made.run_id).data.metrics)[0]
    plain.log_metric(made.run_id, key, 0.999, step=1)
    return made


def _plain_client_card(a: Attack) -> RecordedVersion:
    made = a.site.record()
    MlflowClient(a.site.database, a.site.database).update_model_version(made.name, str(made.version), "All is well.")
    return made


def _demote(a: Attack) -> RecordedVersion:
    made = a.site.record()
    a.champion(made)
    a.client.delete_registered_model_alias(made.name, "champion")
    return made


def _set(a: Attack, alias: str) -> None:
    a.client.set_registered_model_alias(a.bad.name, alias, str(a.bad.version))


def _mv(a: Attack) -> dict[str, str]:
    return {"name": a.bad.name, "version": str(a.bad.version)}


V2 = "api/2.0/mlflow"
AJAX = "ajax-api/2.0/mlflow"

WAYS = (
    Way("@champion on a blocked version, Python client", lambda a: a.champion(a.bad)),
    Way("@champion on a blocked version, REST", lambda a: a.rest(f"{V2}/registered-models/alias", alias="champion", **_mv(a))),
    Way("@champion on a blocked version, the web page's own call", lambda a: a.rest(f"{AJAX}/registered-models/alias", alias="champion", **_mv(a))),
    Way("stage Production, Python client", lambda a: a.client.transition_model_version_stage(a.bad.name, str(a.bad.version), "Production")),
    Way("stage Production, REST, other case", lambda a: a.rest(f"{V2}/model-versions/transition-stage", stage="pRODUCTION", archive_existing_versions=False, **_mv(a))),
    Way("look-alike alias (Cyrillic с)", lambda a: _set(a, "сhampion")),
    Way("alias in another case", lambda a: _set(a, "Champion")),
    Way("alias with a trailing newline", lambda a: _set(a, "champion\n")),
    Way("any alias that is not declared free", lambda a: _set(a, "production")),
    Way("forge the verdict tag, Python client", lambda a: a.client.set_model_version_tag(a.bad.name, str(a.bad.version), "kdgov.verdict", "PASS")),
    Way("forge the verdict tag, REST", lambda a: a.rest(f"{V2}/model-versions/set-tag", key="kdgov.verdict", value="PASS", **_mv(a))),
    Way("forge it under another case", lambda a: a.client.set_model_version_tag(a.bad.name, str(a.bad.version), "KDGOV.verdict", "PASS")),
    Way("forge it when a version is created", lambda a: a.client.create_model_version(a.bad.name, "s3://b/k", tags={"kdgov.verdict": "PASS"})),
    Way("forge it when a model is created", lambda a: a.client.create_registered_model(f"{a.bad.name}-x", tags={"kdgov.verdict": "PASS"})),
    Way("forge it on the model", lambda a: a.client.set_registered_model_tag(a.bad.name, "kdgov.verdict", "PASS")),
    Way("forge it on the logged model", lambda a: a.client.set_logged_model_tags(_logged_model(a), {"kdgov.verdict": "PASS"})),
    Way("delete the decision tag", lambda a: a.client.delete_model_version_tag(a.good.name, str(a.good.version), "kdgov.decision")),
    Way("a decision by another key", lambda a: a.submit(a.bad, a.decision(a.bad, key=_another_key(a)))),
    Way("a decision about another version", lambda a: a.submit(a.bad, a.decision(a.good))),
    Way("a decision with an edited payload", lambda a: a.submit(a.bad, a.decision(a.bad).replace('"payload": "ey', '"payload": "fy'))),
    Way("a decision that leaves out the source", _left_out("source")),
    Way("a decision that leaves out the creation time", _left_out("creation_timestamp")),
    Way("a decision that leaves out the workspace", _left_out("workspace")),
    Way("a decision that leaves out the weights", _left_out("weights")),
    Way("a decision that leaves out its expiry", _left_out("expires")),
    Way("a decision that leaves out the policy", _left_out("policy")),
    Way("an expired decision", _expired),
    Way("a decision dated in the future", lambda a: a.submit(a.bad, a.decision(a.bad, at=NOW + datetime.timedelta(hours=1)))),
    Way("a decision whose tags lie outside kdgov.", lambda a: a.submit(a.bad, a.decision(a.bad, change=lambda p: p["tags"].update({"team": "x"})))),
    Way("a decision with a tag longer than the registry keeps", lambda a: a.submit(a.bad, a.decision(a.bad, change=lambda p: p["tags"].update({"kdgov.x": "y" * 100_001})))),
    Way("a validly signed fail", _decided_fail_then_champion),
    Way("a signed pass whose evidence is not in the registry", lambda a: (a.submit(a.bad, a.decision(a.bad)), a.champion(a.bad))),
    Way("delete the model, create it again, replay the decision", _recreate_and_replay),
    Way("submit an older pass after a later fail", _replay_an_older_pass),
    Way("copy a promoted version to another model, then @champion there", _copy),
    Way("register the same files as a new model, then @champion", _same_files_as_new_model),
    Way("disguise a model as a prompt", _disguised_as_prompt),
    Way("register a model version under a prompt", _model_under_prompt),
    Way("turn a model into a prompt", lambda a: a.client.set_registered_model_tag(a.bad.name, "mlflow.prompt.is_prompt", "true")),
    Way("change the weights after the decision, then @champion", _change_weights),
    Way("@champion on a revoked version", _revoked_then_champion),
    Way("rename a promoted model", lambda a: a.client.rename_registered_model(a.good.name, "other-name")),
    Way("delete a promoted model", lambda a: a.client.delete_registered_model(a.good.name)),
    Way("delete a promoted version", lambda a: a.client.delete_model_version(a.good.name, str(a.good.version))),
    Way("edit the card (description) of a decided version", lambda a: a.client.update_model_version(a.bad.name, str(a.bad.version), "All is well.")),
    Way("rewrite a metric of the evidence run", lambda a: a.client.log_metric(a.good.run_id, "acc", 1.0)),
    Way("rewrite metrics in a batch", lambda a: a.client.log_batch(a.good.run_id, metrics=[Metric("acc", 1.0, 0, 0)])),
    Way("add a param to the evidence run", lambda a: a.client.log_param(a.good.run_id, "x", "y")),
    Way("tag the evidence run", lambda a: a.client.set_tag(a.good.run_id, "mlflow.note.content", "All is well.")),
    Way("unseal the evidence run", lambda a: a.client.delete_tag(a.good.run_id, "kdgov.sealed")),
    Way("rename or reopen the evidence run", lambda a: a.client.update_run(a.good.run_id, status="RUNNING", name="x")),
    Way("add a dataset to the evidence run", lambda a: a.client.log_inputs(a.good.run_id, datasets=[DatasetInput(Dataset("d", "1", "local", "x"))])),
    Way("delete the evidence run", lambda a: a.client.delete_run(a.good.run_id)),
    Way("delete the experiment of the evidence", lambda a: a.client.delete_experiment(a.client.get_run(a.good.run_id).info.experiment_id)),
    Way("delete the logged model behind a version", lambda a: a.client.delete_logged_model(_logged_model(a))),
    Way("log a metric to the logged model through another run", _metric_through_another_run),
    Way("overwrite evidence, Python client", lambda a: _write(a, a.good.run_id, "evidence/decision.json", "{}")),
    Way("overwrite evidence, raw HTTP upload", lambda a: _flask_or_async_put(a, "evidence/decision.json")),
    Way("overwrite the card artifact", lambda a: _write(a, a.good.run_id, "card/card.md", "All is well.")),
    Way("add a file to sealed evidence", lambda a: _write(a, a.good.run_id, "evidence/extra.json", "{}")),
    Way("add a file to sealed evidence, raw HTTP upload", lambda a: _flask_or_async_put(a, "evidence/extra.json")),
    Way("delete evidence, raw HTTP", _delete_artifact),
    Way("add a file to the logged model behind a version", _file_into_the_model),
    Way("change the champion's weights where they lie", _change_weights_of_champion, "detected"),
    Way("plain client on the same database: @champion", _plain_client, "detected"),
    Way("plain client on the same database: verdict tag", _plain_client_tags, "detected"),
    Way("plain client on the same database: a metric", _plain_client_metrics, "detected"),
    Way("plain client on the same database: the card", _plain_client_card, "detected"),
    *WITH_KEY,
    *WITHOUT_KEY,
    Way("take @champion away (a demotion)", _demote, "logged"),
)  # fmt: skip


def detected(a: Attack, made: RecordedVersion) -> bool:
    """Whether verify names what was done, or refuses the version anyway."""
    return not verify_version(made.name, made.version, a.site.target).holds


def table() -> str:
    """The Markdown table of docs/registry.md."""
    words = {
        "refused": "refused",
        "detected": "not stopped; `kdgov verify`, `kdgov.load_model` and `kdgov audit` name it",
        "logged": "allowed (errs on the safe side), in the log",
    }
    rows = [f"| {way.attempt} | {words[way.expected]} |" for way in WAYS]
    edited = {"named": "not stopped; `kdgov audit` names it", "not covered": "not stopped and not named (docs/audit.md says why)"}
    rows += [f"| the database's owner edits it: {edit.what} | {edited[edit.expected]} |" for edit in EDITS]
    return "\n".join(["| attempt | what becomes of it |", "|---|---|", *rows])


if __name__ == "__main__":
    print(table())  # noqa: T201 - the command's answer
