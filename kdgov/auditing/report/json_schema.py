"""The published JSON schema of the audit document, made from the values it is made of, so that the two cannot part."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from kdgov.auditing.review.audit_findings import AuditFinding
from kdgov.auditing.review.result import SCHEMA, Act, Clause, LicenceReview, LineageEdge, Measure, Permission, Role, Subject
from kdgov.report.verdict_header import VerdictHeader

ID = "https://kdgov.dev/schemas/kdgov.audit-1.json"
Schema = dict[str, Any]


def audit_schema() -> Schema:
    """JSON Schema (draft 2020-12) of ``kdgov.audit/1``."""
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    practice = {"roles": _list(_of(Role)), "trade_offs": text, "measures": _list(_of(Measure))}
    fact = _object(dict.fromkeys(("key", "text", "source", "digest", "meaning"), text) | {"status": _choice("shown", "partly", "absent")})
    counts = _object(dict.fromkeys(("verified", "not_verifiable", "violated"), count))
    properties = {
        "schema": {"const": SCHEMA},
        "kdgov": text,
        "subject": _of(Subject),
        "as_of": {"type": "string", "format": "date"},
        "outcome": _choice("clean", "incomplete", "violated"),
        "counts": counts,
        "verdict": text,
        "reason": text,
        "header": _of(VerdictHeader),
        "description": text,
        "permission": _of(Permission),
        "practice": _object(practice),
        "findings": _list(_of(AuditFinding)),
        "policy": _map(text),
        "clauses": _list(_of(Clause)),
        "licences": _of(LicenceReview),
        "made_from": _list(_object({"label": text, "value": text})),
        "lineage": _list(_of(LineageEdge)),
        "acts": _list(_of(Act)),
        "general_purpose": {"anyOf": [_object(_QUESTION), {"type": "object", "maxProperties": 0}]},
        "facts": _list(fact),
        "frameworks": _list(_framework()),
    }
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Answer of kdgov audit for one registered version",
    }
    return {**head, **_object(properties)}


def _framework() -> Schema:
    text = {"type": "string"}
    support = _choice("supported", "partly", "missing")
    fact = _object({"key": text, "status": _choice("shown", "partly", "absent"), "text": text})
    told = {"id": text, "title": text, "source": text, "unread": {"type": "boolean"}, "tags": _list(text), "beyond": text}
    control = _object({**told, "support": support, "facts": _list(fact)})
    counts = _object({key: {"type": "integer"} for key in ("supported", "partly", "missing")})
    plain = dict.fromkeys(("id", "title", "publisher", "edition", "checked", "stale", "url", "kind", "applies", "disclaimer"), text)
    return _object({**plain, "unread": {"type": "integer"}, "counts": counts, "controls": _list(control)})


def _of(kind: type) -> Schema:
    hints = typing.get_type_hints(kind)
    return _object({field.name: _value(hints[field.name]) for field in dataclasses.fields(kind)})


def _value(hint: Any) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    plain: dict[Any, Schema] = {
        str: {"type": "string"},
        int: {"type": "integer"},
        float: {"type": "number"},
        bool: {"type": "boolean"},
        type(None): {"type": "null"},
    }
    if hint in plain:
        return plain[hint]
    if origin is Literal:
        return _choice(*arguments)
    if origin is tuple:
        return _list(_value(arguments[0]))
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_value(one) for one in arguments]}
    if origin is not None and issubclass(origin, Mapping):
        return _map(_value(arguments[1]))
    return _of(hint)


def _list_of_text() -> Schema:
    return {"type": "array", "items": {"type": "string"}}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _choice(*words: str) -> Schema:
    return {"enum": list(words)}


_READING = _choice("yes", "no", "unknown")
_QUESTION: dict[str, Schema] = {
    "answer": _READING,
    "counting_teacher": _READING,
    "reasons": _list_of_text(),
    "missing": _list_of_text(),
    "sentence": {"type": "string"},
    "source": {"type": "string"},
}
