"""The web page, as the risk team sees it: the card, the tags, a refusal in MLflow's own dialog, then a promotion that is allowed."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from tests.guard.browser import Browser, chromium

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.xdist_group("sqlite")]
ENTER = "\ue007"


def open_version(browser: Browser, site, recorded) -> str:
    """The version's page, once its card is there."""
    browser.open(f"{site.target.tracking_uri}/#/models/{quote(recorded.name)}/versions/{recorded.version}")
    return browser.until(f"{recorded.verdict.upper()} under policy")


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


def _holds(site, recorded) -> bool:
    with site.client() as client:
        return client.get_registered_model(recorded.name).aliases.get("champion") == str(recorded.version)
