"""Where data came from: upstreams, generators, files, columns and the people in it, as cards record them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from kdgov.declarations.load import Declared
from kdgov.digest import PREFIX
from kdgov.license.vocabulary import Access, Use


def _normal_digest(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 64:
        return PREFIX + value.lower()
    return value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Digest = Annotated[str, BeforeValidator(_normal_digest), StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""``sha256:`` and 64 hexadecimal digits; bare digits are accepted."""

Names = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=list[str] | str)]
"""One text or a list of texts."""

CardName = Annotated[str, StringConstraints(min_length=1, max_length=250)]


class Lineage(Declared):
    """One upstream of a model or dataset, by the use that was made of it; ``made_by`` nests as deep as the lineage goes."""

    use: Use
    """What was done with it."""
    name: str
    """What it is called."""
    license: str | None = None
    """SPDX expression, LicenseRef or hub tag; absent: taken from ``card``, else unknown."""
    license_text: str | None = None
    """File holding the licence's text; text beats tag."""
    access: Access | None = None
    """How it was reached, where that decides (API terms)."""
    hosted_by: str | None = None
    """Who operated it; ``self`` for the organisation itself."""
    rights_holder: str | None = None
    """Whose it is, where the licence is ``LicenseRef-FirstParty``; default the organisation."""
    revision: str | None = None
    """Commit or version."""
    digest: Digest | None = None
    """Content digest."""
    personal_data: bool | None = None
    """Whether it holds personal data."""
    card: str | None = None
    """Card file of this upstream: its own lineage is followed."""
    made_by: list[Lineage] = Field(default_factory=list)
    """What it was made by in turn."""


_MAY_BE_UNKNOWN = (
    "revision", "license", "terms", "terms_date", "access_date", "sampling", "seed", "prompt_template_digest", "system_prompt_digest",
    "filters",
)  # fmt: skip


class Generation(Declared):
    """How synthetic data came to be: kept per shard, so that the generator's terms can be proven later."""

    kind: Literal["model", "program"] = "model"
    """A model wrote it, or a program (templates, a simulator) without any model."""
    generator: str
    """Model id, or module of the program."""
    revision: str | None = None
    """Commit or digest of the generator."""
    license: str | None = None
    """Licence or terms of the generator as an identifier; for a program, of the program."""
    access: Access | None = None
    """How a model was reached."""
    hosted_by: str | None = None
    """Who operated the model; ``self`` for the organisation itself."""
    terms: str | None = None
    """Id of the terms in force (a LicenseRef, a contract number)."""
    terms_date: datetime.date | None = None
    """Effective date of these terms."""
    terms_digest: Digest | None = None
    """Digest of their text as it was read."""
    access_date: datetime.date | None = None
    """When the data was generated."""
    account_type: Literal["consumer", "api", "enterprise"] | None = None
    """Kind of account: the terms differ."""
    endpoint_region: str | None = None
    """Where the endpoint ran."""
    sampling: dict[str, Any] | None = None
    """temperature, top_p, max_tokens …"""
    seed: int | None = None
    """Seed of the generator."""
    prompt_template_digest: Digest | None = None
    """Digest of the prompt template."""
    system_prompt_digest: Digest | None = None
    """Digest of the system prompt."""
    filters: list[str] | None = None
    """Filters and judges that chose what was kept; an empty list says that nothing was filtered."""
    human_edited: bool | None = None
    """Whether people edited the text."""
    signal: Literal["text", "logits", "hidden_states", "judge_scores"] = "text"
    """What was taken from the generator."""
    inputs: list[str] = Field(default_factory=list)
    """Names of the data the generator was prompted with."""
    unknown: Names = Field(default_factory=list)
    """Fields nobody outside its maker knows; ``unknown`` written as a field's value says the same."""

    @model_validator(mode="before")
    @classmethod
    def _names_what_is_unknown(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        # `unknown` is an honest answer and never a value: a digest, a list of filters or a revision of that name would pass for known.
        said = [key for key in _MAY_BE_UNKNOWN if isinstance(value.get(key), str) and value[key].strip().lower() == "unknown"]
        if not said:
            return value
        kept = {key: item for key, item in value.items() if key not in said}
        return {**kept, "unknown": [*_as_list(kept.get("unknown") or []), *said]}


class DataFile(Declared):
    """One file of a dataset, pinned (Croissant's FileObject)."""

    path: str
    """Relative to the card, then to the working folder."""
    digest: Digest | None = None
    """sha256 of the file's bytes."""
    kind: str = "text"
    """What the shard holds, in the dataset's own words: ``facts``, ``refusals`` …"""
    rows: int | None = Field(default=None, ge=0)
    """Number of examples."""
    size_bytes: int | None = Field(default=None, ge=0)
    """Size on disk."""
    generation: Generation | None = None
    """How this shard was made, where it differs from the card's."""


class Column(Declared):
    """One column of the table a dataset holds (Croissant's Field)."""

    name: str
    """Key of the JSON lines or column of the Parquet file."""
    type: Literal["text", "integer", "number", "boolean", "date", "list", "mapping"] = "text"
    """Type of its values."""
    description: str = ""
    """What it means."""
    required: bool = True
    """Whether every row has it."""
    unique: bool = False
    """Whether no value repeats."""
    minimum: float | None = None
    """Least allowed number."""
    maximum: float | None = None
    """Greatest allowed number."""
    allowed: list[Any] | None = None
    """The allowed values, where they are few."""
    pattern: str | None = None
    """Regular expression that every text matches from start to end."""


class PersonalData(Declared):
    """The data-subject record: on what ground personal data may be in the set, for what, and until when."""

    lawful_basis: Literal[
        "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests", "not_established"
    ] = "not_established"
    """Ground of processing (Art. 6 GDPR's six)."""
    consent: str | None = None
    """Id of the consent record or of the balancing test."""
    purposes: Names = Field(default_factory=list)
    """What it may be used for: ``model_training``, ``evaluation``, ``commercial``, ``research``, or your own words."""
    retention_until: datetime.date | None = None
    """Last day on which it may be kept and used."""
    withdrawal_process: str | None = None
    """How people withdraw."""
    id_field: str | None = None
    """Column that names the person, so that withdrawn ones can be looked for."""
    withdrawn_ids: list[str] = Field(default_factory=list)
    """People who withdrew: the ids, or their ``sha256:`` digests."""
    withdrawn_file: str | None = None
    """File with one withdrawn id (or digest) per line."""
    classification: str | None = None
    """Confidentiality class."""
    geography_allowed: Names = Field(default_factory=list)
    """Country codes where it may be processed; empty: everywhere."""
    geography_forbidden: Names = Field(default_factory=list)
    """Country codes where it may not."""
    deidentification: str | None = None
    """Method, where people were made unrecognisable."""
