"""The world's tokenizer: one token per word or punctuation mark, lower case."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<pad>", "<eos>", "<unk>")
MAX_TOKENS = 64
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")


def words_of(text: str) -> list[str]:
    """The tokens of a text, as the tokenizer splits it."""
    return _WORD.findall(text.lower())


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that knows every word of the texts; words are numbered in alphabetical order.

    Nothing is put before a text; ``<eos>`` ends a completion and stands in for an empty context.
    """
    words = sorted({word for text in texts for word in words_of(text)})
    vocabulary = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *words])}
    core = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))  # noqa: S106 - a token of text
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        model_max_length=MAX_TOKENS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
