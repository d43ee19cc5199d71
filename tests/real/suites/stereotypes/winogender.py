"""Reads occupation, participant, answer and gender out of a Winogender sentence's name."""

from __future__ import annotations

from typing import Any


def with_fields(docs: Any) -> Any:
    """The dataset with its names taken apart: ``technician.customer.1.male.txt``."""
    return docs.map(_taken_apart)


def _taken_apart(doc: dict[str, Any]) -> dict[str, Any]:
    occupation, participant, answer, gender, _ = doc["sentid"].split(".")
    return {**doc, "occupation": occupation, "gender": gender, "answer": int(answer), "referents": [occupation, participant]}
