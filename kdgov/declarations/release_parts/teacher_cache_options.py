"""The teacher's distributions kept on disk: how many tokens of each, and who tells them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import Declared


class TeacherCache(Declared):
    """The teacher's distributions, computed once and kept on disk by content of the example."""

    kind: Literal["top_k", "sampled"] = "top_k"
    """The ``k`` likeliest tokens and the mass of the rest (biased), or ``k`` draws with counts (unbiased, arXiv:2503.16870)."""
    k: int = Field(default=56, ge=1, le=255)
    """Tokens kept, or draws taken, per position; 56 fit into 300 bytes whatever the vocabulary."""
    folder: str | None = None
    """Folder of this very cache; absent: one in the store, shared by all releases it fits."""
    source: Literal["weights", "endpoint", "files"] = "weights"
    """Who fills it: the teacher's weights, an engine that tells ``prompt_logprobs`` (vLLM and alike), or files written elsewhere."""
    endpoint: Endpoint | None = None
    """The engine, with ``api: completions``; absent: the teacher's own endpoint."""
    files: list[str] = Field(default_factory=list)
    """JSON lines or Parquet: ``token_ids`` with ``top_ids`` and ``top_logprobs`` (or vLLM's ``prompt_logprobs``), one entry per token."""

    @model_validator(mode="after")
    def _is_told_by_one(self) -> TeacherCache:
        if (self.source == "files") != bool(self.files):
            raise ValueError("has `files` exactly where `source: files` is set\nSet both, or neither.")
        if self.endpoint is not None and self.source != "endpoint":
            raise ValueError("names an endpoint that nobody asks\nSet `source: endpoint`, or remove it.")
        if self.source != "weights" and self.kind != "top_k":
            raise ValueError(f"takes {self.kind} logits from {self.source}, which tell the likeliest tokens only\nSet `kind: top_k`.")
        return self

    def asked(self, teacher: Endpoint | None) -> Endpoint | None:
        """The engine that the texts are sent to: its own or the teacher's endpoint; None where none is asked."""
        return (self.endpoint or teacher) if self.source == "endpoint" else None
