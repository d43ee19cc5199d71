"""The policy declaration (``schema: kdgov.policy/1``): what a release must prove, written down before results are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from kdgov.declare.load import Declared, parse_yaml, read_yaml, validate
from kdgov.digest import digest_json, is_digest
from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.gate.policy import Criterion, Policy, WaiverRules
from kdgov.items.metric import Direction
from kdgov.license.case import CHOICE_VALUES
from kdgov.resources import data_folder

CriterionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", max_length=100)]
Confidence = Annotated[float, Field(gt=0.5, lt=1.0)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class PlanSection(Declared):
    """What the criterion was designed for; it decides nothing, and `kdgov policy drill` measures the policy at it."""

    items: Annotated[int, Field(ge=1)] | None = None
    """Items a suite should hold; default ``min_items``."""
    disagreement: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of items on which an equally good student differs."""
    level: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share the teacher has right."""


class _CriterionBase(Declared):
    id: CriterionId
    """Name in decisions and waivers."""
    suite: str = "*"
    """Suite name or glob."""
    tasks: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = ["*"]
    """Task names or globs; each matching task is judged on its own."""
    metric: str = "*"
    """Metric name or glob."""
    direction: Direction | None = None
    """higher, lower or target; default: as the suite declares. Bare item tables need it."""
    ideal: float | None = None
    """Best value of a ``target`` metric."""
    range: tuple[float, float] | None = None
    """Smallest and largest possible score; default: as the suite declares."""
    confidence: Confidence = 0.95
    """One-sided confidence."""
    min_items: Annotated[int, Field(ge=1)] = 100
    """Fewer items than this are never a pass."""
    pooled: bool = False
    """Judge all matching tasks of one metric together."""
    by: list[str | Annotated[list[str], Field(min_length=1)]] = Field(default_factory=list)
    """Attributes whose every value must hold on its own; a list of attributes, or ``a*b``, is an intersection."""
    groups: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    """Values that must be there, per attribute of ``by``."""
    min_group_items: Annotated[int, Field(ge=1)] | None = None
    """Fewer items of a group than this are never a pass; default ``min_items``."""
    threshold: float | None = None
    """Count scores of at least this as 1 and all others as 0: rare harm is judged as a rate."""
    plan: PlanSection = Field(default_factory=PlanSection)
    """What the criterion was designed for; used by the drill alone."""

    @model_validator(mode="after")
    def _is_consistent(self) -> _CriterionBase:
        if self.direction == "target" and self.ideal is None:
            raise ValueError("has the direction target and no ideal\nAdd `ideal:`, such as 0.5 for a stereotype rate.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"has the range {list(self.range)}, which is empty\nWrite [smallest, largest].")
        for attribute in self.groups:
            if (attribute,) not in self.attributes:
                raise ValueError(f"declares groups of {attribute!r}, which is not in `by`\nAdd it to `by`, or remove it from `groups`.")
        return self

    @property
    def attributes(self) -> tuple[tuple[str, ...], ...]:
        """``by`` with every entry as a tuple."""
        return tuple(tuple(entry.split("*")) if isinstance(entry, str) else tuple(entry) for entry in self.by)

    def _width(self) -> float | None:
        if self.threshold is not None:
            return 1.0
        return None if self.range is None else self.range[1] - self.range[0]

    def _common(self) -> dict[str, Any]:
        low, high = self.range or (None, None)
        names = ("id", "suite", "metric", "direction", "ideal", "confidence", "min_items", "pooled", "min_group_items", "threshold")
        values = {name: getattr(self, name) for name in names}
        groups = MappingProxyType({k: tuple(v) for k, v in self.groups.items()})
        plan = {"plan_items": self.plan.items, "plan_disagreement": self.plan.disagreement, "plan_level": self.plan.level}
        return {**values, **plan, "tasks": tuple(self.tasks), "low": low, "high": high, "by": self.attributes, "groups": groups}

    def frozen(self) -> Criterion:
        """The criterion as the gate reads it."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in _CriterionBase.model_fields}
        return Criterion(**self._common(), **own)


Margin = Annotated[float, Field(ge=0)]


class NonInferiority(_CriterionBase):
    """The student must prove that it is at most ``margin`` worse than the teacher."""

    kind: Literal["non_inferiority"]
    """non_inferiority"""
    margin: Margin
    """How much worse the student may be, in the metric's own units."""
    group_margin: Margin | None = None
    """Margin within a group; default ``margin``."""
    root_margin: Margin | None = None
    """Margin against the root teacher; default ``margin``."""
    floor: float | None = None
    """The student's own mean must be proven above this."""
    ceiling: float | None = None
    """The student's own mean must be proven below this."""
    chance: float | None = None
    """Score of knowing nothing; default: as the suite declares."""
    assay: Literal["when_known", "required", "skip"] = "when_known"
    """Whether the teacher must be proven better than no skill by more than the margin."""

    @model_validator(mode="after")
    def _margins_fit(self) -> NonInferiority:
        width = self._width()
        for name in ("margin", "group_margin", "root_margin"):
            value = getattr(self, name)
            if value is not None and width is not None and value > width:
                raise ValueError(f"has the {name} {value:g}, wider than the whole range {width:g}\nWrite 0.02 to allow two points.")
        return self


