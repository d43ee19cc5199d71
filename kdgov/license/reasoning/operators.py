"""Who operates a model or an API: the organisation itself, or a service whose terms must be among those named."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OWN_NAMES = frozenset(
    ["self", "us", "ourselves", "own", "in house", "inhouse", "on premises", "on prem", "local", "none", "localhost", "self hosted"]
    + [
        "selfhosted",
        "127 0 0 1",
        "0 0 0 0",
        "own server",
        "our server",
        "our own server",
        "own machines",
        "our own machines",
        "own cluster",
    ]
    + ["our own cluster", "our cluster", "own hardware", "our own hardware"]
)
# Services that run models of other makers: where one of them is named, its terms bind, whatever maker is named beside it.
_PLATFORMS = (
    ("azure", "microsoft"),
    ("aws", "amazon", "bedrock", "sagemaker"),
    ("vertex", "google cloud", "gcp"),
    ("together",),
    ("fireworks",),
    ("groq", "groqcloud"),
    ("openrouter",),
    ("replicate",),
    ("hugging face", "huggingface"),
    ("nvidia", "nim"),
    ("cerebras",),
    ("perplexity",),
    ("sambanova",),
    ("deepinfra",),
    ("anyscale",),
    ("databricks",),
    ("snowflake",),
    ("oracle",),
    ("ibm", "watsonx"),
    ("cloudflare",),
    ("baseten",),
    ("siliconflow",),
    ("novita",),
    ("nebius",),
    ("poe",),
)


def is_own_operation(hosted_by: str) -> bool:
    """Whether an operator named in words is the organisation itself: its own machines, a local address."""
    words = _words(hosted_by)
    return words.removesuffix(" server") in _OWN_NAMES or words in _OWN_NAMES or bool(re.fullmatch(r"localhost( \d+)?", words))


def is_operated_by(hosted_by: str, names: Iterable[str]) -> bool:
    """Whether an operator named in words is one of some names; a platform named there must be among them: "Azure OpenAI" is not OpenAI."""
    words, known = f" {_words(hosted_by)} ", [_words(name) for name in names if _words(name)]
    if not any(f" {name} " in words for name in known):
        return False
    for platform in _PLATFORMS:
        is_said = any(f" {word} " in words for word in platform)
        if is_said and not any(f" {word} " in f" {name} " for word in platform for name in known):
            return False
    return True


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
