"""JSON schemas of the declared files, each key with the sentence that stands beneath it in the models: for editors and the docs."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema, to_jsonable_python

from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.declarations.policy_file import PolicyFile
from kdgov.declarations.release import DataDeclaration, Release
from kdgov.declarations.suite import Suite
from kdgov.license.case import case_from_json
from kdgov.license.case.case import CHOICE_VALUES, DEFAULT_CHOICES, Evidence, LicenseCase, Organization, Student, Upstream
from kdgov.license.case.case import Release as CaseRelease

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def declaration_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of one kind of file, with a description of every key.

    Args:
        kind: one of `SCHEMAS`.

    Example:
        >>> declaration_schema("policy")["properties"]["version"]["description"]
        "The policy's version."
    """
    return {"$schema": DIALECT, **SCHEMAS[kind]()}


@functools.cache
def attribute_docs(model: type) -> Mapping[str, str]:
    """Attribute → the sentence beneath it, for a class and what it inherits."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.startswith("kdgov."):
            found.update(_docs_of(base))
    return found


def _docs_of(model: type) -> Iterator[tuple[str, str]]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - it is the source of a class
    for attribute, after in zip(body.body, body.body[1:], strict=False):
        match attribute, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


class _WithDescriptions(GenerateJsonSchema):
    """pydantic's generator, with the attribute docstrings as descriptions."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """The schema of one model, every property described."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        docs = attribute_docs(model)
        for name, field in model.model_fields.items():
            key = field.alias or name
            if key in made.get("properties", {}) and name in docs:
                made["properties"][key].setdefault("description", docs[name])
                if field.default_factory is not None:
                    made["properties"][key]["default"] = _plain_default(field.get_default(call_default_factory=True))
        if model is DataDeclaration:
            return {"anyOf": [made, {"type": "string", "description": docs["path"]}], "description": made["description"]}
        return made


def _plain_default(value: Any) -> Any:
    """As a user would write it: a section whose keys all have their defaults is an empty mapping."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [_plain_default(one) for one in value] if isinstance(value, list | tuple) else to_jsonable_python(value)


def _of_model(model: type[BaseModel], title: str) -> dict[str, Any]:
    made = model.model_json_schema(by_alias=True, schema_generator=_WithDescriptions)
    return {"$id": _identifier(model), **made, "title": title}


def _identifier(model: type[BaseModel]) -> str:
    return str(model.model_json_schema(by_alias=True)["properties"]["schema"]["const"])


def _card() -> dict[str, Any]:
    parts = {"model": _of_model(ModelCard, "kdgov model card"), "dataset": _of_model(DatasetCard, "kdgov dataset card")}
    shared: dict[str, Any] = {}
    for part in parts.values():
        shared.update(part.pop("$defs", {}))
        # An identifier inside would make its references look for `$defs` there.
        del part["$id"]
        shared[part["title"].title().replace(" ", "")] = part
    choices = [{"$ref": f"#/$defs/{part['title'].title().replace(' ', '')}"} for part in parts.values()]
    return {"$id": "kdgov.card", "title": "kdgov card", "description": "What is known of one model or one dataset.", "oneOf": choices,
            "$defs": shared}  # fmt: skip


_CASE_PARTS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "student": (Student, case_from_json._STUDENT_KEYS),
    "uses": (Upstream, case_from_json._USE_KEYS),
    "release": (CaseRelease, case_from_json._RELEASE_KEYS),
    "organization": (Organization, case_from_json._ORGANIZATION_KEYS),
    "evidence": (Evidence, case_from_json._EVIDENCE_KEYS),
}
_CASE_FIELDS = {("uses", "license_text"): "license_text_path", ("evidence", "date"): "dated"}
"""Keys of a case file whose attribute has another name."""
_CASE_WORDS = {
    "schema": "Must be ``kdgov.case/1`` where it is written.",
    "id": "Identifier of the case.",
    "title": "One line.",
    "note": "Anything to remember; decides nothing.",
    "why": "Why the case is asked; decides nothing.",
}


def _case() -> dict[str, Any]:
    """The case is read by a reader of its own, which names every fault at once; its keys and the dataclasses are the schema."""
    parts = {name: _case_part(name, model, keys) for name, (model, keys) in _CASE_PARTS.items()}
    parts["uses"]["properties"]["made_by"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/use"},
        "description": attribute_docs(Upstream)["made_by"],
    }
    parts["uses"]["required"] = ["use"]
    choices = {
        name: {"enum": [_plain(value) for value in values], "default": _plain(DEFAULT_CHOICES[name]), "description": f"Stance on `{name}`."}
        for name, values in CHOICE_VALUES.items()
    }
    docs = attribute_docs(LicenseCase)
    sections: dict[str, Any] = {
        "student": parts["student"],
        "uses": {"type": "array", "items": {"$ref": "#/$defs/use"}},
        "release": parts["release"],
        "organization": parts["organization"],
        "choices": {"type": "object", "additionalProperties": False, "properties": choices},
        "evidence": {"type": "array", "items": parts["evidence"]},
        "as_of": {"type": "string", "format": "date"},
    }
    properties = {
        key: {**sections.get(key, {"type": "string"}), "description": docs.get(key) or _CASE_WORDS[key]}
        for key in case_from_json._CASE_KEYS
    }
    return {
        "$id": "kdgov.case/1",
        "title": "kdgov licence case",
        "description": "One question to `kdgov license check`.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": {"use": parts["uses"]},
    }


def _case_part(section: str, model: type, keys: tuple[str, ...]) -> dict[str, Any]:
    fields, docs = TypeAdapter(model).json_schema(), attribute_docs(model)
    known = fields.get("properties") or fields["$defs"][model.__name__]["properties"]
    properties = {}
    for key in keys:
        name = _CASE_FIELDS.get((section, key)) or (f"is_{key}" if f"is_{key}" in docs else key)
        described = docs.get(name) or _CASE_WORDS[key]
        properties[key] = {**{k: v for k, v in known.get(name, {"type": "string"}).items() if k != "title"}, "description": described}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _plain(word: str) -> bool | str:
    return {"true": True, "false": False}.get(word, word)


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "release": lambda: _of_model(Release, "kdgov release"),
    "suite": lambda: _of_model(Suite, "kdgov suite"),
    "card": _card,
    "policy": lambda: _of_model(PolicyFile, "kdgov policy"),
    "case": _case,
}
"""Kind of file → its schema."""
