"""Facts that age, and a newer release of them that is taken over without a new kdgov."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdgov.errors import InputError
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import TrustStore, trusted_key
from kdgov.license import case_from_json, check
from kdgov.license.catalogue.fact_age import facts_due
from kdgov.license.catalogue.fact_release import DATA, VARIABLE, facts_folder
from kdgov.license.catalogue.facts import facts
from kdgov.pipeline.licensing.fact_updates import sign_facts, update_facts
from tests.command import kdgov

NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
ACME = """family: acme
licenses:
  - id: LicenseRef-Acme-9
    name: Acme License 9
    aliases: [acme-9]
    licensor: [Acme]
    kind: model
    source: acme.example 2026-11
    seen: 2026-11-30
    confidence: seen
    rules: [{uses: [any], verdict: deny, basis: explicit, clause: s9, says: Nothing is granted.}]
"""


class Keeper:
    """Somebody who keeps facts, a folder of them, and who trusts them."""

    def __init__(self, folder: Path) -> None:
        made = new_key(folder, "facts", passphrase=None)
        self.signer = load_signer(f"file:{made.private_path}")
        public = made.public_path.read_text()
        self.trust = TrustStore().with_key(trusted_key(public, name="facts", purposes=["policy"]))
        self.release = folder / "release"
        shutil.copytree(DATA, self.release)
        (self.release / "acme.yaml").write_text(ACME)

    def sign(self, version: str = "2026.12", at: datetime.datetime = NOW) -> None:
        sign_facts(self.release, [self.signer], version=version, at=at)


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "in-force"))
    facts.cache_clear()
    yield Keeper(tmp_path)
    monkeypatch.undo()
    facts.cache_clear()


def answer() -> str:
    return check(case_from_json({"uses": [{"use": "logits", "license": "acme-9"}]})).verdict


def test_a_signed_release_is_taken_over_and_decides(keeper: Keeper) -> None:
    assert answer() == "needs_review"
    keeper.sign()
    done = update_facts(keeper.release, keeper.trust, at=NOW)
    assert (done.version, done.signed_by) == ("2026.12", ("facts",))
    assert answer() == "deny"
    assert facts().digest == done.digest


@pytest.mark.slow
def test_what_is_not_trusted_changed_older_or_poorer_is_refused(keeper: Keeper) -> None:
    keeper.sign()
    with pytest.raises(InputError, match="not trusted"):
        update_facts(keeper.release, TrustStore(), at=NOW)
    (keeper.release / "acme.yaml").write_text(ACME.replace("deny", "allow"))
    with pytest.raises(InputError, match="not as it was signed"):
        update_facts(keeper.release, keeper.trust, at=NOW)
    (keeper.release / "acme.yaml").write_text(ACME)
    (keeper.release / "more.yaml").write_text("family: more\nlicenses: []\n")
    with pytest.raises(InputError, match=r"more\.yaml is not as it was signed"):
        update_facts(keeper.release, keeper.trust, at=NOW)
    (keeper.release / "more.yaml").unlink()
    update_facts(keeper.release, keeper.trust, at=NOW)
    keeper.sign("2026.11", at=NOW - datetime.timedelta(days=9))
    with pytest.raises(InputError, match="signed before the one in force"):
        update_facts(keeper.release, keeper.trust, at=NOW)
    (keeper.release / "yi.yaml").unlink()
    keeper.sign("2026.13")
    with pytest.raises(InputError, match="does not know"):
        update_facts(keeper.release, keeper.trust, at=NOW)


def test_a_release_changed_after_it_was_taken_over_is_refused(keeper: Keeper) -> None:
    keeper.sign()
    done = update_facts(keeper.release, keeper.trust, at=NOW)
    (done.place / "acme.yaml").write_text(ACME.replace("deny", "allow"))
    facts.cache_clear()
    with pytest.raises(InputError, match="not as it was signed"):
        facts_folder()


def test_old_superseded_and_undated_facts_are_told() -> None:
    due = facts_due(facts(), today=datetime.date(2026, 11, 27))
    kinds = {(one.kind, one.license) for one in due}
    assert ("superseded", "LicenseRef-scancode-openai-tou-20230314") in kinds
    assert ("undated", "LicenseRef-Groq-Terms") in kinds
    assert not any(one.kind == "old" for one in due)
    later = facts_due(facts(), today=datetime.date(2027, 11, 28))
    assert {one.license for one in later if one.kind == "old"} >= {"MIT", "known_ids.tsv"}


@pytest.mark.slow
def test_the_command_tells_what_is_due() -> None:
    result = kdgov("license", "facts", "--check", "--as-of", "2028-01-01")
    assert result.code == 0
    assert "old: MIT" in result.out
    assert kdgov("license", "facts", "--check", "--as-of", "soon").code == 2
