"""Crosswalks: which control of a framework is supported by which fact of a release. Data in ``policies/frameworks/``.

A crosswalk says what the evidence of one release supports. It never certifies: a control that also asks for things no release
can show (`Control.beyond`) is at most partly supported.
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from kdgov.auditing.crosswalk.fact_catalogue import FACTS, Fact
from kdgov.declarations.load import Declared, load
from kdgov.errors import InputError
from kdgov.resources import data_folder

Support = Literal["supported", "partly", "missing"]
Tag = Literal["accountability", "efficiency", "fairness", "privacy", "safety", "security", "transparency", "validity"]
STALE_AFTER_MONTHS = 6
"""Months after which a crosswalk is called out of date."""
DISCLAIMER = (
    "This table says which controls the recorded evidence of this release supports. It is no certification, no legal advice "
    "and no statement of conformity; controls also ask for things that no release record can show."
)


class Control(Declared):
    """One control, action or clause of a framework."""

    id: str = Field(min_length=2)
    """Identifier as the framework prints it."""
    title: str = Field(min_length=10)
    """What it asks, in kdgov's own words."""
    source: str = ""
    """Where its text stands: law, section, point."""
    unread: bool = False
    """Its text was not at hand; it was written from descriptions by others."""
    tags: list[Tag] = Field(min_length=1)
    """What it is about, to filter by."""
    needs: list[str] = Field(default_factory=list)
    """Facts of the catalogue that support it."""
    beyond: str = ""
    """What it also asks that no release evidence can show; empty where the facts are all it asks of a release."""

    @model_validator(mode="after")
    def _rests_on_known_facts(self) -> Control:
        unknown = [key for key in self.needs if key not in FACTS]
        if unknown:
            raise ValueError(f"names facts nobody states: {', '.join(unknown)}\nUse names of kdgov.auditing.crosswalk.fact_catalogue.")
        if len(set(self.needs)) != len(self.needs):
            raise ValueError("names a fact twice\nKeep one of the two.")
        if not self.needs and not self.beyond:
            raise ValueError("rests on nothing\nName facts under `needs`, or say under `beyond` what it asks.")
        return self


class Framework(Declared):
    """One framework's crosswalk."""

    schema_: Literal["kdgov.framework/1"] = Field(alias="schema")
    """Must be ``kdgov.framework/1``."""
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name on the command line; that of the file."""
    title: str
    """Name of the framework."""
    publisher: str
    """Who publishes it."""
    edition: str
    """Which edition the crosswalk was written for."""
    checked: datetime.date | None = None
    """Day on which it was last held against its edition and the news about it; None: nobody says."""
    url: str = Field(pattern=r"^https://")
    """Where its text stands."""
    kind: str
    """Law, standard, voluntary framework."""
    applies: str = ""
    """Since when it applies, to whom, and what changed it."""
    controls: list[Control] = Field(min_length=1)
    """In the framework's order."""

    @model_validator(mode="after")
    def _names_each_control_once(self) -> Framework:
        ids = [control.id for control in self.controls]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"has controls twice: {', '.join(twice)}\nKeep one of each.")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResult:
    """One control, for one release."""

    control: Control
    """The control."""
    support: Support
    """supported, partly or missing."""
    facts: tuple[Fact, ...]
    """The facts it rests on, as this release shows them."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary for the audit document."""
        plain = self.control.model_dump(include={"id", "title", "source", "unread", "tags", "beyond"})
        return {**plain, "support": self.support, "facts": [{"key": f.key, "status": f.status, "text": f.text} for f in self.facts]}


def framework_names() -> tuple[str, ...]:
    """Names of the shipped crosswalks, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_framework(name: str) -> Framework:
    """A shipped crosswalk by name, or a file of your own.

    Raises:
        InputError: if there is none of that name; `DeclarationError` names every fault in a file.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _folder() / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(framework_names())
        raise InputError(f"there is no framework {name!r}", mend=f"Name one of {known}, or a YAML file of kdgov.framework/1.")
    return load(path, Framework)


def stale_note(framework: Framework, *, day: datetime.date) -> str:
    """Why a crosswalk may be behind the rules on a day: more than six months since it was checked, or no date; empty where neither."""
    if framework.checked is None:
        return "It does not say on which day it was checked (`checked:`); the rules may have changed since it was written."
    if day <= _months_later(framework.checked, STALE_AFTER_MONTHS):
        return ""
    return f"It was checked on {framework.checked}, more than {STALE_AFTER_MONTHS} months before {day}: the rules may have changed since."


def _months_later(day: datetime.date, months: int) -> datetime.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def assess(framework: Framework, facts: Mapping[str, Fact]) -> tuple[ControlResult, ...]:
    """Every control of a framework against the facts of one release, in the framework's order."""
    return tuple(_assess(control, [_fact(key, facts) for key in control.needs]) for control in framework.controls)


def _fact(key: str, facts: Mapping[str, Fact]) -> Fact:
    return facts.get(key) or Fact(key=key, status="absent", text="The evidence says nothing about it.")


def _assess(control: Control, rested: Sequence[Fact]) -> ControlResult:
    return ControlResult(
        control=control, support=_support([f.status for f in rested], has_beyond=bool(control.beyond)), facts=tuple(rested)
    )


def _support(statuses: Sequence[str], *, has_beyond: bool) -> Support:
    if not statuses or all(status == "absent" for status in statuses):
        return "missing"
    return "supported" if not has_beyond and all(status == "shown" for status in statuses) else "partly"


def _folder() -> Path:
    return data_folder("policies") / "frameworks"
