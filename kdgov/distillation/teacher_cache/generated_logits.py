"""What a chat or completions endpoint says of the answers it wrote: per token its text and its likeliest alternatives.

Such an endpoint names tokens by their text, not by ids, and tells nothing of a text that somebody else wrote: the example has to be the
answer it gave. The tokens behind the last one that it speaks of close the answer; it chose to stop there, so they count as certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.examples import Example
from kdgov.distillation.data.row_shapes import content_of
from kdgov.distillation.data.tokenization import TokenExample, tokenized
from kdgov.distillation.data.turns import RowError
from kdgov.distillation.data.two_tokenizers.vocabulary_bridge import token_texts
from kdgov.distillation.teacher_cache.told_tables import NEVER
from kdgov.errors import InputError

LOGPROBS = "logprobs"
"""Key of a row: an endpoint's own ``logprobs``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """The student's tokens by the text they stand for."""

    tokenizer: Any
    """The tokenizer."""
    texts: Mapping[int, bytes]
    """Id → its text; a special token's is its name."""
    ids: Mapping[bytes, int]
    """Text → its lowest id."""


def spelling_of(tokenizer: Any) -> Spelling:
    """How a tokenizer spells its tokens."""
    named = {number: str(token).encode() for token, number in tokenizer.get_added_vocab().items()}
    texts = {**named, **token_texts(tokenizer)}
    return Spelling(tokenizer=tokenizer, texts=texts, ids={text: number for number, text in sorted(texts.items(), reverse=True)})


def is_generated(row: Any) -> bool:
    """Whether a row is an answer with what its writer said of each token."""
    return isinstance(row, Mapping) and isinstance(row.get(LOGPROBS), Mapping) and bool({"messages", "prompt"} & row.keys())


def example_of(row: Mapping[str, Any], spelling: Spelling, recipe: Distillation, *, where: str) -> TokenExample | None:
    """The row's answer as the student learns it; None where nothing of it fits into the longest length.

    Raises:
        InputError: if the row holds no example of a language model.
    """
    try:
        content = content_of({key: value for key, value in row.items() if key != LOGPROBS})
    except RowError as fault:
        raise InputError(fault.what, where=where, mend=fault.mend) from fault
    made = tokenized([Example(item_id=content.name or where, **dict(content.fields))], spelling.tokenizer, recipe, may_be_empty=True)
    return made.examples[0] if made.examples else None


def tables_of(row: Mapping[str, Any], example: TokenExample, spelling: Spelling, k: int, *, where: str) -> list[list[tuple[int, float]]]:
    """Per learnt token of an example, its ``k`` likeliest ids with their log-probabilities, the likeliest first.

    Raises:
        InputError: if the endpoint speaks of other tokens than the student's, or of too few.
    """
    said, wanted = _entries(row[LOGPROBS], where), example.ids[example.first_target :].tolist()
    tables = []
    for place, (entry, number) in enumerate(zip(said, wanted, strict=False)):
        mine, text = spelling.texts.get(number, b""), _text(entry)
        # A first token may have lost the blank before it where its text was put together.
        blank = mine[: len(mine) - len(text)] if not place and mine.endswith(text) else b""
        if blank + text != mine or blank.strip():
            raise InputError(
                f"speaks of {_shown(text)} where token {place} of the answer is {_shown(mine)} to the student",
                where=where,
                mend="Use a student with the tokenizer of the model behind the endpoint, and the answer as it was written.",
            )
        named = [(_text(one), float(one["logprob"])) for one in [*entry.get("top_logprobs", ()), entry]]
        found = {spelling.ids.get(blank + other, spelling.ids.get(other)): log_p for other, log_p in named}
        tables.append(sorted(((i, p) for i, p in found.items() if i is not None), key=lambda pair: -pair[1])[:k])
    return tables + [_certain(number, k) for number in wanted[len(said) :]]


def _certain(number: int, k: int) -> list[tuple[int, float]]:
    others = [other for other in range(k) if other != number]
    return [(number, 0.0), *((other, NEVER) for other in others)][:k]


def _entries(said: Mapping[str, Any], where: str) -> Sequence[Mapping[str, Any]]:
    """Chat's ``content``, or completions' ``tokens`` with ``top_logprobs``, in chat's form."""
    try:
        if isinstance(said.get("content"), list):
            return [{**entry, "logprob": float(entry["logprob"])} for entry in said["content"]]
        rows = zip(said["tokens"], said["token_logprobs"], said["top_logprobs"], strict=True)
        return [
            {"token": token, "logprob": float(p), "top_logprobs": [{"token": t, "logprob": float(v)} for t, v in (top or {}).items()]}
            for token, p, top in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("has no log-probability for every token", where=where, mend="Ask with `logprobs` and `top_logprobs`.") from error


def _text(entry: Mapping[str, Any]) -> bytes:
    given = entry.get("bytes")
    return bytes(given) if isinstance(given, list) else str(entry["token"]).encode("utf-8", "replace")


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))