class Floor(_CriterionBase):
    """The student's own mean must be proven above a value."""

    kind: Literal["floor"]
    """floor"""
    floor: float
    """The value."""


class Ceiling(_CriterionBase):
    """The student's own mean must be proven below a value."""

    kind: Literal["ceiling"]
    """ceiling"""
    ceiling: float
    """The value."""


class Exposure(_CriterionBase):
    """Canaries must not be ranked better than chance allows."""

    kind: Literal["exposure"]
    """exposure"""
    min_items: Annotated[int, Field(ge=1)] = 10
    """Fewer canaries than this are never a pass."""
    ceiling: float | None = Field(default=None, gt=0)
    """Also: the mean exposure, in bits, must be proven below this."""


class Calibration(_CriterionBase):
    """Signed overconfidence and Brier score must be at most ``margin`` worse than the teacher's."""

    kind: Literal["calibration"]
    """calibration"""
    margin: Annotated[float, Field(ge=0, le=1)]
    """Margin of the overconfidence."""
    brier_margin: Annotated[float, Field(ge=0, le=1)] | None = None
    """Margin of the Brier score; default ``margin``."""

    @model_validator(mode="after")
    def _has_no_groups(self) -> Calibration:
        if self.by:
            raise ValueError("is a calibration criterion with `by`\nCalibration is judged over all items; remove `by`.")
        return self


class Churn(_CriterionBase):
    """Not too many items may change, even where the mean stays."""

    kind: Literal["churn"]
    """churn"""
    ceiling: Annotated[float, Field(gt=0, lt=1)]
    """Largest share."""
    of: Literal["negative_flips", "changed"] = "negative_flips"
    """Items lost, or items that changed either way."""


class Efficiency(Declared):
    """A measured quantity of the student must lie within a ratio of the teacher's."""

    id: CriterionId
    """Name in decisions and waivers."""
    kind: Literal["efficiency"]
    """efficiency"""
    measure: str
    """Name of the quantity, such as ``parameters``."""
    max_ratio: float | None = Field(default=None, gt=0)
    """Largest student / teacher."""
    min_ratio: float | None = Field(default=None, gt=0)
    """Smallest student / teacher."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Efficiency:
        if self.max_ratio is None and self.min_ratio is None:
            raise ValueError("names neither max_ratio nor min_ratio\nAdd one: it judges nothing without.")
        return self

    def frozen(self) -> Criterion:
        """The criterion as the gate reads it."""
        return Criterion(**{name: getattr(self, name) for name in type(self).model_fields})


AnyCriterion = Annotated[NonInferiority | Floor | Ceiling | Exposure | Calibration | Churn | Efficiency, Field(discriminator="kind")]


class WaiverSection(Declared):
    """Rules for waivers."""

    allowed: bool = True
    """Whether waivers count at all."""
    max_days: Annotated[int, Field(ge=1, le=366)] = 90
    """Longest run of a waiver."""
    never: list[str] = Field(default_factory=list)
    """Criterion ids or finding rules (globs) that nobody may waive."""


class LicenseSection(Declared):
    """Stances on contested licence readings; unset ones take kdgov's own defaults."""

    choices: dict[str, bool | str] = Field(default_factory=dict)
    """Choice → stance, as in a licence case."""


class PromotionSection(Declared):
    """Which registry names a passing decision guards, and for how long it counts."""

    guarded_aliases: list[str] = Field(default_factory=lambda: ["champion"], min_length=1)
    """Aliases that need a passing decision."""
    free_aliases: list[str] = Field(default_factory=list)
    """Aliases that anyone may set."""
    valid_days: Annotated[int, Field(ge=1, le=366)] = 180
    """Days a decision counts after it was signed."""


def _digests(value: Any) -> Any:
    if isinstance(value, Mapping):
        for name, digest in value.items():
            if not (isinstance(digest, str) and is_digest(digest)):
                raise ValueError(f"pins {name} to {digest!r}, which is no digest\nWrite sha256: and 64 hexadecimal digits.")
    return value


