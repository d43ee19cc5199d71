"""What a login that may not read a model sees of the log: the entries' place in the chain and their signatures, no word of them."""

from __future__ import annotations

import json

import pytest

from kdgov.evidence.event_chain import LogEntry, chain_faults, entry_from_json, withheld_entry, withheld_json
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.guard.stores import search_views
from kdgov.recording.client.read_log import log_faults, read_log
from kdgov.recording.client.target import registry_target
from tests.guard.conftest import Site


@pytest.fixture(scope="module")
def withheld(embedded: Site):
    """Two models, of which the login may read the second: what it sees of the log and its faults, and the whole log."""
    hidden, shown = embedded.record(), embedded.record()
    with embedded.client() as client, pytest.MonkeyPatch.context() as patch:
        whole = read_log(client)
        patch.setattr(search_views, "readable_models", lambda: lambda name: name != hidden.name)
        return shown, hidden, read_log(client), whole, log_faults(client)


def test_no_word_about_the_model_is_shown_and_the_chain_holds(embedded: Site, withheld):
    shown, hidden, seen, whole, faults = withheld
    trust = load_trust(trust_path(registry_target(embedded.target.store).store))
    assert [entry.hash for entry in seen] == [entry.hash for entry in whole]
    assert {entry.name for entry in seen} == {entry.name for entry in whole if entry.name != hidden.name} | {""}
    assert hidden.name not in json.dumps([withheld_json(entry) for entry in seen if entry.kind == "withheld"])
    assert shown.name in {entry.name for entry in seen}
    assert chain_faults(seen, trust) == chain_faults(whole, trust) == ()
    assert faults == ()


def test_a_withheld_entry_that_is_dropped_or_swapped_breaks_the_chain(embedded: Site, withheld):
    _, _, seen, _, _ = withheld
    trust = load_trust(trust_path(embedded.target.store))
    place = next(n for n, entry in enumerate(seen) if entry.kind == "withheld")
    assert chain_faults([*seen[:place], *seen[place + 1 :]], trust)
    forged = withheld_entry({**withheld_json(seen[place]), "hash": "sha256:" + "1" * 64})
    assert chain_faults([*seen[:place], forged, *seen[place + 1 :]], trust)


def test_a_row_of_the_log_cannot_withhold_its_own_words(withheld):
    _, _, _, whole, _ = withheld
    for document in (withheld_json(whole[0]), {**whole[0].body(), "head": {}, "stated": whole[0].hash}):
        with pytest.raises(TypeError):
            entry_from_json(document)
    assert isinstance(withheld_entry(withheld_json(whole[0])), LogEntry)
