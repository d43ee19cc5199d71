"""Whether two tokenizers map text to the same ids, and which ids mean the same token in both.

Digests of files answer too strictly: a file saved again by another version, merges written as strings or as lists, another end
token or more added tokens change the file and not what text becomes. Here tokenizers are compared after loading, by the parts that decide
ids; where those differ, by the ids of the texts at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kdgov.checkpoints.encoding import encode_batch
from kdgov.errors import InputError

_SHOWN = 12
# Parts of a loaded tokenizer that decide ids; the vocabulary is compared id by id, special tokens by what they do to a text.
_STEPS = ("normalizer", "pre_tokenizer")
_MODEL_NOISE = ("vocab", "merges", "dropout", "cache_capacity", "continuing_subword_prefix", "end_of_word_suffix")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIds:
    """The rows of an output distribution that stand for tokens; all others are padding of the matrix."""

    size: int
    """Ids from here on are none."""
    holes: tuple[int, ...] = ()
    """Ids below ``size`` that are none."""

    @property
    def count(self) -> int:
        """How many ids are known."""
        return self.size - len(self.holes)

    def unknown(self, ids: NDArray[Any]) -> NDArray[np.bool_]:
        """(same shape) which of some ids are not known."""
        outside: NDArray[np.bool_] = ids >= self.size
        return outside | np.isin(ids, self.holes) if self.holes else outside

    def within(self, rows: int) -> KnownIds:
        """The same, no further than a matrix of ``rows`` rows."""
        size = min(self.size, rows)
        return KnownIds(size=size, holes=tuple(hole for hole in self.holes if hole < size))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerAgreement:
    """What two tokenizers have in common."""

    known: KnownIds
    """Ids that mean the same token in both."""
    basis: Literal["files", "mapping", "texts"]
    """What shows that text becomes the same ids: equal files, equal parts after loading, or the ids of the texts at hand."""
    differences: tuple[str, ...] = ()
    """What differs all the same, in words."""


def known_ids(tokenizer: Any) -> KnownIds:
    """Ids that a tokenizer has a token for."""
    return _as_known(set(tokenizer.get_vocab().values()))


def agreement(
    teacher: Any, student: Any, texts: Sequence[tuple[str, str]], *, digests: tuple[str, str], where: str, instead: str = ""
) -> TokenizerAgreement:
    """What two loaded tokenizers have in common.

    Args:
        teacher: the teacher's.
        student: the student's.
        texts: (item, text) of the run, asked where their parts differ.
        digests: of the two, for a message.
        where: key to name in a message.
        instead: what else could be done, for a message.

    Raises:
        InputError: if a text becomes other ids, naming the first such item.
    """
    theirs, mine = teacher.get_vocab(), student.get_vocab()
    shared = {number for token, number in mine.items() if theirs.get(token) == number}
    differences = [f"{name}: the teacher's is {a!r}, the student's {b!r}" for name, a, b in _special_tokens(teacher, student) if a != b]
    if only := len(mine.keys() ^ theirs.keys()):
        differences.append(f"{only:,} tokens are in one of the two vocabularies only")
    if moved := sum(1 for token, number in mine.items() if theirs.get(token, number) != number):
        differences.append(f"{moved:,} tokens have another id in the teacher's vocabulary")
    changed = _changed_parts(teacher, student, shared)
    if changed:
        differences.append(f"differently built: {', '.join(changed)}")
        why = f"the tokenizers differ ({', '.join(changed)}): the teacher's is {digests[0]}, the student's {digests[1]}"
        _same_ids(teacher, student, texts, where=where, why=why, instead=instead)
    if _around(teacher) != _around(student):
        differences.append("other special tokens around a text; the student's way is used")
    return TokenizerAgreement(known=_as_known(shared), basis="texts" if changed else "mapping", differences=tuple(differences))


def _as_known(ids: set[int]) -> KnownIds:
    size = max(ids, default=-1) + 1
    return KnownIds(size=size, holes=() if size == len(ids) else tuple(sorted(set(range(size)) - ids)))


def _special_tokens(teacher: Any, student: Any) -> list[tuple[str, Any, Any]]:
    return [(name, getattr(teacher, name, None), getattr(student, name, None)) for name in ("bos_token", "eos_token", "unk_token")]


def _around(tokenizer: Any) -> tuple[int, ...]:
    """Ids put around a text by the tokenizer itself."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    return tuple(number for number in tokenizer("a")["input_ids"] if number not in bare)


def _changed_parts(teacher: Any, student: Any, shared: set[int]) -> list[str]:
    if not (getattr(teacher, "is_fast", False) and getattr(student, "is_fast", False)):
        return ["a tokenizer written in Python"]
    a, b = _parts(teacher), _parts(student)
    changed = [name for name in (*_STEPS, "model", "merges") if a[name] != b[name]]
    # Vocabulary entries of one side alone change nothing where no merge and no added token leads to them.
    if a["vocab"] != b["vocab"]:
        changed.append("vocabulary")
    if {token: way for token, way in a["added"].items() if b["added"].get(token, way) != way}:
        changed.append("added tokens")
    if set(a["added"]) ^ set(b["added"]):
        changed.append("added tokens of one side alone")
    return changed


def _parts(tokenizer: Any) -> dict[str, Any]:
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    model: Mapping[str, Any] = whole.get("model") or {}
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model.get("merges") or ()]
    added = {
        token["content"]: tuple(token.get(key) for key in ("id", "single_word", "lstrip", "rstrip", "normalized"))
        for token in whole.get("added_tokens") or ()
    }
    vocab = model.get("vocab")
    bare = {t: n for t, n in vocab.items() if t not in added} if isinstance(vocab, dict) else list(vocab or ())
    return {
        **{name: whole.get(name) for name in _STEPS},
        "model": {key: value for key, value in model.items() if key not in _MODEL_NOISE and value not in (None, "", False)}
        | {key: model.get(key) or "" for key in ("continuing_subword_prefix", "end_of_word_suffix")},
        "merges": merges,
        "vocab": bare,
        "added": added,
    }


def _same_ids(teacher: Any, student: Any, texts: Sequence[tuple[str, str]], *, where: str, why: str, instead: str) -> None:
    words = [text for _, text in texts]
    theirs, mine = (encode_batch(tokenizer, words, special=False) for tokenizer in (teacher, student))
    for (name, _), a, b in zip(texts, theirs, mine, strict=True):
        if a != b:
            raise InputError(
                f"{why}; item {name} is {_start(a)} to the one and {_start(b)} to the other, so their ids cannot be compared",
                where=where,
                mend=f"Start from a student with the teacher's tokenizer{instead}.",
            )
    if not texts:
        raise InputError(
            f"{why}; and there is no text to compare them on",
            where=where,
            mend="Start from a student with the teacher's tokenizer.",
        )


def _start(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:_SHOWN])) + (" …" if len(ids) > _SHOWN else "")
