"""Ask a guarded server for a page of its versions over plain HTTP, without loading MLflow (which takes seconds)."""

from __future__ import annotations

import json
import os

import requests

from kdgov.errors import UnavailableError
from kdgov.evidence.registry_query import Page, Question, page_of_json
from kdgov.recording.client.target import RegistryTarget

VIEW = "kdgov.versions"
_TIMEOUT_S = 60.0
_PATH = "api/2.0/mlflow/registered-models/search"
# Logins that only MLflow's own client knows how to make.
_OTHER_LOGINS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")


def view_filter(question: Question) -> str:
    """The search by which the guard is asked for a page of versions."""
    return f"{VIEW} = '{question.as_text()}'"


def ask_server(target: RegistryTarget, question: Question) -> Page | None:
    """The page; None where only MLflow's own client can tell (no guard, or a login of another kind).

    Raises:
        UnavailableError: if the server cannot be reached.
    """
    if any(os.environ.get(name) for name in _OTHER_LOGINS):
        return None
    try:
        answer = requests.get(
            f"{target.tracking_uri.rstrip('/')}/{_PATH}",
            params={"filter": view_filter(question), "max_results": "1"},
            headers=_headers(),
            auth=_login(),
            verify=_verification(),
            timeout=_TIMEOUT_S,
        )
        models = answer.json().get("registered_models", []) if answer.status_code == 200 else []
        return page_of_json(json.loads(models[0]["description"])) if models else None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise UnavailableError(
            "the registry cannot be reached", where=target.name, mend="Start it or correct its address, then run the same command again."
        ) from error
    except (ValueError, KeyError, TypeError):
        return None


def _headers() -> dict[str, str]:
    token, workspace = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_WORKSPACE")
    return {
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **({"X-MLFLOW-WORKSPACE": workspace} if workspace else {}),
    }


def _login() -> tuple[str, str] | None:
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    return (user, password) if user and password is not None else None


def _verification() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
