"""How many tokens texts have, by the checkpoint's fast tokenizer alone: no model and no transformers is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path


def token_counts(checkpoint: Path, texts: Sequence[str]) -> list[int]:
    """Tokens of each text; empty where the folder holds no ``tokenizer.json``, so that nothing is guessed."""
    file = checkpoint / "tokenizer.json"
    if not file.is_file():
        return []
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
