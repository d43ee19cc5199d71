"""Which id stands behind shorter texts of a batch, and that a model which answers at a text's last token knows it."""

from __future__ import annotations

from typing import Any


def pad_id(tokenizer: Any) -> int:
    """The id that is put behind shorter texts: the tokenizer's own, else the end of a text, else 0."""
    return next((int(i) for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)


def tell_padding(model: Any, pad: int) -> None:
    """Let a decoder with a head for classes (GPT-2, Llama, Qwen as classifier or reranker) know what its batches are padded with.

    It answers at the last token that is not ``pad_token_id`` of its configuration. Where that is another id than the tokenizer's, or none,
    it would answer at a padding token, differently for every batch, or refuse batches altogether.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not hasattr(inner, "score"):
        return
    for config in (inner.config, inner.config.get_text_config()):
        config.pad_token_id = pad
