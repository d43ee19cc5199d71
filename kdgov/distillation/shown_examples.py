"""Examples as the student will see them, before any compute: the text, and which of its tokens are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.loading import load_tokenizer
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.data.tokenization import TokenExample, tokenized

LEARNT, SHOWN = "learnt", "shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownExample:
    """One example of a language model, in pieces."""

    item_id: str
    """Its name."""
    pieces: tuple[tuple[str, str], ...]
    """(``learnt`` or ``shown``, text) in order; together the whole text as the model sees it."""
    tokens: int
    """Tokens of the whole."""
    learnt: int
    """Tokens that count."""


def shown_examples(recipe: Distillation, tokenizer_path: Path, data_files: Sequence[Path], count: int) -> list[ShownExample]:
    """The first examples of the data as they are trained on.

    Args:
        recipe: for ``loss_on`` and ``max_length``.
        tokenizer_path: folder of the student's tokenizer.
        data_files: files to learn from.
        count: how many to show.

    Raises:
        InputError: if a file, an example or the tokenizer is at fault.
    """
    tokenizer = load_tokenizer(tokenizer_path)
    examples = [e for e in read_examples(data_files) if e.messages or e.completion]
    return [_shown(made, tokenizer) for made in tokenized(examples[:count], tokenizer, recipe).examples]


def _shown(made: TokenExample, tokenizer: Any) -> ShownExample:
    runs: list[tuple[str, list[int]]] = []
    for token, counted in zip(made.ids.tolist(), made.counted.tolist(), strict=True):
        kind = LEARNT if counted else SHOWN
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append(token)
    pieces = tuple((kind, str(tokenizer.decode(ids))) for kind, ids in runs)
    return ShownExample(item_id=made.item_id, pieces=pieces, tokens=len(made.ids), learnt=int(made.counted.sum()))
