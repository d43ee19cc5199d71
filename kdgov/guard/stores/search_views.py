"""What any client may read of the guard through MLflow's own search: the log, the versions with their standing, the settings.

``search_registered_models("kdgov.log > 41")`` answers with one pseudo-model per entry, its JSON in the description. No extra
route is needed, so it works for the Python client, REST, basic-auth and every way to start the server; a registry without
the guard answers that the filter is invalid, which tells as much.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.entities.paged_list import PagedList
from sqlalchemy.orm import Session

from kdgov import __version__
from kdgov.errors import InputError
from kdgov.evidence.derivation.owner_rules import shown_policies
from kdgov.evidence.event_chain import LogEntry, withheld_json
from kdgov.evidence.registry_query import question_of_text
from kdgov.guard import tables
from kdgov.guard.config import GuardConfig
from kdgov.guard.database_query import list_page
from kdgov.guard.log_reading import entries_about, entry_of, log_faults
from kdgov.guard.request_context import readable_models
from kdgov.guard.serving import NONCE_VARIABLE

# MLflow's client appends its own "AND …" that leaves prompts out.
_LOG = re.compile(r"^\s*kdgov\.log\s*>\s*(\d+)\s*(AND\b.*)?$")
_LOG_OF = re.compile(r"^\s*kdgov\.log\.of\s*=\s*'([\w=-]+)'\s*(AND\b.*)?$")
_FAULTS = re.compile(r"^\s*kdgov\.log\.faults\s*=\s*'all'\s*(AND\b.*)?$")
_VERSIONS = re.compile(r"^\s*kdgov\.versions\s*=\s*'([\w=-]+)'\s*(AND\b.*)?$")
_STATUS = re.compile(r"^\s*kdgov\.guard\s*=\s*'status'\s*(AND\b.*)?$")
PAGE = 500


def is_view(filter_string: str | None) -> bool:
    """Whether a search asks for the guard's own records."""
    return bool(filter_string and any(known.match(filter_string) for known in (_LOG, _LOG_OF, _FAULTS, _VERSIONS, _STATUS)))


def view(session: Session, filter_string: str, max_results: int, config: GuardConfig, *, workspace: str) -> PagedList:
    """The records asked for, one page at a time; the next page is asked for by the last number (or token) seen.

    A login sees versions of the models that it may read, and of the log's other entries their place in the chain alone.

    Raises:
        MlflowException: if a question about versions cannot be read.
    """
    reads = readable_models()

    def is_shown(place: str, name: str) -> bool:
        return reads is None or not name or (place == workspace and reads(name))

    if match := _VERSIONS.match(filter_string):
        try:
            page = list_page(session, question_of_text(match.group(1)), workspace=workspace)
        except InputError as error:
            raise MlflowException(f"kdgov: {error.what}. {error.mend}", error_code=INVALID_PARAMETER_VALUE) from error
        page = replace(page, rows=tuple(row for row in page.rows if is_shown(workspace, row.name)))
        text = json.dumps(page.as_json(), ensure_ascii=False)
        return PagedList([RegisteredModel(name="kdgov.versions", description=text)], None)
    limit = min(max_results, PAGE)
    if match := _LOG.match(filter_string):
        return _shown(_after(session, int(match.group(1)), limit), is_shown)
    if match := _LOG_OF.match(filter_string):
        name, version, after = _place_of(match.group(1))
        entries = [e for e in entries_about(session, workspace, name) if e.seq > after and version in (None, e.version)]
        return _shown(entries[:limit], is_shown)
    if _FAULTS.match(filter_string):
        return PagedList([RegisteredModel(name="kdgov.log.faults", description=json.dumps(log_faults(session, is_shown)))], None)
    status = {
        "version": __version__,
        "free_aliases": sorted(config.free_aliases),
        "unguarded_models": list(config.unguarded_models),
        "log_is_signed": bool(config.guard_key),
        "trusted_keys": [{"name": k.name, "keyid": k.keyid, "purposes": list(k.purposes)} for k in config.trust().keys],
        "policies": sorted(config.policies),
        "policies_signed": shown_policies(config.trust_path),
        "started_as": os.environ.get(NONCE_VARIABLE, ""),
    }
    return PagedList([RegisteredModel(name="kdgov.guard", description=json.dumps(status))], None)


def _shown(entries: list[LogEntry], is_shown: Callable[[str, str], bool]) -> PagedList:
    told = [{**e.body(), "head": dict(e.head)} if is_shown(e.workspace, e.name) else withheld_json(e) for e in entries]
    rows = [(f"kdgov.log/{e.seq}", json.dumps(words, ensure_ascii=False)) for e, words in zip(entries, told, strict=True)]
    return PagedList([RegisteredModel(name=name, description=text) for name, text in rows], None)


def _after(session: Session, seq: int, limit: int) -> list[LogEntry]:
    rows = session.execute(sa.select(tables.LOG).where(tables.LOG.c.seq > seq).order_by(tables.LOG.c.seq).limit(limit))
    return [entry_of(row) for row in rows]


def _place_of(text: str) -> tuple[str, int | None, int]:
    try:
        name, version, after = json.loads(base64.urlsafe_b64decode(text.encode()))
        return str(name), None if version is None else int(version), int(after)
    except (ValueError, TypeError) as error:
        raise MlflowException("kdgov: this names no part of the log.", error_code=INVALID_PARAMETER_VALUE) from error
