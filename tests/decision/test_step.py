"""The gate step seals a bundle from which the very same decision can be made again, and notices whatever was changed in it."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import pytest

from kdgov.declarations.policy_file import load_policy
from kdgov.digest import digest_bytes, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle import compare_bundle
from kdgov.evidence.bundle_layout import LAYOUT, described
from kdgov.evidence.rejudge import rejudge
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.items import ItemTable, write_items
from kdgov.pipeline.finished_work.store import RESULT
from tests.decision.conftest import POLICY, gated, made


def test_the_bundle_holds_what_the_architecture_promises(release):
    finished = gated(release)
    names = {p.relative_to(finished.folder).as_posix() for p in finished.folder.rglob("*") if p.is_file()}
    promised = {file.path for file in LAYOUT if file.is_required}
    assert promised <= names
    assert [name for name in names - {RESULT} if described(name) is None] == []
    assert finished.facts["verdict"] == "pass"
    sealed = (finished.folder / "decision.json").read_bytes()
    assert finished.facts["decision"] == digest_bytes(sealed)
    document = json.loads(sealed)
    assert document["digests"]["input/data.jsonl"] == "sha256:" + "d" * 64
    assert document["digests"]["teacher_weights"] == digest_bytes(b"teacher")
    assert not compare_bundle(finished.folder)


def test_a_second_run_reuses_the_decision(release):
    first, second = gated(release), gated(release)
    assert (first.key, second.reused) == (second.key, True)


def test_asking_for_a_finished_decision_writes_nothing(release):
    def tree() -> list[tuple]:
        return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_ino) for p in release.store.root.rglob("*"))

    gated(release)
    before = tree()
    assert gated(release).reused
    assert tree() == before


def test_the_bundle_alone_gives_the_same_decision_again(release):
    finished = gated(release)
    decision, _ = rejudge(finished.folder, load_trust(trust_path()))
    assert decision.canonical == (finished.folder / "decision.json").read_bytes()


def test_a_changed_score_gives_another_decision(release, tmp_path):
    finished = gated(release)
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy)
    rows = ItemTable.from_rows([{**r, "score": 0.0} if r["item_id"] == "i0" else r for r in _read(copy / "student" / "items.parquet")])
    write_items(rows, copy / "student" / "items.parquet")
    decision, _ = rejudge(copy, load_trust(trust_path()))
    assert decision.canonical != (copy / "decision.json").read_bytes()
    assert decision.digests["student_items"] != json.loads((copy / "decision.json").read_bytes())["digests"]["student_items"]


def _read(path: Path) -> list[dict]:
    from kdgov.items import read_items

    return read_items(path).to_rows()


def test_timings_change_no_digest(release, tmp_path):
    finished = gated(release)
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy)
    inputs = json.loads((copy / "inputs.json").read_bytes())
    inputs["measurements"]["student"]["latency_p50_ms"] = 5.7
    write_atomic(copy / "inputs.json", json.dumps(inputs).encode())
    assert rejudge(copy, load_trust(trust_path()))[0].digest == finished.facts["decision"]


def test_a_policy_that_came_after_the_results_is_named(release, tmp_path):
    before = gated(release)
    (tmp_path / "policy.yaml").write_text(POLICY.replace("0.05", "0.20"))
    after = gated(release)
    rules = [f["rule"] for f in json.loads((after.folder / "decision.json").read_bytes())["findings"]]
    assert before.facts["policy"] != after.facts["policy"] == load_policy(tmp_path / "policy.yaml").digest
    assert "evidence.policy-newer" in rules


def test_a_second_student_on_the_same_items_is_counted_and_the_bundle_remembers_it(release):
    """Other results under the same plan and policy are a second look; the first ones judged again are still the first."""

    def looks(folder: Path) -> list[int]:
        findings = json.loads((folder / "decision.json").read_bytes())["findings"]
        return [f["details"]["looks"] for f in findings if f["rule"] == "evidence.looks"]

    first = gated(release)
    again = made(release).evaluated.folder / "student" / "items.parquet"
    rows = [{**row, "score": 0.0} if row["item_id"] == "i1" else row for row in _read(again)]
    kept = again.read_bytes()
    write_items(ItemTable.from_rows(rows), again)
    second = gated(release)
    assert (looks(first.folder), looks(second.folder)) == ([], [2])
    assert rejudge(second.folder, load_trust(trust_path()))[0].digest == second.facts["decision"]
    again.write_bytes(kept)
    assert gated(release).facts["decision"] == first.facts["decision"]


def test_a_waiver_in_the_store_lifts_its_own_decision_and_touches_no_other(release, tmp_path):
    """Signed with a real key, found by the step, carried in the bundle, and counted again from it."""
    from kdgov.evidence.permission_files import read_decision, sign_waiver, write_envelope
    from kdgov.evidence.signing_keys import keyid_of, new_key
    from kdgov.evidence.trust_store import TrustedKey, TrustStore, save_trust

    passing = gated(release).facts["decision"]
    key = new_key(tmp_path, "risk", passphrase=None)
    public = key.public_path.read_text()
    save_trust(
        tmp_path / "trust.json", TrustStore(keys=[TrustedKey(keyid=keyid_of(public), name="risk", public=public, purposes=["waiver"])])
    )
    (tmp_path / "policy.yaml").write_text(POLICY.replace("max_ratio: 0.6", "max_ratio: 0.1"))
    failing = gated(release)
    assert failing.facts["verdict"] == "fail"
    decision = read_decision(failing.folder / "decision.json")
    soon = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=20)).isoformat()
    signed = sign_waiver(decision, criterion="small", place="", owner="risk", reason="known", expires=soon, key=f"file:{key.private_path}")
    write_envelope(signed, None, release.store.root / "statements")
    waived = gated(release)
    assert waived.facts["verdict"] == "pass"
    assert rejudge(waived.folder, load_trust(trust_path()))[0].digest == waived.facts["decision"]
    (tmp_path / "policy.yaml").write_text(POLICY)
    assert gated(release).facts["decision"] == passing


def test_a_folder_that_is_no_bundle_is_an_input_fault(tmp_path):
    with pytest.raises(InputError, match="not an evidence bundle"):
        rejudge(tmp_path, load_trust(trust_path()))
