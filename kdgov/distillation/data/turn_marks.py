"""What a message of a conversation says: its words, and whether its writer marked the turn as one that is not learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEARN = "learn"
"""Key of a message that is not learnt (False); absent otherwise."""
_SWITCHES = ("train", "training", "trainable", "train_on_turn", "loss", LEARN)
"""Axolotl's, ms-swift's and others' ways to say whether an assistant's turn is learnt."""
_SHARES = ("weight", "loss_weight")
"""OpenAI's fine-tuning format: 0 or 1."""
_FINER = ("train_detail", "training_detail")
MARKS = frozenset((*_SWITCHES, *_SHARES, *_FINER))
"""Every key of a message that is about training and not part of the conversation."""


def is_learnt(turn: Mapping[str, Any]) -> bool:
    """Whether a turn may be learnt, by its own mark.

    Raises:
        ValueError: saying which mark cannot be followed.
    """
    learnt = True
    for key in (name for name in MARKS if turn.get(name) is not None):
        value = turn[key]
        if key in _FINER:
            raise ValueError(f"marks parts of a turn with `{key}`, which is not read")
        if value not in (0, 1) or not isinstance(value, bool | int | float):
            raise ValueError(f"has a turn with `{key}: {value!r}`; a turn is learnt or not")
        learnt = learnt and bool(value)
    return learnt


def words_of(message: Mapping[str, Any]) -> str:
    """A message's content as text."""
    return "".join(texts_of(message))


def texts_of(message: Mapping[str, Any]) -> list[str]:
    """The texts of a message's content: one, or one for each part."""
    content = message.get("content", "")
    return [str(part.get("text", "")) for part in content if isinstance(part, Mapping)] if isinstance(content, list) else [str(content)]


def foreign_part(turn: Mapping[str, Any]) -> str:
    """The kind of a part of a message's content that is no text; empty where all is."""
    content = turn.get("content")
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            return str(part.get("type", "unnamed")) if isinstance(part, Mapping) else type(part).__name__
    return ""
