"""SPDX expressions over our names: parsed once into AND / OR / WITH / one licence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing

from kdgov.license.catalogue.facts import facts

NOT_STATED = frozenset({"", "none", "noassertion", "other", "unknown", "unlicensed", "license-unknown"})
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
    """The expression, or in words why it does not parse."""
    if text.strip().lower() in NOT_STATED:
        return One(name=text.strip() or "NOASSERTION")
    if " " in text.strip() and facts().find(text):
        # Names with spaces, such as "Apache 2.0": no expression, but a licence all the same.
        return One(name=text.strip())
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
