"""Every known way around the guard, on every kind of guarded registry."""

from __future__ import annotations

import warnings

import pytest
import requests
from mlflow.exceptions import MlflowException

from kdgov.recording.client.client import RefusedByGuardError
from kdgov.recording.client.read_log import read_log
from tests.guard.attack import Attack, NotHereError, Way
from tests.guard.ways import WAYS, detected, table


@pytest.fixture(scope="module")
def victims():
    """One promoted and one blocked version per registry, made once."""
    return {}


@pytest.fixture
def attack(site, victims, tmp_path):
    if site.kind not in victims:
        good, bad = site.record(), site.record("fail")
        with site.client() as client:
            client.set_registered_model_alias(good.name, "champion", str(good.version))
        victims[site.kind] = (good, bad)
    good, bad = victims[site.kind]
    with site.client() as client:
        yield Attack(site=site, client=client, good=good, bad=bad, folder=tmp_path)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.attempt)
def test_way_around(attack: Attack, way: Way):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            made = way.act(attack)
            outcome = "let through"
        except NotHereError as error:
            pytest.skip(str(error))
        except (MlflowException, RefusedByGuardError, requests.exceptions.HTTPError) as error:
            made, outcome = None, f"refused: {error}"
    if way.expected == "refused":
        assert outcome.startswith("refused"), f"{way.attempt}: {outcome}"
        # Refused by the guard or by MLflow's own validation of names, never by an accident such as a missing object.
        assert "kdgov" in outcome or "Invalid" in outcome or "alias" in outcome.lower(), outcome
        still = attack.client.get_registered_model(attack.bad.name).aliases
        assert not set(still) - {"candidate"}, still
    elif way.expected == "detected":
        assert outcome == "let through", outcome
        assert detected(attack, made), f"{way.attempt} was not detected"
    else:
        assert [e.kind for e in read_log(attack.client) or [] if e.name == made.name][-1] == "demote"


def test_the_table_of_the_documentation_is_this_list(project_root):
    assert table() in (project_root / "docs" / "registry.md").read_text()


def test_a_refusal_names_the_criterion_and_the_mend(embedded):
    bad = embedded.record("fail")
    with embedded.client() as client, pytest.raises(MlflowException) as caught:
        client.set_registered_model_alias(bad.name, "champion", str(bad.version))
    assert "safety-retained" in str(caught.value)
    assert "Train or evaluate again" in str(caught.value)
