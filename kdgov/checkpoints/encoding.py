"""Text to token ids, the same way in training and in evaluation: one beginning-of-text token, however the text came about.

A chat template usually writes the beginning-of-text token itself, and many tokenizers add one of their own: encoded naively, a
conversation begins with two in training and with one in evaluation, and the student is asked what it never learnt.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

BLOCK = 512
"""Texts encoded at once: a fast tokenizer holds some hundred bytes for every token until the call is over."""
Item = TypeVar("Item")


def starts_with_bos(tokenizer: Any, text: str) -> bool:
    """Whether a text begins with the tokenizer's own beginning-of-text token, so that none may be added."""
    bos = tokenizer.bos_token
    return bool(bos and text.startswith(bos))


def encode_batch(tokenizer: Any, texts: Sequence[str], *, special: bool | None = None, offsets: bool = False) -> list[Any]:
    """Token ids of texts, with the tokenizer's own special tokens unless a text starts with the first of them.

    Args:
        tokenizer: a transformers tokenizer.
        texts: what is encoded.
        special: whether special tokens are added; None decides per text, as above.
        offsets: whether to give (ids, character spans) instead of ids; needs a fast tokenizer.

    Returns:
        Per text a list of ids, or a pair of ids and ``(start, end)`` spans, in the order of the texts.
    """
    found: list[Any] = [None] * len(texts)
    for starts in (False, True):
        places = [n for n, text in enumerate(texts) if starts_with_bos(tokenizer, text) is starts]
        if not places:
            continue
        rule = False if special is None and starts else special
        options: dict[str, Any] = {} if rule is None else {"add_special_tokens": rule}
        # Many at once: a fast tokenizer takes a tenth of the time that single calls take.
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            for place, one in zip(block, _encoded(tokenizer, [texts[n] for n in block], options, offsets), strict=True):
                found[place] = one
    return found


def without_end(ids: list[int], end: int | None) -> list[int]:
    """Ids without the end that some tokenizers append by themselves (BERT's [SEP], T5's </s>): behind a prompt nothing has ended."""
    return ids[:-1] if len(ids) > 1 and ids[-1] == end else ids


def in_blocks(items: Sequence[Item], encode: Callable[[Sequence[Item]], Any]) -> Iterator[tuple[Item, Any, int]]:
    """Every item in order, with what ``encode`` made of its block and its row there; only one block's encoding is held at a time."""
    for start in range(0, len(items), BLOCK):
        block = items[start : start + BLOCK]
        made = encode(block)
        yield from ((item, made, row) for row, item in enumerate(block))


def _encoded(tokenizer: Any, texts: list[str], options: dict[str, Any], offsets: bool) -> list[Any]:
    if offsets:
        made = tokenizer(texts, return_attention_mask=False, return_offsets_mapping=True, verbose=False, **options)
        return [(list(ids), [tuple(span) for span in spans]) for ids, spans in zip(made["input_ids"], made["offset_mapping"], strict=True)]
    # The first text by transformers, which puts the tokenizer's own way of cutting, padding and splitting in force; the others
    # by the library beneath, which takes a third less time where nobody asks where in a text a token stands.
    beneath = _beneath(tokenizer) if len(texts) > 1 else None
    asked = texts if beneath is None else texts[:1]
    found = [list(ids) for ids in tokenizer(asked, return_attention_mask=False, verbose=False, **options)["input_ids"]]
    if beneath is not None:
        found += [one.ids for one in beneath.encode_batch_fast(texts[1:], add_special_tokens=options.get("add_special_tokens", True))]
    return found


def _beneath(tokenizer: Any) -> Any | None:
    """The library's own tokenizer, where transformers adds nothing to what it does; None where a class has a way of its own."""
    # Here, not above: whoever asks where a text begins needs no transformers.
    plain, kind = importlib.import_module("transformers").PreTrainedTokenizerFast, type(tokenizer)
    is_plain = isinstance(tokenizer, plain) and kind.__call__ is plain.__call__ and kind._encode_plus is plain._encode_plus
    return tokenizer.backend_tokenizer if is_plain else None
