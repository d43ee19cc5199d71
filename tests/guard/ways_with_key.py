# ruff: noqa: E501 - one way per line reads as the table it is
"""What somebody tries who holds a key for decisions, or the model's folder: the guard derives the verdict, and the whole model is what was judged."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.derivation.evaluation_statement import sign_evaluation
from kdgov.evidence.permission_files import sign_approval, sign_waiver, write_envelope
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import TrustStore, load_trust, save_trust, trust_path, trusted_key
from kdgov.items.files import write_items
from kdgov.recording.release_recording import RecordedVersion, record_release
from tests.guard.attack import NOW, Attack, Way
from tests.recording.evidence_bundle import POLICY, Speak, answers, bundle, checkpoint

LAX = POLICY.replace(b"margin: 0.05", b"margin: 0.5").replace(b"name: default", b"name: lax")
APPROVED = POLICY + b"approvals: [risk]\n"


def _bundle(a: Attack, number: int = 0, **how: Any) -> tuple[Path, Path]:
    """A bundle and the checkpoint it judged."""
    weights = checkpoint(a.folder / f"weights-{number}", seed=abs(hash(a.folder)) % 10_000 + number)
    return bundle(a.folder / f"bundle-{number}", weights=weights, **{"name": f"forged-{a.folder.name}", **how}), weights


def _record(a: Attack, made: tuple[Path, Path]) -> RecordedVersion:
    """Record it as the honest client does, with the registry's own decision key."""
    return record_release(made[0], a.site.target, weights=made[1])


def _promoted(a: Attack, recorded: RecordedVersion) -> RecordedVersion:
    a.champion(recorded)
    return recorded


def _pass_over_a_fail(a: Attack) -> None:
    made = a.site.record("fail")
    a.submit(made, a.decision(made))


def _sealed_decision_says_pass(a: Attack) -> None:
    """A decision.json that says pass over item tables that say fail, everything sealed and signed anew."""
    folder, weights = _bundle(a, verdict="fail")
    document = json.loads((folder / "decision.json").read_bytes())
    good, _ = _bundle(a, 1)
    (folder / "decision.json").write_bytes((good / "decision.json").read_bytes())
    assert document["verdict"] == "fail"
    write_manifest(folder)
    _promoted(a, _record(a, (folder, weights)))


def _lax_policy(a: Attack) -> None:
    """Judged with a margin of 50 points; the statement names the policy that the owner allows."""
    made = _record(a, _bundle(a, verdict="pass", lost=40, policy=LAX.replace(b"margin: 0.02", b"margin: 0.5")))
    honest = a.honest(a.good)["predicate"]["policy"]
    a.submit(made, a.decision(made, change=lambda p: p.update(policy=honest)))


def _signed_by(a: Attack, keys: dict[str, str], *, roles: dict[str, str] | None = None) -> tuple[TrustStore, Path]:
    """Keys with purposes that a trust store of the gate's own lists, and the file of that store."""
    listed = TrustStore()
    for name, purpose in keys.items():
        key = new_key(a.folder / "keys", name, passphrase=None)
        role = [roles[name]] if roles and name in roles else []
        listed = listed.with_key(trusted_key(key.public_path.read_text(), name=name, purposes=[purpose], roles=role))
    save_trust(a.folder / "gate-trust.json", listed)
    return listed, a.folder / "gate-trust.json"


def _waive(a: Attack, key: str) -> Speak:
    words = {"criterion": "capability-retained", "place": "", "owner": "Ada", "reason": "known", "expires": f"{NOW.year + 1}-01-15"}

    def speak(decision):
        return [write_envelope(sign_waiver(decision, **words, key=f"file:{key}"), None, a.folder / "said")]

    return speak


def _approve(a: Attack, key: str) -> Speak:
    def speak(decision):
        return [write_envelope(sign_approval(decision, role="risk", by="Ada", note="", key=f"file:{key}"), None, a.folder / "said")]

    return speak


