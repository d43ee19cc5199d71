"""How a model is asked: what two models must have in common before their numbers may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a model is asked: part of the key of every answer."""

    backend: str = "hf"
    """``hf`` (shared-prefix scorer, lm-eval's HFLM where it does not apply) or ``hf-plain`` (HFLM alone)."""
    dtype: str = "float32"
    """Type the weights are computed in."""
    device: str = "cpu"
    """Torch device."""
    batch_tokens: int = 4096
    """Most tokens of one batch, padding included."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the backend (address, model name …)."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {
            "backend": self.backend,
            "dtype": self.dtype,
            "device": self.device.split(":")[0],
            "batch_tokens": self.batch_tokens,
            "options": dict(self.options),
        }
