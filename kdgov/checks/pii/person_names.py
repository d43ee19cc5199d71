"""Names of people and places, counted in a sample of the text where a model that knows them is installed.

Names cannot be proven by check digits: it takes a language model (presidio over spaCy, extra ``names``), about a hundred times
slower than the scan. Without a model nothing is counted, and every report says that names are not covered.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.digest import digest_json
from kdgov.errors import UnavailableError

MODEL_VARIABLE = "KDGOV_NAMES_MODEL"
"""Environment variable that names a spaCy model or its folder; default the first one installed."""
SAMPLE_BYTES = 1_000_000
"""Text looked at per body of data: rates per megabyte are steady long before."""
LONGEST_TEXT = 50_000
"""Characters of one text given to the model at once; longer texts are cut into pieces."""
_KINDS = {"PERSON": "person", "LOCATION": "place"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesModel:
    """A model that can tell names."""

    name: str
    """spaCy package, or folder."""
    language: str
    """ISO 639 code."""
    version: str
    """Version it states."""

    @property
    def digest(self) -> str:
        """What a count was made with."""
        return digest_json([Path(self.name).name, self.language, self.version])


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCount:
    """How many names a sample holds."""

    model: NamesModel
    """What counted."""
    counts: dict[str, int]
    """``person`` and ``place`` → how many."""
    text_bytes: int
    """Bytes of text looked at."""

    @property
    def per_megabyte(self) -> dict[str, float]:
        """``person`` and ``place`` → how many per million bytes."""
        return {kind: count / max(self.text_bytes / 1e6, 1e-6) for kind, count in self.counts.items()}


def names_model() -> NamesModel | None:
    """The model that is at hand; None where presidio or a spaCy model is not installed. Loads neither.

    Raises:
        UnavailableError: if `MODEL_VARIABLE` names a model that is not there, or presidio is missing for it.
    """
    named = os.environ.get(MODEL_VARIABLE)
    has_presidio = importlib.util.find_spec("presidio_analyzer") is not None
    installed = {point.name: point for point in entry_points(group="spacy_models")}
    if named is None:
        first = next(iter(sorted(installed)), None)
        return _installed(installed[first]) if first and has_presidio else None
    if not has_presidio:
        raise UnavailableError(f"{MODEL_VARIABLE} is set and presidio is not installed", mend="pip install 'kdgov[names]'.")
    if named in installed:
        return _installed(installed[named])
    try:
        meta = json.loads((Path(named) / "meta.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"{MODEL_VARIABLE} names {named!r}, which is not a spaCy model", mend="Install it, or name its folder (with meta.json)."
        ) from error
    return NamesModel(name=named, language=str(meta.get("lang", "en")), version=str(meta.get("version", "")))


def _installed(point: EntryPoint) -> NamesModel:
    version = point.dist.version if point.dist is not None else ""
    return NamesModel(name=point.name, language=point.name.split("_", 1)[0], version=version)


def count_names(paths: Sequence[Path], *, text_bytes: int, model: NamesModel) -> NameCount:
    """Names in a sample of some files: every n-th row, so that about `SAMPLE_BYTES` are looked at.

    Args:
        paths: the files, as the scan read them.
        text_bytes: bytes of text they hold together.
        model: what counts.
    """
    analyze = _analyzer(model)
    step = max(1, text_bytes // SAMPLE_BYTES)
    counts: Counter[str] = Counter(dict.fromkeys(_KINDS.values(), 0))
    looked_at = 0
    for text in _sampled(paths, step):
        looked_at += len(text.encode("utf-8", "replace"))
        counts.update(_KINDS[found] for found in analyze(text))
        if looked_at >= SAMPLE_BYTES:
            break
    return NameCount(model=model, counts=dict(counts), text_bytes=looked_at)


def _sampled(paths: Sequence[Path], step: int) -> Iterator[str]:
    number = 0
    for path in paths:
        for row in read_rows(path, Tally()):
            number += 1
            if number % step:
                continue
            for piece in row.pieces:
                yield from (piece.text[at : at + LONGEST_TEXT] for at in range(0, len(piece.text), LONGEST_TEXT))


def _analyzer(model: NamesModel) -> Any:
    """A function from text to the kinds of names in it.

    The default engine would fetch a model: this one takes what is installed, and no recogniser but the model's own.
    """
    presidio = importlib.import_module("presidio_analyzer")
    engines = importlib.import_module("presidio_analyzer.nlp_engine")
    recognizers = importlib.import_module("presidio_analyzer.predefined_recognizers")
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": model.language, "model_name": model.name}]}
    registry = presidio.RecognizerRegistry(supported_languages=[model.language])
    registry.add_recognizer(recognizers.SpacyRecognizer(supported_language=model.language))
    engine = presidio.AnalyzerEngine(
        nlp_engine=engines.NlpEngineProvider(nlp_configuration=settings).create_engine(),
        registry=registry,
        supported_languages=[model.language],
    )

    def analyze(text: str) -> list[str]:
        return [found.entity_type for found in engine.analyze(text, language=model.language, entities=list(_KINDS))]

    return analyze
