"""Terms that ask an endpoint: the teacher's own stands for every one that names none."""

from __future__ import annotations

from typing import Any


def terms_ask_the_teacher(value: Any) -> Any:
    """A release as it was written, with the teacher's endpoint in every ``teacher_text``, so that no reader has to look twice."""
    endpoint = _at(value, "teacher", "endpoint")
    terms = _at(value, "distillation", "terms")
    if not isinstance(endpoint, dict) or not isinstance(terms, list):
        return value
    asked = [{"endpoint": endpoint, **t} if isinstance(t, dict) and t.get("kind") == "teacher_text" else t for t in terms]
    return {**value, "distillation": {**value["distillation"], "terms": asked}}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
