"""MLflow's server with the pages mounted: what the entry points ``mlflow.app`` name, with and without MLflow's login."""
# ruff: noqa: PLC0415 - MLflow's server is imported only by whoever serves

from __future__ import annotations

import os
from typing import Any

PLAIN, WITH_LOGIN = "kdgov", "kdgov-basic-auth"
"""Names under which MLflow finds the two applications."""


def create_app() -> Any:
    """MLflow's application and the pages."""
    app = _mounted(login=False)
    if os.environ.get("_MLFLOW_SGI_NAME", "uvicorn") != "uvicorn":
        return app
    from mlflow.server.fastapi_app import app as served

    return served


def create_app_with_login() -> Any:
    """MLflow's application behind its own login, and the pages behind the same one."""
    app = _mounted(login=True)
    from mlflow.server import auth

    _leave_permissions_to_pages(auth)
    return auth.create_app(app)


def _leave_permissions_to_pages(auth: Any) -> None:
    """MLflow denies paths that it does not know to everybody but administrators; the pages ask for the login's permissions themselves.

    Whoever has not logged in is still refused before: only the step after that is left to `kdgov.auditing.pages.access`.
    """
    known = getattr(auth, "_is_known_ungated_route", None)
    if known is not None:
        auth._is_known_ungated_route = lambda path: path.startswith(_prefix() + "/") or known(path)


def _prefix() -> str:
    from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR

    return f"{os.environ.get(STATIC_PREFIX_ENV_VAR, '')}/kdgov"


def _mounted(*, login: bool) -> Any:
    from mlflow.server import app

    from kdgov.auditing.pages.access import LOGIN
    from kdgov.auditing.pages.routes import PAGES

    app.config[LOGIN] = login
    if PAGES.name not in app.blueprints:
        app.register_blueprint(PAGES, url_prefix=_prefix())
    return app
