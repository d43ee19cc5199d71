"""Cards: what is known of one model (``kdgov.model_card/1``) or one dataset (``kdgov.dataset_card/1``).

Field names follow the Data & Trust Alliance provenance standard 1.0.0 (``issuer``, ``origin_geography``, ``generation_method``,
``intended_purpose``, ``consents`` …, hyphens written as underscores) and, for files and columns, Croissant's notions. Almost
everything is optional: a small honest card is a card. What a release needs of it is decided by `kdgov.checks.findings.provenance`.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from kdgov.declarations.data_origin import CardName, Column, DataFile, Digest, Generation, Lineage, Names, PersonalData
from kdgov.declarations.load import Declared, load, read_yaml, validate
from kdgov.errors import DeclarationError, Fault
from kdgov.license.vocabulary import Access

MODEL_CARD: Literal["kdgov.model_card/1"] = "kdgov.model_card/1"
DATASET_CARD: Literal["kdgov.dataset_card/1"] = "kdgov.dataset_card/1"


class _Card(Declared):
    """What both kinds of card say."""

    name: CardName
    """What it is called."""
    version: str = ""
    """Version of the described thing."""
    id: str | None = None
    """Hub id, DOI or other identifier."""
    issuer: str = ""
    """Person or organisation that issued it."""
    location: str | None = None
    """Where it is published."""
    description: str = ""
    """What it is, in plain words."""
    date: datetime.date | None = None
    """When this version was issued."""
    license: str | None = None
    """SPDX expression, LicenseRef, scancode key or hub tag; absent: unknown."""
    license_text: str | None = None
    """File holding the licence's text; text beats tag."""
    license_url: str | None = None
    """Where the licence is published."""
    rights_holder: str | None = None
    """Whose it is, where the licence is ``LicenseRef-FirstParty``; default the organisation."""
    copyright: str | None = None
    """Copyright line, for attribution."""
    revision: str | None = None
    """Commit or version pin."""
    language: Names = Field(default_factory=list)
    """Language codes."""
    tags: Names = Field(default_factory=list)
    """Free tags."""
    lineage: list[Lineage] = Field(default_factory=list)
    """What it was made from and by."""
    intended_purpose: str = ""
    """What it is meant for."""
    personal_data: PersonalData | bool | None = None
    """false: it holds none; true or a record: it does; absent: not said."""
    further: dict[str, Any] = Field(default_factory=dict)
    """Anything else, kept and shown, never judged."""


class ModelCard(_Card):
    """What is known of one model."""

    schema_: Literal["kdgov.model_card/1"] = Field(alias="schema")
    """Must be ``kdgov.model_card/1``."""
    digest: Digest | None = None
    """Digest of the weights, as `kdgov.checkpoints.identity.model_identity` computes it."""
    tokenizer_digest: Digest | None = None
    """Digest of the tokenizer."""
    architecture: str | None = None
    """Class of the model, such as LlamaForCausalLM."""
    parameters: int | None = Field(default=None, ge=0)
    """Number of parameters."""
    kind: str = "generative"
    """generative, foundational_generative, classifier, encoder, …: licence rules depend on it."""
    access: Access | None = None
    """How it is reached; default ``weights``."""
    hosted_by: str | None = None
    """Who operates it; ``self`` for the organisation itself."""
    base_model: Names = Field(default_factory=list)
    """The Hub's own field: models it was made from; say how under ``lineage``."""
    base_model_relation: str | None = None
    """The Hub's own field: adapter, merge, quantized, finetune or free text."""
    datasets: Names = Field(default_factory=list)
    """The Hub's own field: datasets it was trained on; say how under ``lineage``."""
    capabilities: Names = Field(default_factory=list)
    """Tags of capabilities, sensitive ones included, such as ``medical`` or ``cybersecurity``."""
    mitigations: list[Literal["refusal_training", "system_prompt", "guard_model", "output_filter"]] = Field(default_factory=list)
    """What keeps the model from doing harm; a release on it has to say what tests each of them on the student."""
    training_method: str = ""
    """How it was trained."""
    training_flops: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Operations of its whole training, that of everything it starts from included: the EU AI Act's question turns on it."""
    training_tokens: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Tokens of its whole training, repeats included; with ``parameters`` an estimate of the operations."""


class DatasetCard(_Card):
    """What is known of one dataset."""

    schema_: Literal["kdgov.dataset_card/1"] = Field(alias="schema")
    """Must be ``kdgov.dataset_card/1``."""
    files: list[DataFile] = Field(default_factory=list)
    """Its files."""
    columns: list[Column] = Field(default_factory=list)
    """The table they hold."""
    format: str | None = None
    """MIME type or plain name of the format."""
    origin: str = ""
    """Where the data was first obtained."""
    origin_geography: Names = Field(default_factory=list)
    """Country codes of where it comes from."""
    previous_date: datetime.date | None = None
    """Date of the version before."""
    generation_period: str | None = None
    """From when to when it was collected or generated."""
    generation_method: str = ""
    """How it came to be: collected, crawled, licensed, synthetic, …"""
    generation: Generation | None = None
    """For synthetic data: by what, under which terms."""
    classification: str | None = None
    """Confidentiality class."""
    consents: Names = Field(default_factory=list)
    """Where consents are documented."""
    privacy_enhancing: Names = Field(default_factory=list)
    """Privacy-enhancing methods applied."""
    processing_included: Names = Field(default_factory=list)
    """Country codes where processing is allowed; empty: everywhere."""
    processing_excluded: Names = Field(default_factory=list)
    """Country codes where processing is forbidden."""
    storage_allowed: Names = Field(default_factory=list)
    """Country codes where storage is allowed."""
    storage_forbidden: Names = Field(default_factory=list)
    """Country codes where storage is forbidden."""
    patent: str | None = None
    """Patents that bear on it."""
    trademark: str | None = None
    """Trademarks that bear on it."""
    capabilities: Names = Field(default_factory=list)
    """Tags of capabilities it teaches, sensitive ones included."""

    @model_validator(mode="after")
    def _names_each_file_once(self) -> DatasetCard:
        paths = [file.path for file in self.files]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once\nKeep one entry per file.")
        return self


Card = ModelCard | DatasetCard


def load_model_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises:
        InputError: if it cannot be read; `DeclarationError` names every fault in it.
    """
    return load(path, ModelCard)


def load_dataset_card(path: Path) -> DatasetCard:
    """Read a dataset card.

    Raises:
        InputError: if it cannot be read; `DeclarationError` names every fault in it.
    """
    return load(path, DatasetCard)


def load_card(path: Path) -> Card:
    """Read a card of either kind, as its ``schema`` says.

    Raises:
        InputError: if it cannot be read; `DeclarationError` names every fault in it.
    """
    value, lines = read_yaml(path)
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema == DATASET_CARD:
        return validate(value, DatasetCard, file=str(path), lines=lines)
    if schema == MODEL_CARD:
        return validate(value, ModelCard, file=str(path), lines=lines)
    fault = Fault(
        file=str(path),
        key="schema",
        line=lines.get(("schema",), 0),
        what=f"is {schema!r}, which is not a kind of card",
        mend=f"Write `schema: {MODEL_CARD}` or `schema: {DATASET_CARD}`.",
    )
    raise DeclarationError([fault])
