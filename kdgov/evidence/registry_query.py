"""The registry as a table: the question asked of it and the page it answers with, as plain values.

Filters are written as MLflow writes them (``tags.`kdgov.verdict` = 'FAIL' AND name LIKE 'support%'``), so that one and the same line
works in MLflow's search box, in its client and in ``kdgov registry list``.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from kdgov.errors import InputError

Operator = Literal["=", "!=", "LIKE", "ILIKE", "<", "<=", ">", ">="]
VERDICT_TAG, WAIVER_TAG = "kdgov.verdict", "kdgov.waiver_expires"
ROW_TAGS = (VERDICT_TAG, "kdgov.policy", "kdgov.recorded", WAIVER_TAG, "kdgov.blocked_by")
"""Tags a row shows; its field bears the tag's last word."""
_KEY = r"(?:tags?\.(?:`(?P<quoted>[^`]+)`|\"(?P<doubled>[^\"]+)\"|(?P<bare>[\w.]+))|(?P<name>name))"
_CLAUSE = re.compile(rf"\s*{_KEY}\s*(?P<operator>!=|<=|>=|=|<|>|I?LIKE)\s*(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\s*", re.IGNORECASE)
_AND = re.compile(r"AND\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version in one line."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    verdict: str
    """PASS, FAIL, INCONCLUSIVE, INVALID, NONE, REVOKED; ``NONE`` also where the tag is absent."""
    aliases: tuple[str, ...]
    """Aliases standing on it."""
    policy: str
    """Policy it was judged by."""
    recorded: str
    """Day of recording."""
    waiver_expires: str
    """First day a waiver ends; empty without one."""
    blocked_by: str
    """Criteria that block it."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def row_of_tags(name: str, version: int, tags: Mapping[str, str | None], aliases: Iterable[str]) -> VersionRow:
    """A version's row from its tags, whoever read them: a database, the guard or MLflow's own search."""
    shown = {tag.removeprefix("kdgov."): tags.get(tag) or "" for tag in ROW_TAGS}
    shown["verdict"] = shown["verdict"] or "NONE"
    return VersionRow(name=name, version=version, aliases=tuple(sorted(aliases)), **shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and how to ask for the next."""

    rows: tuple[VersionRow, ...]
    """Newest first."""
    token: str
    """Of the next page; empty at the end."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {"versions": [row.as_json() for row in self.rows], "next": self.token}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which versions are asked for."""

    model: str = ""
    """Only this model; empty: all."""
    verdict: str = ""
    """Only this verdict; empty: any."""
    tag_filter: str = ""
    """A further filter in MLflow's words."""
    waiver_within: tuple[str, str] | None = None
    """Only versions whose waiver ends between these days (ISO 8601, both included)."""
    limit: int = 100
    """Rows of the page."""
    token: str = ""
    """From the page before."""

    def as_text(self) -> str:
        """One word without quotes or blanks, for a URL."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One clause of a filter."""

    tag: str
    """Tag it is about; empty: the model's name."""
    operator: Operator
    """How they compare; text with text."""
    value: str
    """With what; ``%`` and ``_`` are wild in LIKE and ILIKE."""


def question_of_text(text: str) -> Question:
    """A question read back from `Question.as_text`.

    Raises:
        InputError: if it is none.
    """
    try:
        fields = json.loads(base64.urlsafe_b64decode(text.encode()))
        within = fields.pop("waiver_within")
        return asked(**fields, waiver_within=tuple(within) if within else None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("this is not a question about versions", mend="Ask with `kdgov registry list`.") from error


def page_of_json(document: Mapping[str, Any]) -> Page:
    """A page read back from `Page.as_json`."""
    rows = tuple(VersionRow(**{**row, "aliases": tuple(row["aliases"])}) for row in document["versions"])
    return Page(rows=rows, token=str(document["next"]))


def asked(**fields: Any) -> Question:
    """A question whose values can be asked.

    Raises:
        InputError: if the limit is not positive, a value holds a quote, or the filter cannot be read.
    """
    question = Question(**fields)
    if question.limit < 1:
        raise InputError("--limit is below 1", mend="Ask for at least one row.")
    for value in (question.model, question.verdict):
        if "'" in value or "\\" in value:
            raise InputError(f"{value!r} holds a quote", mend="Write the name as the registry shows it.")
    return question


def within_days(days: int, today: datetime.date) -> tuple[str, str]:
    """First and last day of the next so many days."""
    return today.isoformat(), (today + datetime.timedelta(days=days)).isoformat()


def conditions_of(question: Question) -> tuple[Condition, ...]:
    """Everything a version must meet to be in the answer.

    Raises:
        InputError: if the filter cannot be read.
    """
    found = [Condition(tag="", operator="=", value=question.model)] if question.model else []
    if question.verdict:
        found.append(Condition(tag=VERDICT_TAG, operator="=", value=question.verdict.upper()))
    if question.waiver_within:
        first, last = question.waiver_within
        found += [Condition(tag=WAIVER_TAG, operator=">=", value=first), Condition(tag=WAIVER_TAG, operator="<=", value=last)]
    return (*found, *read_filter(question.tag_filter))


def read_filter(text: str) -> tuple[Condition, ...]:
    """The clauses of a filter, joined by AND.

    Raises:
        InputError: naming the place that cannot be read.
    """
    found: list[Condition] = []
    rest = text.strip()
    while rest:
        match = _CLAUSE.match(rest)
        if match is None or match["operator"].upper() not in get_args(Operator):
            raise _unreadable(rest)
        tag = match["quoted"] or match["doubled"] or match["bare"] or ""
        value = match["single"] if match["single"] is not None else match["double"]
        found.append(Condition(tag=tag, operator=cast(Operator, match["operator"].upper()), value=value))
        rest = rest[match.end() :]
        if rest:
            joined = _AND.match(rest)
            if joined is None or not rest[joined.end() :].strip():
                raise _unreadable(rest)
            rest = rest[joined.end() :].strip()
    return tuple(found)


def _unreadable(rest: str) -> InputError:
    return InputError(
        f"the filter cannot be read at {rest[:40]!r}",
        mend="Write tags.`kdgov.verdict` = 'FAIL' AND name LIKE 'support%'; OR is not offered.",
    )