def _stranger_waives(a: Attack) -> None:
    """The gate ran with a trust store of its own, in which the waiver's key counts."""
    _, trust = _signed_by(a, {"stranger": "waiver"})
    _record(a, _bundle(a, lost=40, speak=_waive(a, f"{a.folder}/keys/stranger.key"), trust=trust))


def _stranger_approves(a: Attack) -> None:
    _, trust = _signed_by(a, {"stranger": "approval"}, roles={"stranger": "risk"})
    _record(a, _bundle(a, policy=APPROVED, speak=_approve(a, f"{a.folder}/keys/stranger.key"), trust=trust))


def _with_server_trust(a: Attack, change: Callable[[TrustStore], TrustStore], act: Callable[[], object]) -> None:
    """Do something while the registry's owner trusts otherwise."""
    path = trust_path(a.site.target.store)
    before = path.read_bytes()
    try:
        save_trust(path, change(load_trust(path)))
        act()
    finally:
        path.write_bytes(before)


def _own_statement(a: Attack, kind: str) -> None:
    """Whoever signs the decision also waives or approves it; every key is listed for all of that."""
    own = a.site.target.store / "keys" / "project.key"

    def all_purposes(trust: TrustStore) -> TrustStore:
        key = trust.keys[0].model_copy(
            update={"purposes": ["decision", "evaluation", "act", "policy", "waiver", "approval"], "roles": ["risk"]}
        )
        return trust.with_key(key)

    def act() -> None:
        trust = trust_path(a.site.target.store)
        if kind == "waiver":
            made = _bundle(a, lost=40, speak=_waive(a, str(own)), trust=trust)
        else:
            made = _bundle(a, policy=APPROVED, speak=_approve(a, str(own)), trust=trust)
        _promoted(a, _record(a, made))

    _with_server_trust(a, all_purposes, act)


def _without_role(a: Attack) -> None:
    """The approver's key is trusted for approvals, and no role is named for it."""
    key = new_key(a.folder / "keys", "quiet", passphrase=None)
    public = key.public_path.read_text()
    _, gate_trust = _signed_by(a, {})
    gate = TrustStore().with_key(trusted_key(public, name="quiet", purposes=["approval"], roles=["risk"]))
    save_trust(gate_trust, gate)
    made = _bundle(a, policy=APPROVED, speak=_approve(a, str(key.private_path)), trust=gate_trust)
    listed = trusted_key(public, name="quiet", purposes=["approval"])
    _with_server_trust(a, lambda trust: trust.with_key(listed), lambda: _promoted(a, _record(a, made)))


def _other_weights(a: Attack) -> None:
    """Evidence of one student, recorded with the folder of another."""
    folder, _ = _bundle(a)
    other = checkpoint(a.folder / "other", seed=77)
    _promoted(a, record_release(folder, a.site.target, weights=other))


def _other_weights_named(a: Attack) -> None:
    """The statement names the digests of the other student too."""
    from kdgov.checkpoints.identity import model_identity

    made = _record(a, _bundle(a))
    other = model_identity(checkpoint(a.folder / "other", seed=78))
    forged = {
        "weights": other.weights,
        "model": other.model,
        "model_files": dict(other.files),
        "weights_uri": (a.folder / "other").as_uri(),
    }
    a.submit(made, a.decision(made, change=lambda p: p.update(forged)))


def _other_name(a: Attack) -> None:
    """A version of another model made by hand over the good one's run."""
    name = f"bank-{a.folder.name}"
    version = a.client.get_model_version(a.good.name, str(a.good.version))
    a.client.create_registered_model(name)
    made = a.client.create_model_version(name, source=version.source, run_id=version.run_id)
    statement = a.honest(a.good)
    statement["predicate"] |= {"name": name, "version": int(made.version), "creation_timestamp": int(made.creation_timestamp)}
    a.submit(_named(a.good, name, int(made.version)), a.signed(statement))