class PolicyFile(Declared):
    """One policy file."""

    schema_: Literal["kdgov.policy/1"] = Field(alias="schema")
    """Must be ``kdgov.policy/1``."""
    name: str = Field(min_length=1)
    """The policy's name."""
    version: Annotated[str, BeforeValidator(_as_text)]
    """The policy's version."""
    description: str = ""
    """Whom it is for, in a sentence."""
    criteria: list[AnyCriterion] = Field(min_length=1)
    """What is demanded of the numbers."""
    findings: dict[str, Literal["warn", "review", "block"]] = Field(default_factory=dict)
    """Finding rule → what it means here."""
    approvals: list[str] = Field(default_factory=list)
    """Roles that must approve the very decision."""
    waivers: WaiverSection = Field(default_factory=WaiverSection)
    """Rules for waivers."""
    pins: Annotated[dict[str, str], BeforeValidator(_digests)] = Field(default_factory=dict)
    """Name in the decision's digests → the only digest accepted, such as ``teacher_weights``."""
    root_teacher: Literal["when_known", "required", "skip"] = "when_known"
    """Whether the root teacher's results are compared as well."""
    require_digests: list[str] = Field(default_factory=list)
    """Names that the decision's digests must hold, such as ``plan``."""
    allowed_differences: list[Literal["backend", "dtype", "device", "batch_tokens"]] = Field(default_factory=list)
    """Ways in which the two models may have been run differently."""
    license: LicenseSection = Field(default_factory=LicenseSection)
    """Stances on contested licence readings."""
    promotion: PromotionSection = Field(default_factory=PromotionSection)
    """What a pass opens."""

    @model_validator(mode="after")
    def _has_unique_ids(self) -> PolicyFile:
        seen: set[str] = set()
        for criterion in self.criteria:
            if criterion.id in seen:
                raise ValueError(f"has two criteria with the id {criterion.id!r}\nGive each its own: waivers name them.")
            seen.add(criterion.id)
        return self


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        InputError: if the file cannot be read; `DeclarationError` names every fault in it.
    """
    value, lines = read_yaml(path)
    return _policy(value, lines, str(path))


def parse_policy(text: str, *, file: str = "policy") -> Policy:
    """As `load_policy`, for text already at hand (the policy inside a sealed bundle)."""
    value, lines = parse_yaml(text, file=file)
    return _policy(value, lines, file)


def find_policy(name: str) -> Path:
    """The policy file of that path, or the shipped policy of that name.

    Raises:
        InputError: listing the shipped names.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    shipped = data_folder("policies") / f"{name.removesuffix('.yaml')}.yaml"
    if "/" not in name and shipped.is_file():
        return shipped
    known = ", ".join(sorted(p.stem for p in data_folder("policies").glob("*.yaml")))
    raise InputError("there is no such policy", where=name, mend=f"Name a file, or one of the shipped policies: {known}.")


def policy_schema() -> dict[str, Any]:
    """The JSON schema of policy files; ``policies/kdgov.policy.schema.json`` is this."""
    schema = PolicyFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "kdgov.policy/1", **schema, "title": "kdgov policy"}


def _policy(value: Any, lines: Mapping[tuple[str | int, ...], int], file: str) -> Policy:
    declared = validate(value, PolicyFile, file=file, lines=lines)
    _check_choices(declared, file, lines)
    meaning = declared.model_dump(mode="json", by_alias=True)
    return Policy(
        name=declared.name,
        version=declared.version,
        # Without defaults: a later kdgov with one more optional key still gives an old policy its old digest.
        digest=digest_json(declared.model_dump(mode="json", by_alias=True, exclude_defaults=True)),
        criteria=tuple(criterion.frozen() for criterion in declared.criteria),
        findings=MappingProxyType(dict(declared.findings)),
        approvals=tuple(declared.approvals),
        waivers=WaiverRules(allowed=declared.waivers.allowed, max_days=declared.waivers.max_days, never=tuple(declared.waivers.never)),
        pins=MappingProxyType(dict(declared.pins)),
        root_teacher=declared.root_teacher,
        require_digests=tuple(declared.require_digests),
        allowed_differences=tuple(declared.allowed_differences),
        sections=MappingProxyType({"license": meaning["license"], "promotion": meaning["promotion"]}),
        source=file,
        lines=MappingProxyType({c.id: lines.get(("criteria", n), 0) for n, c in enumerate(declared.criteria)}),
    )


def _check_choices(declared: PolicyFile, file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
    faults = []
    for name, stance in declared.license.choices.items():
        line = lines.get(("license", "choices", name), 0)
        key = f"license.choices.{name}"
        if name not in CHOICE_VALUES:
            known = ", ".join(CHOICE_VALUES)
            faults.append(Fault(file=file, key=key, line=line, what="is not a known choice", mend=f"Known: {known}."))
        elif str(stance).lower() not in CHOICE_VALUES[name]:
            mend = f"Write {' or '.join(CHOICE_VALUES[name])}."
            faults.append(Fault(file=file, key=key, line=line, what=f"{stance!r} is no stance of it", mend=mend))
    if faults:
        raise DeclarationError(faults)
