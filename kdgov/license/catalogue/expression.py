"""SPDX expressions over our names: parsed once into AND / OR / WITH / one licence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing

from kdgov.license.catalogue.facts import facts
from kdgov.license.catalogue.names import without_purpose

NOT_STATED = frozenset(
    {
        "",
        "none",
        "noassertion",
        "other",
        "unknown",
        "unlicensed",
        "license-unknown",
        "n/a",
        "na",
        "n.a.",
        "?",
        "??",
        "-",
        "--",
        "tbd",
        "todo",
        "null",
    }
    | {"unspecified", "undefined", "not specified", "not stated", "not available", "no license", "no licence", "missing", "see license"}
    | {"see license file", "see licence", "unclear", "unsure", "pending", "to be determined", "license not found", "nolicense"}
)
"""What a licence field says when it says nothing; an empty one counts as NOASSERTION."""

# No table of known symbols: hub tags and LicenseRefs must parse too, and the fact files decide what is known.
_LICENSING = Licensing()


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """A single licence, as written."""

    name: str
    """Its name in the expression."""
    exception: str = ""
    """Exception after WITH; empty where there is none."""

    def __str__(self) -> str:
        return f"{self.name} WITH {self.exception}" if self.exception else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """A conjunction or a choice of expressions."""

    word: str
    """``AND`` or ``OR``."""
    parts: tuple[One | Several, ...]
    """Its parts, as written."""

    def __str__(self) -> str:
        return f" {self.word} ".join(f"({part})" if isinstance(part, Several) else str(part) for part in self.parts)


Expression = One | Several


@cache
def parse(text: str) -> Expression | str:
    """The expression, or in words why it does not parse.

    Names as people write them count: ``Apache License, Version 2.0``, ``Llama 3.1``, ``MIT License AND Gemma Terms of Use``.
    """
    stripped = without_purpose(text)
    if stripped.lower() in NOT_STATED:
        return One(name=stripped or "NOASSERTION")
    if _ADDRESS.fullmatch(stripped):
        # An address is a name: of a licence where it is a known one's, else of one that nobody knows here.
        return One(name=stripped)
    if not _BARE.fullmatch(stripped) and _is_known(stripped):
        # Names with spaces, commas or parentheses: no expression, but a licence all the same.
        return One(name=stripped)
    found = _by_grammar(stripped)
    if not isinstance(found, str):
        return found
    return _by_words(stripped) or found


def joined_by_and(names: Iterable[str]) -> str:
    """Several licences that all apply, as one expression; an alternative among them keeps its parentheses."""
    parts = [name.strip() for name in names if name.strip()]
    return " AND ".join(f"({part})" if len(parts) > 1 and re.search(r"\bOR\b", part) else part for part in parts)


_ADDRESS = re.compile(r"https?://\S+")
_BARE = re.compile(r"[\w.+-]+")
_OPERATORS = re.compile(r"\b(AND|OR|WITH|and|or)\b")


def _is_known(name: str) -> bool:
    return facts().find(name) is not None or facts().family(name) is not None or name.strip().lower() in NOT_STATED


def _by_grammar(text: str) -> Expression | str:
    try:
        tree = _LICENSING.parse(text, simple=False)
    except ExpressionError as error:
        return str(error).splitlines()[0]
    except Exception as error:  # noqa: BLE001 - boolean.py leaks its own and built-in errors for some broken inputs
        return f"{type(error).__name__}: {error}".splitlines()[0]
    if tree is None:
        return "is empty"
    expression = _convert(tree)
    for one in ones(expression):
        if " " in str(one).replace(" WITH ", ""):
            return f"'{one}' is several words with no AND, OR or WITH between them"
    return expression


def _by_words(text: str) -> Expression | None:
    """An expression whose names are made of several words, or a list of names; None where it is neither."""
    for word, pattern in (("OR", r"\s+OR\s+"), ("AND", r"\s+AND\s+")):
        parts = re.split(pattern, text)
        if len(parts) > 1 and "(" not in text:
            found = [parse(part) for part in parts]
            return None if any(isinstance(part, str) for part in found) else Several(word=word, parts=tuple(found))  # type: ignore[arg-type]
    # A list says which licences apply, not which one may be chosen: all of them do.
    for separator in (r"\s*[,;]\s*(?:and\s+)?|\s+and\s+", r"\s+[/&+|]\s+"):
        parts = [part for part in re.split(separator, text) if part]
        if len(parts) > 1 and all(_is_known(part) for part in parts):
            return Several(word="AND", parts=tuple(One(name=part) for part in parts))
    words = text.split()
    is_broken = bool(_OPERATORS.search(text)) or text.count("(") != text.count(")") or text.startswith("(")
    if is_broken or len(words) < _LEAST_WORDS or all(_is_known(word) for word in words):
        return None
    # A name nobody knows here, in several words: for review, not a fault of the file.
    return One(name=text)


_LEAST_WORDS = 2


def _convert(tree: Any) -> Expression:
    if isinstance(tree, LicenseWithExceptionSymbol):
        return One(name=tree.license_symbol.key, exception=tree.exception_symbol.key)
    if hasattr(tree, "key"):
        return One(name=tree.key)
    return Several(word=tree.operator.strip().upper(), parts=tuple(_convert(part) for part in tree.args))


def ones(expression: Expression) -> tuple[One, ...]:
    """Every single licence in an expression, from left to right."""
    if isinstance(expression, One):
        return (expression,)
    return tuple(one for part in expression.parts for one in ones(part))


def alternatives(expression: Expression) -> tuple[frozenset[One], ...]:
    """The choices a recipient has: each a set of licences that hold together (disjunctive normal form)."""
    if isinstance(expression, One):
        return (frozenset({expression}),)
    if expression.word == "OR":
        return tuple(choice for part in expression.parts for choice in alternatives(part))
    combined: tuple[frozenset[One], ...] = (frozenset(),)
    for part in expression.parts:
        combined = tuple(left | right for left in combined for right in alternatives(part))
    return combined
