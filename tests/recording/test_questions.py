"""A risk team's usual questions: each line of the table in docs/registry.md is asked of a real registry, in both ways."""

from __future__ import annotations

import datetime
import re

import pytest

from kdgov.auditing.registry.registry_page import registry_page
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.permission_files import sign_waiver, write_envelope
from kdgov.evidence.registry_query import asked
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import load_trust, save_trust, trust_path, trusted_key
from kdgov.recording.client.signers import signing_for
from kdgov.recording.promotion import revoke
from kdgov.recording.release_recording import record_release
from tests.recording.evidence_bundle import bundle, checkpoint

NAME = "asked"
TODAY = datetime.datetime.now(datetime.UTC).date()


def _waiver(site, folder, expires: datetime.date):
    """Signs a waiver of the lost capability with a key that the registry trusts for that."""
    signing_for(site.target.store)
    path = trust_path(site.target.store)
    if not (folder / "risk.key").exists():
        key = new_key(folder, "risk", passphrase=None)
        save_trust(path, load_trust(path).with_key(trusted_key(key.public_path.read_text(), name="risk", purposes=["waiver"])))

    def speak(decision):
        words = {"criterion": "capability-retained", "place": "", "owner": "Ada", "reason": "known", "expires": expires.isoformat()}
        return [write_envelope(sign_waiver(decision, **words, key=f"file:{folder}/risk.key"), None, folder / "statements")]

    return {"speak": speak, "trust": path, "lost": 40}


def _december() -> datetime.date:
    return datetime.date(TODAY.year + (TODAY.month == 12), 12, 31)


@pytest.fixture(scope="module")
def versions(embedded, tmp_path_factory):
    """What each version is → its number."""
    made = {}
    for number, kind in enumerate(("plain", "blocked", "soon", "december", "shared", "revoked", "leaky")):
        folder = tmp_path_factory.mktemp(kind)
        weights = checkpoint(folder / "weights", seed=100 + number)
        verdict = "fail" if kind in ("blocked", "leaky") else "pass"
        waived = {}
        if kind in ("soon", "december"):
            waived = _waiver(embedded, folder, TODAY + datetime.timedelta(days=30) if kind == "soon" else _december())
        suite = "privacy" if kind == "leaky" else "safety"
        evidence = bundle(folder / "bundle", name=NAME, weights=weights, verdict=verdict, seed=100 + number, safety=suite, **waived)
        card = evidence / "cards" / "support.yaml"
        if kind != "plain":
            card.write_text(card.read_text().replace("Llama-3.1-70B", "Apertus-70B"))
        if kind == "shared":
            card.write_text(card.read_text().replace("CC-BY-4.0", "CC-BY-SA-4.0"))
        write_manifest(evidence)
        made[kind] = record_release(evidence, embedded.target, weights=weights).version
    revoke(NAME, made["revoked"], embedded.target, reason="leaks")
    with embedded.client() as client:
        made["unjudged"] = int(client.create_model_version(NAME, "s3://b/k").version)
    return made


def questions(root) -> dict[str, str]:
    """Question → filter, as the documentation has them, with its example days made today's."""
    rows = re.findall(r"^\| ([^|]+\?) \| ``(.+?)`` \|$", (root / "docs" / "registry.md").read_text(), re.MULTILINE)
    days = {"2026-11-22": TODAY.isoformat(), "2026-11%": f"{TODAY:%Y-%m}%", "2026-12%": f"{_december():%Y-%m}%"}
    return {question: re.sub("|".join(map(re.escape, days)), lambda m: days[m.group()], text) for question, text in rows}


EXPECTED = {
    "blocked this month": {"blocked", "leaky"},
    "Llama outputs": {"plain"},
    "within 30 days": {"soon"} | ({"december"} if (_december() - TODAY).days <= 30 else set()),
    "end in December": {"december"} | ({"soon"} if (TODAY + datetime.timedelta(days=30)).month == 12 else set()),
    "no bias suite": {"plain", "blocked", "soon", "december", "shared", "revoked", "leaky"},
    "failed its safety": {"blocked"},
    "never judged": {"unjudged"},
    "was revoked": {"revoked"},
    "share-alike": {"shared"},
    "under this policy": {"plain", "blocked", "soon", "december", "shared", "revoked", "leaky"},
    "blocked by privacy": {"leaky"},
}


@pytest.mark.parametrize("words", EXPECTED)
def test_a_usual_question_is_one_filter(versions, embedded, project_root, words):
    (text,) = [text for question, text in questions(project_root).items() if words in question]
    wanted = {versions[kind] for kind in EXPECTED[words]}
    shown = registry_page(embedded.target, asked(tag_filter=text, limit=1000))
    assert {row.version for row in shown.rows if row.name == NAME} == wanted
    with embedded.client() as client:
        found = client.search_model_versions(text, max_results=1000)
        assert {int(v.version) for v in found if v.name == NAME} == wanted


def test_every_documented_question_is_asked(project_root):
    assert len(questions(project_root)) == len(EXPECTED)
