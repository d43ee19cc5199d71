"""The documents of one evidence bundle, each read when asked for. The one reader of a bundle's folder.

`BundleReader` is lenient: what is absent or broken is empty, for whoever reviews what others left there. `sealed_bundle` is strict:
every file must be as its manifest says, for whoever signs or shows what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.evidence.bundle import compare_bundle
from kdgov.evidence.bundle_layout import (
    CARDS,
    DECISION,
    DISTILLATION,
    EFFICIENCY,
    EVALUATION,
    FINDINGS,
    IDENTITY,
    PAIR,
    PLAN,
    POLICY,
    RELEASE,
    TRAINING_CURVES,
    of_role,
)
from kdgov.safe_parse import json_file, yaml_value

Document = Mapping[str, Any]
_SCHEMA, _VERDICTS = "kdgov.decision/1", ("pass", "fail", "inconclusive", "invalid")
_CARD_ENDINGS = (".yaml", ".yml", ".json")
_AGAIN = "Run `kdgov gate` again."


@dataclass(frozen=True)
class BundleReader:
    """A bundle's folder, read leniently."""

    folder: Path
    """Where it lies."""

    def json(self, path: str) -> Any:
        """A JSON file's value, or an empty mapping."""
        try:
            return json_file(self.folder / path)
        except (OSError, InputError, ValueError):
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
        return self.document(DECISION)

    @cached_property
    def release(self) -> Document:
        """``release.json``."""
        return self.document(RELEASE)

    @cached_property
    def plan(self) -> Document:
        """``plan.json``."""
        return self.document(PLAN)

    @cached_property
    def distillation(self) -> Document:
        """``distillation.json``."""
        return self.document(DISTILLATION)

    @cached_property
    def identities(self) -> Mapping[str, Document]:
        """Role → identity, for teacher and student."""
        return {role: self.document(of_role(role, IDENTITY)) for role in PAIR}

    @cached_property
    def evaluations(self) -> Mapping[str, Document]:
        """Role → evidence of its evaluation."""
        return {role: self.document(of_role(role, EVALUATION)) for role in PAIR}

    @cached_property
    def findings(self) -> tuple[Document, ...]:
        """Findings of the checks as they were sealed."""
        value = self.json(FINDINGS)
        rows = value.get("findings", []) if isinstance(value, Mapping) else value
        return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()

    @cached_property
    def training_curves(self) -> Document:
        """``training-curves.json``."""
        return self.document(TRAINING_CURVES)

    @cached_property
    def efficiency(self) -> Document:
        """``efficiency.json``."""
        return self.document(EFFICIENCY)

    @cached_property
    def policy(self) -> Document:
        """``policy.yaml`` as written."""
        return _yaml(self.folder / POLICY)

    @cached_property
    def cards(self) -> Mapping[str, Document]:
        """File name → card."""
        folder = self.folder / CARDS
        paths = sorted(path for path in folder.glob("*") if path.suffix in _CARD_ENDINGS) if folder.is_dir() else []
        return {path.name: card for path in paths if (card := _yaml(path))}

    def cards_of(self, kind: str) -> Iterator[Document]:
        """Cards whose schema names a kind: ``model_card`` or ``dataset_card``."""
        return (card for card in self.cards.values() if kind in str(card.get("schema", "")))


def sealed_bundle(folder: Path) -> BundleReader:
    """A reader of a bundle of which every file is as it was sealed, with a decision in it.

    Raises:
        InputError: if it is no bundle, any file differs from its manifest, or one that is read is not JSON.
    """
    if difference := compare_bundle(folder):
        raise InputError(f"the evidence is not as it was sealed: {difference}", where=str(folder), mend=_AGAIN)
    for name in (RELEASE, DECISION, DISTILLATION, EFFICIENCY, *(of_role(role, IDENTITY) for role in PAIR)):
        _require_json(folder / name, required=name == DECISION)
    bundle = BundleReader(folder)
    if bundle.decision.get("schema") != _SCHEMA or bundle.decision.get("verdict") not in _VERDICTS:
        raise InputError(f"is no decision of {_SCHEMA}", where=str(folder / DECISION), mend=_AGAIN)
    return bundle


def _require_json(path: Path, *, required: bool) -> None:
    if not path.is_file():
        if required:
            raise InputError(f"the bundle has no {path.name}", where=str(path.parent), mend=_AGAIN)
        return
    try:
        json_file(path)
    except (InputError, ValueError) as error:
        raise InputError("is not JSON", where=str(path), mend=_AGAIN) from error


def _yaml(path: Path) -> Document:
    try:
        value = yaml_value(path.read_text(encoding="utf-8"), file=str(path))
    except (OSError, InputError, ValueError):
        return {}
    return value if isinstance(value, Mapping) else {}
