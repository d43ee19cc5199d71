"""How models are asked (``evaluation:`` of a release, and the flags of `kdgov evaluate`): the same for both, or one role apart."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import Declared

ENDPOINT_BACKENDS = ("completions", "chat")
"""Backends that ask an address."""
Backend = Literal["hf", "hf-plain", "vllm", "completions", "chat"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def _device(name: str) -> str:
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps", "xpu") or (":" in name and not number.isdigit()) or (kind in ("auto", "cpu") and number):
        raise ValueError(f"{name!r} is not a device\nWrite auto, cpu, cuda, cuda:1 or mps.")
    return name


Device = Annotated[str, AfterValidator(_device)]


class Reasoning(Declared):
    """Models that think before they answer."""

    enabled: bool | None = None
    """Whether thinking is switched on or off in the chat template (``enable_thinking``); absent: the template's own default."""
    start: str = Field(default="<think>", min_length=1)
    """What opens thoughts in the text."""
    end: str = Field(default="</think>", min_length=1)
    """What closes them; everything before the last one is thoughts."""
    budget_tokens: int = Field(default=4096, ge=0)
    """Tokens for thoughts, on top of the answer's own length; used where thoughts are possible."""


class ServedModel(Endpoint):
    """An endpoint that serves a model whose weights are at hand; its terms are those of the model."""

    terms: str = ""
    """Not needed: the model's own licence holds."""


class RoleSettings(Declared):
    """What one role alone is asked with; what is absent is taken from ``evaluation:`` itself."""

    device: Device | None = None
    """auto, cpu, cuda, cuda:1 or mps."""
    dtype: Dtype | None = None
    """Type the weights are computed in."""
    backend: Backend | None = None
    """Who answers."""
    devices: Literal["auto", "shard"] | None = None
    """One copy per device, or one model over all of them."""
    batch_tokens: int | Literal["auto"] | None = None
    """Most tokens of one batch."""
    concurrency: int | None = Field(default=None, ge=1, le=256)
    """Requests in flight at an endpoint."""
    reasoning: Reasoning | None = None
    """Thoughts."""
    endpoint: ServedModel | None = None
    """Where the model is served."""


class EvaluationSettings(Declared):
    """How a release's models are asked."""

    device: Device = "auto"
    """auto takes the accelerator where there is one."""
    dtype: Dtype = "auto"
    """Type the weights are computed in; auto: as they are stored."""
    backend: Backend = "hf"
    """hf (kdgov's scorer over transformers), hf-plain (lm-eval's HFLM), vllm, completions or chat (an endpoint)."""
    devices: Literal["auto", "shard"] = "auto"
    """hf: one copy per device, or ``shard`` one model over all of them."""
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Most tokens of one batch, padding included."""
    concurrency: int | None = Field(default=None, ge=1, le=256)
    """Requests in flight at an endpoint; default what the endpoint declares (16)."""
    efficiency: bool = True
    """Whether cost is measured; false leaves it out."""
    reasoning: Reasoning | None = None
    """Models that think before they answer; absent: what looks like thoughts stays part of the answer."""
    limit: int | None = Field(default=None, ge=1)
    """At most so many items of each task, drawn by hash: a quick look, judged as what it is."""
    prove: bool = True
    """Whether a completions endpoint is tried against the checkpoint here before it is believed."""
    reask: int = Field(default=20, ge=0)
    """Requests that an endpoint is asked a second time at the end, to see whether it still answers the same."""
    baseline: bool | None = None
    """Whether the untrained student is asked as well; absent: where the teacher is an endpoint."""
    endpoint: ServedModel | None = None
    """Where the models are served, for backend completions or chat."""
    teacher: RoleSettings = Field(default_factory=RoleSettings)
    """Any of these for the teacher alone."""
    student: RoleSettings = Field(default_factory=RoleSettings)
    """Any of these for the student alone."""

    @model_validator(mode="after")
    def _has_effect(self) -> EvaluationSettings:
        for role in ("teacher", "student"):
            if fault := _without_effect(self.of(role), getattr(self, role), f"evaluation.{role}"):
                raise ValueError(fault)
        # What both models share has an effect where one of them takes it.
        faults = [_without_effect(self.of(role), self, "evaluation") for role in ("teacher", "student")]
        if all(faults):
            raise ValueError(faults[0])
        return self

    def of(self, role: str) -> RoleSettings:
        """Everything that holds for one role, with its own settings first."""
        own = getattr(self, role, None) or RoleSettings()
        common: dict[str, Any] = {name: getattr(self, name) for name in RoleSettings.model_fields}
        return RoleSettings.model_construct(**{**common, **{n: v for n in RoleSettings.model_fields if (v := getattr(own, n)) is not None}})


def _without_effect(said: RoleSettings, own: RoleSettings | EvaluationSettings, name: str) -> str:
    """What is set under ``name`` and has no effect on a model for which ``said`` holds; empty where all has one."""
    backend = said.backend or "hf"
    stated = [key for key in ("device", "dtype", "devices", "batch_tokens") if getattr(own, key) not in ("auto", None)]
    if own.endpoint is not None and backend not in ENDPOINT_BACKENDS:
        return f"names {name}.endpoint, which backend {backend} does not ask\nWrite `backend: chat` or `completions`, or remove it."
    if own.endpoint is not None and own.endpoint.api != backend:
        return f"asks {name}.endpoint with api {own.endpoint.api} by backend {backend}\nWrite the same for both."
    if stated and backend in ENDPOINT_BACKENDS:
        return f"sets {name}.{stated[0]}, which an endpoint decides for itself\nRemove it."
    if "device" in stated and backend == "vllm":
        return f"sets {name}.device, which vLLM decides for itself: it takes the kind it was installed for\nRemove it."
    if "devices" in stated and backend == "vllm":
        return f"sets {name}.devices: shard, which has no effect on backend vllm\nRemove it; an engine spreads by its own settings."
    if "devices" in stated and said.device not in ("auto", "cuda", None):
        return f"sets {name}.devices: shard, which contradicts device: {said.device}\nRemove one: a spread model takes every accelerator."
    return ""
