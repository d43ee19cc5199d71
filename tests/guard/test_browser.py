"""The web page, as the risk team sees it: the card, the tags, a refusal in MLflow's own dialog, then a promotion that is allowed."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from kdgov.recording.release_recording import record_release
from tests.guard.browser import Browser, chromium
from tests.recording.evidence_bundle import bundle, checkpoint

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.xdist_group("sqlite")]
ENTER = "\ue007"


def open_version(browser: Browser, site, recorded) -> str:
    """The version's page, once its card is there."""
    browser.open(f"{site.target.tracking_uri}/#/models/{quote(recorded.name)}/versions/{recorded.version}")
    return browser.until("decides: policy")


def set_champion(browser: Browser) -> None:
    """What a person does: Add, type the alias, Save."""
    browser.click('button[title="Add aliases"]')
    browser.type("[role=dialog] input", f"champion{ENTER}")
    time.sleep(1)
    browser.click('[data-component-id="mlflow.edit-aliases-modal.save-button"]')


def test_the_page_shows_the_card_and_refuses_a_blocked_version_and_takes_a_passing_one(served_sqlite, artifacts):
    good, bad = served_sqlite.record(), served_sqlite.record("fail")
    with chromium() as browser:
        shown = open_version(browser, served_sqlite, bad)
        browser.screenshot(artifacts / "registry-blocked-version.png")
        assert "safety-retained" in shown
        assert "kdgov.suite.bias" in shown
        drawn = "return [...document.images].some(i => i.src.includes('charts%2Fforest.svg') && i.complete && i.naturalWidth > 0)"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not browser.run(drawn):
            time.sleep(0.5)
        assert browser.run(drawn), "the forest plot is not drawn in the description"
        set_champion(browser)
        dialog = browser.until("kdgov refuses to set @champion")
        browser.screenshot(artifacts / "registry-refusal.png")
        assert "safety-retained" in dialog
        assert "Train or evaluate again" in dialog

        open_version(browser, served_sqlite, good)
        set_champion(browser)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not _holds(served_sqlite, good):
            time.sleep(0.5)
        open_version(browser, served_sqlite, good)
        browser.until("champion")
        browser.screenshot(artifacts / "registry-promoted-version.png")
    assert _holds(served_sqlite, good)
    assert not _holds(served_sqlite, bad)


def test_hostile_words_are_shown_by_the_page_and_never_run(served_sqlite, artifacts, tmp_path):
    """Whatever a release says of itself, in the version's card and in the HTML card among its artifacts."""
    words = (
        '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> [click](javascript:alert(1)) ![x](http://127.0.0.1:9/t.gif)'
    )
    weights = checkpoint(tmp_path / "weights")
    made = bundle(tmp_path / "bundle", name="hostile", weights=weights, description=f"Hostile words: {words}")
    recorded = record_release(made, served_sqlite.target, weights=weights)
    with chromium() as browser:
        open_version(browser, served_sqlite, recorded)
        shown = browser.until("Hostile words:")
        browser.screenshot(artifacts / "registry-hostile-card.png")
        assert "onerror=" in shown, "the words are shown as they are"
        assert browser.run("return window.hacked") is None
        links = "return [...document.querySelectorAll('img,a')].map(e => e.src || e.href).filter(u => /127.0.0.1:9|javascript:/.test(u))"
        assert browser.run(links) == []
        experiment = _experiment(served_sqlite, recorded)
        browser.open(f"{served_sqlite.target.tracking_uri}/#/experiments/{experiment}/runs/{recorded.run_id}/artifacts/card/card.html")
        browser.until("card.html")
        time.sleep(3)
        browser.screenshot(artifacts / "registry-hostile-page.png")
        assert browser.run("return window.hacked") is None


def _experiment(site, recorded) -> str:
    with site.client() as client:
        return client.get_run(recorded.run_id).info.experiment_id


def _holds(site, recorded) -> bool:
    with site.client() as client:
        return client.get_registered_model(recorded.name).aliases.get("champion") == str(recorded.version)
