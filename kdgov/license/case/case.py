"""One question to the licence reasoner: a student, its upstreams, the facts of its release, choices and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from kdgov.license.vocabulary import Access, Distribution, Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """The model (or dataset) to be released."""

    name: str = ""
    """Name it is released under; some licences ask how it begins."""
    license: str = ""
    """Outbound SPDX expression; empty where none is chosen yet."""
    kind: str = "generative"
    """``generative``, ``classifier``, ``encoder`` … (`vocabulary.KIND_GROUPS`)."""
    similar_to_teacher: bool | None = None
    """Whether it is meant to perform similarly to its teacher; None where nobody said, which counts as yes."""
    is_distilled: bool = False
    """Whether its recipe distils from a teacher: then a statement that it is not meant to resemble one contradicts the recipe."""
    rights_holder: str = ""
    """Whose it is, where its licence is `LicenseRef-FirstParty`; default the organisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One edge of the lineage: what is taken, from what, under which licence."""

    use: Use
    """What is taken."""
    license: str = ""
    """SPDX expression, LicenseRef, scancode key or hub tag; empty counts as NOASSERTION."""
    name: str = ""
    """Name of the upstream model or dataset."""
    access: Access = "weights"
    """How it was reached."""
    license_text_path: str = ""
    """Where its licence text lies, as declared; empty where none is given."""
    license_text: str | None = None
    """The licence text itself; None where it was not read."""
    licensor: str = ""
    """Who grants the licence, where the licence itself does not say."""
    rights_holder: str = ""
    """Whose it is, where its licence is `LicenseRef-FirstParty`; default the organisation."""
    hosted_by: str = ""
    """Who operates the model or the API; ``self`` for the organisation itself, empty where undeclared."""
    personal_data: bool | None = None
    """Whether it holds personal data; None where undeclared."""
    notice_file: bool | None = None
    """Whether it ships a NOTICE file; None where unknown."""
    multimodal: bool | None = None
    """Whether it takes images, sound or video; None where its name must tell."""
    paid: bool | None = None
    """Whether an API was used on a paid tier; None where undeclared."""
    made_by: tuple[Upstream, ...] = ()
    """Its own upstreams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How the student goes out."""

    distribution: Distribution = "weights"
    """internal, hosted, weights or data."""
    commercial: bool = True
    """Whether it serves commercial advantage, also inside the house."""
    research: bool = False
    """Whether it serves research only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Who releases it."""

    name: str = ""
    """Its name; empty where undeclared."""
    kind: str = ""
    """company, university or individual; empty where undeclared."""
    principal_place: str = ""
    """Country of the principal place of business or the domicile, by code or name; empty where undeclared."""
    monthly_active_users: Mapping[str, float] | float | None = None
    """One number for all dates, or month (``2024-06``) → number; None where undeclared."""
    annual_revenue_usd: float | None = None
    """US dollars per year, with affiliates; None where undeclared."""


DEFAULT_CHOICES: dict[str, str] = {
    "outputs_derivative": "false",
    "data_adaptation": "review",
    "model_is_produced_work": "review",
    "nc_data": "deny",
    "nc_eval": "review",
    "nc_covers_running": "review",
    "competing": "undeclared",
    "synth_inherits": "true",
    "component_rules": "true",
    "transitive": "true",
    "missing": "review",
    "llm_scope": "review",
    "logits_as": "output",
    "similar_performance": "true",
    "tag_only_evidence": "allow",
}
"""Stances on contested readings where neither policy nor case says otherwise; docs/licences.md gives the reasons."""

CHOICE_VALUES: dict[str, tuple[str, ...]] = {
    "outputs_derivative": ("true", "false", "review"),
    "data_adaptation": ("true", "false", "review"),
    "model_is_produced_work": ("true", "false", "review"),
    "nc_data": ("deny", "review", "allow"),
    "nc_eval": ("deny", "review", "allow"),
    "nc_covers_running": ("deny", "review", "allow"),
    "competing": ("competing", "not_competing", "undeclared"),
    "synth_inherits": ("true", "false", "review"),
    "component_rules": ("true", "false", "review"),
    "transitive": ("true", "false", "review"),
    "missing": ("review", "deny"),
    "llm_scope": ("true", "false", "review"),
    "logits_as": ("output", "internals"),
    "similar_performance": ("true", "false"),
    "tag_only_evidence": ("allow", "review"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What shows that an obligation is met, or that a separate licence exists."""

    obligation: str = ""
    """Kind of obligation it meets; empty for a separate licence or a registration."""
    license: str = ""
    """Licence whose obligation it meets, by any of its names."""
    text: str = ""
    """Text that is displayed, shipped or signed."""
    where: str = ""
    """File or page where it stands."""
    file: str = ""
    """File that is shipped and is read: what it does not hold is not met; empty where ``where`` is all that is said."""
    contents: str | None = None
    """What that file holds; None where it was not read."""
    separate_license: str = ""
    """Id of a separate agreement."""
    licensor: str = ""
    """Who granted the separate agreement."""
    expires: date | None = None
    """Last day of the separate agreement; without it nothing is lifted."""
    registration: str = ""
    """With whom the organisation is registered."""
    dated: date | None = None
    """Day of the registration or the statement."""
    signed_by: str = ""
    """Who signed the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseCase:
    """Everything a verdict may depend on; there is no clock and no file behind it."""

    student: Student
    """What is to be released."""
    uses: tuple[Upstream, ...]
    """Its direct upstreams."""
    release: Release = field(default_factory=Release)
    """How it goes out."""
    organization: Organization = field(default_factory=Organization)
    """Who releases it."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Stances that differ from `DEFAULT_CHOICES`."""
    evidence: tuple[Evidence, ...] = ()
    """What meets obligations or lifts a deny."""
    as_of: date | None = None
    """Day on which expiries are judged; without it no separate licence lifts anything."""

    def choice(self, name: str) -> str:
        """The stance on one contested reading."""
        return self.choices.get(name, DEFAULT_CHOICES[name])
