"""An OpenAI-compatible endpoint as releases and suites declare it: where it is, who answers there, and what it may cost."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from kdgov.declarations.endpoint_fields import KeyVariable, PlainAddress, region_code
from kdgov.declarations.load import Declared

_USUAL_PORTS = {"http": 80, "https": 443}
_OWN_KEYS = ("model", "messages", "prompt", "n")


def usual_key(base_url: str) -> str | None:
    """The variable that holds the key of an address where none is named; None where none is sent."""
    return "OPENAI_API_KEY" if urlsplit(base_url).hostname == "api.openai.com" else None


def refuse_unfit_keys(extra_body: dict[str, Any], *, has_budget: bool, has_price: bool) -> None:
    """Nothing, unless a budget has no price to be counted by, or ``extra_body`` sets what every request sets itself.

    Raises:
        ValueError: saying which, and what to write.
    """
    if has_budget and not has_price:
        raise ValueError("has budget_usd and no price\nAdd `price: {input: …, output: …}` in US dollars per million tokens.")
    if own := sorted(set(extra_body) & set(_OWN_KEYS)):
        raise ValueError(f"sets {', '.join(own)} in extra_body, which every request sets itself\nRemove it there.")


class TokenPrice(Declared):
    """What an endpoint charges."""

    input: float = Field(ge=0)
    """US dollars per million tokens that are read."""
    output: float = Field(ge=0)
    """US dollars per million tokens that are written."""


class Endpoint(Declared):
    """An OpenAI-compatible endpoint: a model whose weights are not at hand, or a judge."""

    base_url: PlainAddress
    """Base URL, such as ``https://host/v1``; ``/chat/completions`` or ``/completions`` is added."""
    model: str = Field(min_length=1)
    """Model name to ask for."""
    api: Literal["chat", "completions"] = "chat"
    """Which of the two is asked: messages, or plain text."""
    terms: str
    """Licence or terms of use the answers come under, such as ``LicenseRef-OpenAI-Services-Agreement-2026-01-01``."""
    key_variable: KeyVariable | None = None
    """Environment variable that holds the key; it is never written anywhere. Absent: OPENAI_API_KEY for api.openai.com, none elsewhere."""
    answers_as: list[str] = Field(default_factory=list)
    """Further names under which the right model may answer. A dated form of ``model`` is always right; any other name stops the run."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Requests in flight at once."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Most requests started in a minute."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Most tokens, read and written, in a minute."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds to wait for one whole answer."""
    retries: int = Field(default=4, ge=0)
    """How often a failed request is repeated, with doubling pauses."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further keys of every request, such as ``{reasoning_effort: low}``; part of what decides an answer."""
    price: TokenPrice | None = None
    """What it charges; costs are planned, counted and kept with it."""
    budget_usd: float | None = Field(default=None, gt=0)
    """Most that one command may spend here; no request starts that could pass it."""
    region: Annotated[str | None, BeforeValidator(region_code)] = None
    """Country in which it works (two-letter code or name), or ``EU``; what is sent there is held against the data's card."""
    retention_days: int | None = Field(default=None, ge=0)
    """Days for which what is sent is kept there; 0: not kept."""
    processor_agreement: str | None = Field(default=None, min_length=3)
    """Id of the data-processing agreement with whoever runs it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Endpoint:
        refuse_unfit_keys(self.extra_body, has_budget=self.budget_usd is not None, has_price=self.price is not None)
        return self

    @property
    def key_name(self) -> str | None:
        """The variable that holds the key of this address; None where none is sent."""
        if self.key_variable is not None:
            return self.key_variable
        return usual_key(self.base_url)

    @property
    def address(self) -> str:
        """The address without its query: what identifies it in evidence."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

    @property
    def place(self) -> str:
        """The address as whoever resolves it would read it: host in small letters, without a usual port."""
        parts = urlsplit(self.address)
        port = "" if parts.port in (None, _USUAL_PORTS.get(parts.scheme)) else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"

    @property
    def url(self) -> str:
        """Where a request is sent."""
        query = urlsplit(self.base_url).query
        path = "chat/completions" if self.api == "chat" else "completions"
        return f"{self.address}/{path}" + (f"?{query}" if query else "")
