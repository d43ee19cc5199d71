"""Small words of every guarded call: refuse, who called, when, is it a prompt."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from flask import current_app, g, has_request_context, request
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED

from kdgov.errors import InputError
from kdgov.safe_parse import json_value

IS_PROMPT_TAG = "mlflow.prompt.is_prompt"


def refuse(message: str) -> NoReturn:
    """Raise MLflow's PERMISSION_DENIED (HTTP 403), whose words reach client, REST and page alike."""
    raise MlflowException(message, error_code=PERMISSION_DENIED)


def says_prompt(tags: Any) -> bool:
    """Whether tags mark an entry as a prompt."""
    pairs = tags.items() if isinstance(tags, Mapping) else [(t.key, t.value) for t in tags or []]
    return any(key == IS_PROMPT_TAG and str(value).lower() == "true" for key, value in pairs)


def json_object(text: str) -> dict[str, Any]:
    """The envelope a submission holds."""
    try:
        value = json_value(text, where="kdgov.submit")
    except (InputError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise MlflowException("kdgov.submit takes a DSSE envelope as JSON.", error_code=INVALID_PARAMETER_VALUE)
    return value


def caller() -> str:
    """Who called, as far as the server knows."""
    if not has_request_context():
        return "local"
    user = getattr(g, "mlflow_authenticated_user", None)
    name = getattr(user, "username", None) or (user if isinstance(user, str) else "")
    return f"{name or 'anonymous'} at {request.remote_addr}"


def readable_models() -> Callable[[str], bool] | None:
    """Tells of a model's name whether the caller's login may read it; None without a login, and for an administrator.

    Where MLflow cannot tell, nothing may be read.
    """
    if not has_request_context() or not _has_login():
        return None
    auth: Any = importlib.import_module("mlflow.server.auth")
    if auth.sender_is_admin():
        return None
    user = str(getattr(g, "mlflow_authenticated_user", "") or auth.authenticate_request().username)
    if (make := getattr(auth, "_rm_or_prompt_read_predicate", None)) is not None:
        predicate = make(user)
        return lambda name: bool(predicate(RegisteredModel(name=name)))
    if (permission := getattr(auth, "_get_registered_model_permission", None)) is not None:
        return lambda name: bool(permission(name).can_read)
    return lambda _: False


def _has_login() -> bool:
    asked = [ask for asks in current_app.before_request_funcs.values() for ask in asks]
    return any(getattr(ask, "__module__", "") == "mlflow.server.auth" for ask in asked)


def now() -> datetime.datetime:
    """The guard's clock."""
    return datetime.datetime.now(datetime.UTC)
