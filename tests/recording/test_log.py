"""The log as a client reads it: one version's acts without the rest, and only what is new since it was last found whole."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.recording.client.read_log import check_log, log_of, memory_of, read_log
from kdgov.recording.promotion import promote
from kdgov.recording.verify import verify_version


@pytest.fixture
def acted(embedded, tmp_path):
    """Two promoted versions of one model; client, trust store and an empty memory."""
    name = f"acted-{tmp_path.name}"
    versions = [embedded.record(name=name) for _ in range(2)]
    for recorded in versions:
        assert promote(name, recorded.version, embedded.target).done
    with embedded.client() as client:
        yield client, load_trust(trust_path(embedded.target.store)), tmp_path / "memory.json", versions


def test_the_acts_on_a_version_are_those_of_the_whole_log(acted):
    client, _, _, (first, second) = acted
    everything = read_log(client)
    for version in (first.version, second.version):
        assert log_of(client, first.name, version) == [e for e in everything if (e.name, e.version) == (first.name, version)]
    assert log_of(client, first.name) == [e for e in everything if e.name == first.name]
    assert log_of(client, "nobody") == []


def test_a_verified_log_is_read_on_from_where_it_was_left(acted, embedded, monkeypatch):
    client, trust, memory, _ = acted
    whole = check_log(client, trust, memory=memory)
    assert whole.faults == ()
    assert json.loads(memory.read_bytes())["seq"] == whole.entries
    embedded.record()
    asked, search = [], type(client).search_registered_models

    def heard(self, text, **more):
        asked.append(text)
        return search(self, text, **more)

    monkeypatch.setattr(type(client), "search_registered_models", heard)
    again = check_log(client, trust, memory=memory)
    assert (again.entries, again.faults) == (whole.entries + 1, ())
    assert asked == [f"kdgov.log > {whole.entries - 1}"]


def test_a_log_cut_or_rewritten_since_is_told(acted, embedded):
    """Whoever owns the database can do it; who looked before sees it, even where the rewritten chain is whole in itself."""
    client, trust, memory, _ = acted
    seen = check_log(client, trust, memory=memory)
    engine = sa.create_engine(embedded.database)
    with engine.begin() as connection:
        kept = connection.execute(sa.text("SELECT * FROM kdgov_log WHERE seq = :n"), {"n": seen.entries}).mappings().one()
        connection.execute(sa.text("DELETE FROM kdgov_log WHERE seq = :n"), {"n": seen.entries})
    try:
        (fault,) = check_log(client, trust, memory=memory).faults
        assert "it was cut" in fault
    finally:
        with engine.begin() as connection:
            columns = ", ".join(kept)
            connection.execute(sa.text(f"INSERT INTO kdgov_log ({columns}) VALUES ({', '.join(':' + c for c in kept)})"), dict(kept))
        engine.dispose()
    assert check_log(client, trust, memory=memory).faults == ()


def test_another_trust_store_or_a_spoilt_memory_reads_the_whole_log_again(acted):
    client, trust, memory, _ = acted
    whole = check_log(client, trust, memory=memory)
    memory.write_text("{")
    assert check_log(client, trust, memory=memory) == whole
    nobody = trust.model_copy(update={"keys": []})
    assert "nobody is trusted" in check_log(client, nobody, memory=memory).faults[0]


def test_verify_remembers_in_the_store(acted, embedded):
    *_, (first, _) = acted
    assert verify_version(first.name, first.version, embedded.target).holds
    assert memory_of(embedded.target).is_file()