def _named(recorded: RecordedVersion, name: str, version: int) -> RecordedVersion:
    import dataclasses

    return dataclasses.replace(recorded, name=name, version=version)


def _invented_tables(a: Attack) -> None:
    """The evaluation was signed; then better tables were written and everything but that signature made anew."""
    folder, weights = _bundle(a, verdict="fail")
    signer = load_signer(f"file:{a.site.target.store}/keys/project.key")
    for role in ("teacher", "student"):
        sign_evaluation(folder / role, [signer], at=NOW)
    signatures = {role: (folder / role / "evaluation.dsse.json").read_bytes() for role in ("teacher", "student")}
    folder, weights = _bundle(a, verdict="pass")
    write_items(answers()[1], folder / "student" / "items.parquet")
    for role, data in signatures.items():
        (folder / role / "evaluation.dsse.json").write_bytes(data)
    write_manifest(folder)
    _promoted(a, _record(a, (folder, weights)))


def _two_plans(a: Attack) -> None:
    """Teacher and student answered two plans."""
    folder, weights = _bundle(a)
    evidence = folder / "student" / "evidence.json"
    evidence.write_bytes(evidence.read_bytes().replace(json.loads(evidence.read_bytes())["plan"].encode(), b"sha256:" + b"7" * 64))
    write_manifest(folder)
    _promoted(a, _record(a, (folder, weights)))


def _mapped(a: Attack) -> None:
    """The file was mapped into memory before; no time and no size tells of the change."""
    made = a.site.record()
    a.champion(made)
    a.client.delete_registered_model_alias(made.name, "champion")
    file = a.site.weights_of(made) / "model.safetensors"
    before = file.stat()
    with file.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[-1] ^= 1
        mapped.flush()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    a.champion(made)


def _after_the_decision(name: str, data: bytes | None) -> Callable[[Attack], object]:
    def act(a: Attack) -> None:
        made = a.site.record()
        file = a.site.weights_of(made) / name
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
        a.champion(made)

    return act


WITH_KEY = (
    Way("a signed pass over a decision that says fail", _pass_over_a_fail),
    Way("a decision that says pass over tables that say fail", _sealed_decision_says_pass),
    Way("judged by a policy with a margin of 50 points, signed as another policy", _lax_policy),
    Way("a waiver by a key that the registry does not know", _stranger_waives),
    Way("an approval by a key that the registry does not know", _stranger_approves),
    Way("a waiver by whoever signed the decision", lambda a: _own_statement(a, "waiver")),
    Way("an approval by whoever signed the decision", lambda a: _own_statement(a, "approval")),
    Way("an approval by a key without a role", _without_role),
    Way("evidence of one student, weights of another", _other_weights),
    Way("evidence of one student, a statement that names another", _other_weights_named),
    Way("evidence of one model, recorded as another", _other_name),
    Way("item tables that are not those the evaluation signed", _invented_tables),
    Way("teacher and student answered two plans", _two_plans),
    Way("weights changed through a memory map, times kept, then @champion", _mapped),
    Way("another chat template after the decision", _after_the_decision("chat_template.jinja", b"{{ 1 }}")),
    Way("another tokenizer after the decision", _after_the_decision("tokenizer.json", b"{}")),
    Way("another temperature after the decision", _after_the_decision("generation_config.json", b'{"temperature": 50.0}')),
    Way("an auto_map entry after the decision", _after_the_decision("config.json", b'{"architectures": ["TinyForCausalLM"], "num_hidden_layers": 1, "auto_map": {"AutoModel": "x.Y"}}')),
    Way("code beside the weights after the decision", _after_the_decision("modeling_x.py", b"import os")),
    Way("a stray pytorch_model.bin after the decision", _after_the_decision("pytorch_model.bin", b"\x80\x04.")),
    Way("an adapter beside the weights after the decision", _after_the_decision("adapter_config.json", b"{}")),
)  # fmt: skip
