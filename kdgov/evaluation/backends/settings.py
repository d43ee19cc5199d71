"""How a model is asked: what two models must have in common before their numbers may be compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdgov.checkpoints.endpoint_identity import endpoint_identity
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.evaluation_settings import Reasoning
from kdgov.errors import InputError

LOW_PRECISION = ("bfloat16", "float16")
"""Types in which what an item scores may hang on its neighbours in the batch."""
BACKENDS = ("hf", "hf-plain", "local-completions", "vllm")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """How a model is asked: part of the key of every answer."""

    backend: str = "hf"
    """``hf`` (shared-prefix scorer, lm-eval's HFLM where it does not apply), ``hf-plain`` (HFLM alone), ``local-completions`` (an
    OpenAI-compatible completions endpoint) or ``vllm``, the last two through lm-eval's model classes."""
    dtype: str = "float32"
    """Type the weights are computed in; for an endpoint, what its operator says."""
    device: str = "cpu"
    """Torch device."""
    devices: str = "auto"
    """``shard``: one model spread over every accelerator; else one copy per device."""
    batch_tokens: int = 4096
    """Most tokens of one batch, padding included."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the backend that may change an answer."""
    address: str = ""
    """Endpoint of ``local-completions``; where a model is reached does not say how it was asked."""
    served_as: str = ""
    """Name the endpoint knows the model by."""
    connection: Endpoint | None = None
    """How that address is reached: key, requests in flight, seconds, repetitions. No answer hangs on it."""
    proves: bool = True
    """Whether an endpoint is tried against the checkpoint on this machine before it is believed."""
    endpoint: Endpoint | None = None
    """Who is asked, where nobody has the weights."""
    reasoning: Reasoning | None = None
    """How thoughts are told from answers; None: all of a text is its answer."""
    reask: int = 20
    """Requests that an endpoint is asked a second time."""

    def as_json(self) -> dict[str, Any]:
        """What must be equal for two models."""
        thinks = {"reasoning": self.reasoning.model_dump()} if self.reasoning is not None else {}
        if self.endpoint is not None:
            return {"backend": self.backend, "options": dict(self.options), **thinks}
        return {
            **thinks,
            "backend": self.backend,
            "dtype": self.dtype,
            "device": self.device.split(":")[0],
            "batch_tokens": self.batch_tokens,
            "options": dict(self.options),
            **({"devices": self.devices} if self.is_spread else {}),
        }

    @property
    def is_spread(self) -> bool:
        """Whether one model lies on several devices."""
        return self.devices == "shard"

    def key_json(self) -> dict[str, Any]:
        """What decides the answers: also who gives them, so that no endpoint's answers are ever taken for another's."""
        served = {"address": self.address, "served_as": self.served_as, "proves": self.proves}
        asked = {"endpoint": endpoint_identity(self.endpoint).as_json(), "reask": self.reask} if self.endpoint is not None else {}
        return {**self.as_json(), **({"served": served} if self.address else {}), **asked}

    def request_json(self) -> dict[str, Any]:
        """What decides a request to an endpoint, beside the question: how its answer is read later costs nothing to change."""
        thinks = self.reasoning
        asked = None if self.endpoint is None else endpoint_identity(self.endpoint).as_json()
        return {"backend": self.backend, "endpoint": asked, "thinks": None if thinks is None else [thinks.enabled, thinks.budget_tokens]}


_FORMER = ("BACKEND", "DTYPE", "DEVICE", "BATCH_TOKENS", "ADDRESS", "SERVED_AS", "PROVE")


_ARITHMETIC = {
    "NVIDIA_TF32_OVERRIDE": ("0",),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("0",),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("STRICT",),
    "DNNL_DEFAULT_FPMATH_MODE": ("STRICT",),
}
"""Variables by which libraries compute float32 in fewer bits than it has → values that change nothing."""


def refuse_former_variables() -> None:
    """Nothing, unless a variable is set that decides answers, or did in earlier versions: it would be taken for one that still does.

    Raises:
        InputError: naming it and the key that replaced it.
    """
    for name, plain in _ARITHMETIC.items():
        if os.environ.get(name) not in (None, "", *plain):
            mend = f"Unset it; fewer bits are declared: `evaluation.dtype: bfloat16`, or `{plain[0]}` leaves float32 as it is."
            raise InputError(f"{name} is set, and no environment variable decides an answer", where="environment", mend=mend)
    for name in _FORMER:
        for role in ("", "TEACHER_", "STUDENT_"):
            if os.environ.get(f"KDGOV_{role}{name}") is not None:
                key = {"ADDRESS": "endpoint.base_url", "SERVED_AS": "endpoint.model"}.get(name, name.lower())
                place = f"evaluation.{role.lower().replace('_', '.')}{key}"
                raise InputError(
                    f"KDGOV_{role}{name} is set, and no environment variable decides an answer",
                    where="environment",
                    mend=f"Unset it, and write `{place}` in the release or `--set {place}=…`; beside --model, give the flag.",
                )
