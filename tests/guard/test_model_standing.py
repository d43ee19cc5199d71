"""MLflow's list of models tells each one's standing; nobody writes it, and what people wrote stays."""

from __future__ import annotations

from kdgov.guard.registry_rows import FleetRow, Standing
from kdgov.guard.stores.model_standing import standing_lines, written_by_people
from kdgov.recording.promotion import promote, revoke


def test_tags_and_description_tell_the_version_in_use_and_the_newest(embedded):
    good, bad = embedded.record(name="told"), embedded.record("fail", name="told")
    with embedded.client() as client:
        model = client.get_registered_model("told")
        assert model.description.startswith("**In use:** no version\n\n**Newest:** version 2 ✖ **FAIL** because of safety-retained")
        assert model.tags == {"latest": "v2 FAIL"}
    assert promote("told", good.version, embedded.target).done
    with embedded.client() as client:
        client.update_registered_model("told", client.get_registered_model("told").description + "\n\nAsk support about it.")
        (listed,) = client.search_registered_models("name = 'told'")
        assert listed.tags == {"champion": "v1 PASS", "latest": "v2 FAIL"}
        assert listed.description.startswith("**In use:** version 1 ✔ **PASS** until 20")
        assert listed.description.endswith("\n\nAsk support about it.")
        assert listed.description.count("In use:") == 1
    revoke("told", bad.version, embedded.target, reason="leaks")
    with embedded.client() as client:
        assert client.get_registered_model("told").tags["latest"] == "v2 REVOKED"
        card = client.get_model_version("told", "1").description
        assert f"](get-artifact?path=charts%2Fforest.svg&run_uuid={good.run_id})" in card


def test_a_hostile_reason_stays_text():
    row = FleetRow(name="x", latest=Standing(version=1, verdict="FAIL", blocked_by="[a](javascript:alert(1)) <b>\n\nx"), champion=None)
    text = standing_lines(row)
    assert "](javascript" not in text.replace("\\](", "")
    assert "<b>" not in text
    assert written_by_people(f"{text}\n\nmine") == "mine"
    assert written_by_people(text) == ""
