"""The documents of one evidence bundle, each read when asked for; what is absent or broken is empty, never a fault here.

Whether a file is as it was sealed is the manifest's to say (`kdgov.auditing.review.signatures`); this reads what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from kdgov.digest import digest_file

Document = Mapping[str, Any]


@dataclass(frozen=True)
class BundleReader:
    """A bundle's folder, read leniently."""

    folder: Path
    """Where it lies."""

    def json(self, path: str) -> Any:
        """A JSON file's value, or an empty mapping."""
        try:
            return json.loads((self.folder / path).read_bytes())
        except (OSError, ValueError):
            return {}

    def document(self, path: str) -> Document:
        """A JSON mapping, or an empty one."""
        value = self.json(path)
        return value if isinstance(value, Mapping) else {}

    def digest(self, path: str) -> str:
        """Digest of a file; empty where there is none."""
        file = self.folder / path
        return digest_file(file) if file.is_file() else ""

    def has(self, path: str) -> bool:
        """Whether the file is there."""
        return (self.folder / path).is_file()

    @cached_property
    def decision(self) -> Document:
        """``decision.json``."""
        return self.document("decision.json")

    @cached_property
    def release(self) -> Document:
        """``release.json``."""
        return self.document("release.json")

    @cached_property
    def plan(self) -> Document:
        """``plan.json``."""
        return self.document("plan.json")

    @cached_property
    def distillation(self) -> Document:
        """``distillation.json``."""
        return self.document("distillation.json")

    @cached_property
    def identities(self) -> Mapping[str, Document]:
        """Role → identity, for teacher and student."""
        return {role: self.document(f"{role}/identity.json") for role in ("teacher", "student")}

    @cached_property
    def evaluations(self) -> Mapping[str, Document]:
        """Role → evidence of its evaluation."""
        return {role: self.document(f"{role}/evidence.json") for role in ("teacher", "student")}

    @cached_property
    def findings(self) -> tuple[Document, ...]:
        """Findings of the checks as they were sealed."""
        value = self.json("findings.json")
        rows = value.get("findings", []) if isinstance(value, Mapping) else value
        return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()

    @cached_property
    def policy(self) -> Document:
        """``policy.yaml`` as written."""
        return _yaml(self.folder / "policy.yaml")

    @cached_property
    def cards(self) -> Mapping[str, Document]:
        """File name → card."""
        folder = self.folder / "cards"
        paths = sorted(folder.glob("*.y*ml")) if folder.is_dir() else []
        return {path.name: card for path in paths if (card := _yaml(path))}

    def cards_of(self, kind: str) -> Iterator[Document]:
        """Cards whose schema names a kind: ``model_card`` or ``dataset_card``."""
        return (card for card in self.cards.values() if kind in str(card.get("schema", "")))


def _yaml(path: Path) -> Document:
    try:
        # The C loader reads the same YAML several times faster; a review of a registry reads thousands of cards.
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValueError):
        return {}
    return value if isinstance(value, Mapping) else {}
