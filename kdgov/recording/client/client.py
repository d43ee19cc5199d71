"""One MLflow client per target, and MLflow's errors in kdgov's words."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from kdgov.errors import InputError, KdgovError, UnavailableError
from kdgov.evidence.signing_keys import keep_out_of_git
from kdgov.recording.client.first_tables import make_database
from kdgov.recording.client.target import RegistryTarget

# A governance harness tells nobody outside what it records.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A long value cut with only a warning would be evidence changed in silence.
os.environ.setdefault("MLFLOW_TRUNCATE_LONG_VALUES", "false")
# Two quick retries bear a restarting server; MLflow's own seven would keep a person waiting for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# kdgov shows its own progress, on standard error.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

_ENVIRONMENT_CODES = {"TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


class RefusedByGuardError(KdgovError):
    """The registry's guard said no; the message names criterion and mend. Callers turn it into a refusal (exit 1)."""

    exit_code = 1


@contextmanager
def registry_client(target: RegistryTarget) -> Iterator[MlflowClient]:
    """A client on the target while the block runs; MLflow's process-wide addresses are put back afterwards.

    MLflow's SQL registry resolves a logged model through the process-wide tracking address, hence they are set at all.

    Raises:
        RefusedByGuardError: when the guard refuses.
        UnavailableError: when the registry cannot be reached or cannot write.
        InputError: when MLflow rejects the call as wrong.
    """
    if target.is_embedded:
        target.store.mkdir(parents=True, exist_ok=True)
        if not (target.store / "mlflow.db").exists():
            keep_out_of_git(target.store)
    before = _addresses_set()
    kept = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    logger = logging.getLogger("mlflow.store.db.utils")
    level = logger.level
    try:
        with _in_our_words(target):
            # "Creating initial database tables" and the alembic lines are noise to whoever releases a model.
            logger.setLevel(logging.ERROR)
            logging.getLogger("alembic").setLevel(logging.ERROR)
            if target.is_embedded:
                make_database(target.store)
            mlflow.set_tracking_uri(target.tracking_uri)
            mlflow.set_registry_uri(target.registry_uri)
            yield MlflowClient(target.tracking_uri, target.registry_uri)
    finally:
        logger.setLevel(level)
        # Also "not set": a default that was pinned would outlive what the caller sets afterwards.
        mlflow.set_tracking_uri(before[0])  # type: ignore[arg-type]
        mlflow.set_registry_uri(before[1])  # type: ignore[arg-type]
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _addresses_set() -> tuple[str | None, str | None]:
    """MLflow's two process-wide addresses as they were set; None where nobody set one."""
    tracking = importlib.import_module("mlflow.tracking._tracking_service.utils")
    registry = importlib.import_module("mlflow.tracking._model_registry.utils")
    return getattr(tracking, "_tracking_uri", None), getattr(registry, "_registry_uri", None)


@contextmanager
def _in_our_words(target: RegistryTarget) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise translated(error, target) from error
    except requests.exceptions.HTTPError as error:
        raise _of_http(error, target) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise UnavailableError(
            "the registry cannot be reached", where=target.name, mend="Start it or correct its address, then run the same command again."
        ) from error


def _of_http(error: requests.exceptions.HTTPError, target: RegistryTarget) -> KdgovError:
    """Artifact uploads fail with plain HTTP errors whose body holds MLflow's message."""
    status = error.response.status_code if error.response is not None else 0
    try:
        words = str(error.response.json()["message"]) if error.response is not None else "no answer"
    except (ValueError, KeyError, TypeError):
        words = f"HTTP {status}"
    if status == 403:
        return RefusedByGuardError(words)
    if status >= 500 or status in (0, 408, 429):
        mend = "Check the server and its artifact store (is it full?), then run the same command again."
        return UnavailableError(f"the registry's artifact store failed: {words[:300]}", where=target.name, mend=mend)
    return InputError(f"the registry rejects this: {words[:300]}", where=target.name, mend="Correct what it names.")


def translated(error: MlflowException, target: RegistryTarget) -> KdgovError:
    """MLflow's error as one of kdgov's: refused, unavailable, or wrong input."""
    message = str(error.message if hasattr(error, "message") else error).strip()
    message = message.removeprefix(f"{error.error_code}: ")
    if error.error_code == "PERMISSION_DENIED":
        return RefusedByGuardError(message, where="", mend="")
    no_connection = not isinstance(error, RestException) and ("API request to" in message or "Connection" in message)
    if no_connection:
        return UnavailableError(
            "the registry cannot be reached", where=target.name, mend="Start it or correct its address, then run the same command again."
        )
    if error.error_code in _ENVIRONMENT_CODES:
        first = message.splitlines()[0][:300] if message else error.error_code
        return UnavailableError(
            f"the registry failed: {first}",
            where=target.name,
            mend="Check the server, its database and its disk, then run the command again.",
        )
    return InputError(f"the registry rejects this: {message[:600]}", where=target.name, mend="Correct what it names.")
