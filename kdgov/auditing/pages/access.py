"""Who may read which model's pages: everybody on a server without a login, else whoever MLflow's own permissions let."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from flask import current_app, g

from kdgov.guard.request_context import readable_models

LOGIN = "kdgov_login"
"""Key of the application's settings: whether MLflow's login is on."""


def may_read() -> Callable[[str], bool]:
    """Tells of a model's name whether the caller may read it; where nobody can tell, only an administrator may."""
    if not current_app.config.get(LOGIN):
        return lambda _: True
    return readable_models() or (lambda _: True)


def may_read_evidence(experiment: str) -> bool:
    """Whether the caller may read the artifacts of an experiment, as MLflow's own artifact pages ask."""
    if not current_app.config.get(LOGIN):
        return True
    auth: Any = importlib.import_module("mlflow.server.auth")
    if auth.sender_is_admin():
        return True
    ask = getattr(auth, "_get_experiment_permission", None)
    user = str(getattr(g, "mlflow_authenticated_user", "") or auth.authenticate_request().username)
    return ask is not None and bool(experiment) and bool(ask(experiment, user).can_read)
