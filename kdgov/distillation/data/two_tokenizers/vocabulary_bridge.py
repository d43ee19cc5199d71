"""Two vocabularies brought together: tokens of the same text are one event, others count as what the other side would begin with.

Where one side has a token for "there" and the other writes "the" and "re", "there" is one way to go on with "the": its probability belongs
to that event. Compared without it, a student would be taught that "the" is rarer than its teacher thinks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
REST = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyBridge:
    """Event of every token of both sides."""

    student: NDArray[np.int64]
    """(student's ids,) event of each token; -1: it has nothing in common with the teacher's."""
    teacher: NDArray[np.int64]
    """(teacher's ids,) likewise."""
    texts: tuple[bytes, ...]
    """What every token of an event begins with; empty for the end of text."""


def vocabulary_bridge(student: Any, teacher: Any) -> VocabularyBridge:
    """The events of two tokenizers, over all ids that each has."""
    said = [token_texts(tokenizer) for tokenizer in (student, teacher)]
    # Words without blanks in them (word level, WordPiece) leave open whether one precedes; lower-cased ones, which case it was.
    bare = any(_is_without_blanks(texts) for texts in said)
    low = any(_forgets_case(tokenizer) for tokenizer in (student, teacher))
    mine, theirs = (_keys(texts, bare=bare, low=low) for texts in said)
    whole = [_is_without_blanks(texts) and not _has_pieces(one) for one, texts in zip((student, teacher), said, strict=True)]
    begun = (_begun(student, mine, set(theirs.values()), bare=bare), _begun(teacher, theirs, set(mine.values()), bare=bare))
    roots = _Roots(begun, (frozenset(mine.values()), frozenset(theirs.values())), (whole[0], whole[1]))
    of_mine = {number: roots.of_student(text) for number, text in mine.items()}
    of_theirs = {number: roots.of_teacher(text) for number, text in theirs.items()}
    ends = (student.eos_token_id, teacher.eos_token_id)
    if None not in ends:
        # An end of text is an end of text, however it is spelt.
        of_mine[ends[0]] = of_theirs[ends[1]] = b""
    texts = sorted(text for text in set(of_mine.values()) & set(of_theirs.values()) if text is not None)
    events = {text: event for event, text in enumerate(texts)}
    tables = []
    for tokenizer, found in ((student, of_mine), (teacher, of_theirs)):
        table = np.full(max(tokenizer.get_vocab().values()) + 1, REST, dtype=np.int64)
        for number, text in found.items():
            table[number] = events.get(text, REST) if text is not None else REST
        tables.append(table)
    return VocabularyBridge(student=tables[0], teacher=tables[1], texts=tuple(texts))


def _keys(texts: Mapping[int, bytes], *, bare: bool, low: bool) -> dict[int, bytes]:
    """What each token is compared by. Beside words without blanks, " dog" is the word; "dog" goes on with another, and is left out."""
    after_blank = {text.lstrip(b" ") for text in texts.values() if text.startswith(b" ")} if bare else set()
    found = {}
    for number, text in texts.items():
        if text in after_blank:
            continue
        key = text.lstrip(b" ") or text if bare else text
        found[number] = key.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape") if low else key
    return found


def _is_without_blanks(texts: Mapping[int, bytes]) -> bool:
    return not any(b" " in text for text in texts.values())


def _has_pieces(tokenizer: Any) -> bool:
    """Whether a word may be written in several tokens: by merges, or by pieces that are marked as going on."""
    model = json.loads(tokenizer.backend_tokenizer.to_str()).get("model") or {}
    return str(model.get("type", "WordLevel")) != "WordLevel"


def _forgets_case(tokenizer: Any) -> bool:
    return bool(tokenizer("A b", add_special_tokens=False)["input_ids"] == tokenizer("a b", add_special_tokens=False)["input_ids"])


class _Roots:
    """What a token's text counts as: the longest beginning that is a token on the other side, and so on until both have it.

    Whole words (word level) are never gone on with: a text that begins with one is not begun by it.
    """

    def __init__(
        self,
        begun: tuple[Mapping[bytes, bytes], Mapping[bytes, bytes]],
        texts: tuple[frozenset[bytes], frozenset[bytes]],
        whole_words: tuple[bool, bool],
    ) -> None:
        self._begun, (self._mine, self._theirs) = begun, texts
        self._mine_ends, self._theirs_end = whole_words

    def of_student(self, text: bytes) -> bytes | None:
        """The event of one of the student's tokens; None where the teacher has no token to begin it with."""
        if self._theirs_end:
            # The teacher's words are begun by this very token, or it is a word of both.
            return text if not self._mine_ends or text in self._theirs else None
        begins = text if text in self._theirs else self._begun[1].get(text) or _longest(text, self._theirs)
        return begins if begins is None or begins == text or self._mine_ends else self.of_teacher(begins)

    def of_teacher(self, text: bytes) -> bytes | None:
        """The event of one of the teacher's; None where the student has no token to begin it with."""
        if self._mine_ends:
            return text if not self._theirs_end or text in self._mine else None
        begins = text if text in self._mine else self._begun[0].get(text) or _longest(text, self._mine)
        return begins if begins is None or begins == text or self._theirs_end else self.of_student(begins)


def _begun(tokenizer: Any, keys: Mapping[int, bytes], texts: set[bytes], *, bare: bool) -> dict[bytes, bytes]:
    """Text of the other side → the token that this tokenizer begins it with; merges decide, not the longest token there is.

    What is no text by itself (half a character), or is begun by what it does not begin with, is left out.
    """
    has_blanks = bare and any(text.startswith(b" ") for text in token_texts(tokenizer).values())
    readable = [text for text in sorted(texts) if _is_text(text)]
    shown = [(" " if has_blanks and text[:1].isalnum() else "") + text.decode() for text in readable]
    made = tokenizer(shown, add_special_tokens=False)["input_ids"] if shown else []
    found = {}
    for text, ids in zip(readable, made, strict=True):
        first = keys.get(ids[0]) if len(ids) else None
        if first and text.startswith(first):
            found[text] = first
    return found


def _is_text(text: bytes) -> bool:
    try:
        return bool(text.decode())
    except UnicodeDecodeError:
        return False


def _longest(text: bytes, among: frozenset[bytes]) -> bytes | None:
    return next((text[:length] for length in range(len(text), 0, -1) if text[:length] in among), None)


def token_texts(tokenizer: Any) -> dict[int, bytes]:
    """Id → the bytes of text that a token stands for; special tokens, which stand for none, are left out."""
    special = set(tokenizer.all_special_ids)
    added = {number: token for token, number in tokenizer.get_added_vocab().items()}
    of_bytes = _is_byte_level(tokenizer)
    found = {}
    for token, number in tokenizer.get_vocab().items():
        if number in special:
            continue
        found[number] = added[number].encode("utf-8", "replace") if number in added else _text(token, of_bytes)
    return {number: text for number, text in found.items() if text}


def _text(token: str, of_bytes: bool) -> bytes:
    table = _byte_of_letter()
    if of_bytes and all(letter in table for letter in token):
        return bytes(table[letter] for letter in token)
    if byte := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(byte.group(1), 16)])
    return token.replace("▁", " ").removeprefix("##").encode("utf-8", "replace")


def _is_byte_level(tokenizer: Any) -> bool:
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    return "ByteLevel" in json.dumps([whole.get("pre_tokenizer"), whole.get("decoder")])


@cache
def _byte_of_letter() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones stand for themselves, the others for letters from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}
