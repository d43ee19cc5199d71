"""The policy declaration (``schema: kdgov.policy/1``): what a release must prove, written down before results are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kdgov.decision.policy import Policy, WaiverRules
from kdgov.declarations.criteria import AnyCriterion
from kdgov.declarations.load import Declared, parse_yaml, read_yaml, validate
from kdgov.declarations.policy_parts.alpha_spending import AlphaSection
from kdgov.declarations.policy_parts.criterion_numbers import NotNegative
from kdgov.declarations.policy_parts.judge_demands import JudgesSection
from kdgov.digest import digest_json, is_digest
from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.finding_rules import rule_faults
from kdgov.license.case.case import CHOICE_VALUES
from kdgov.license.vocabulary import Distribution
from kdgov.resources import data_folder


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


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


IdentifierOrAll = Literal["all", "email", "phone", "credit_card", "iban", "us_ssn", "ip_address", "person", "place"]


def _per_kind(value: Any) -> Any:
    return {"all": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


PerKind = Annotated[
    dict[IdentifierOrAll, NotNegative],
    BeforeValidator(_per_kind, json_schema_input_type=dict[IdentifierOrAll, NotNegative] | NotNegative),
]


class DataSection(Declared):
    """What the training data may hold, and what becomes of items the student has seen in it."""

    personal_per_mb: dict[Distribution, PerKind] = Field(default_factory=dict)
    """Identifiers of people per million bytes of text that a release intent bears: one number, or a number per kind and for ``all``."""
    contaminated_items: Literal["block", "judge_apart"] = "block"
    """``block``: the findings stop the release. ``judge_apart``: unseen items decide, seen against unseen is shown."""
    image_likeness: bool = False
    """Whether images of suites and data are also compared by a perceptual hash: resized and recompressed copies are found."""
    retold_items: bool = False
    """Whether items told in other words or in another language are looked for by embeddings (extra ``retold``)."""


class PromotionSection(Declared):
    """Which registry names a passing decision guards, and for how long it counts."""

    guarded_aliases: list[str] = Field(default_factory=lambda: ["champion"], min_length=1)
    """Aliases that need a passing decision."""
    free_aliases: list[str] = Field(default_factory=list)
    """Aliases that anyone may set."""
    valid_days: Annotated[int, Field(ge=1, le=366)] = 180
    """Days a decision counts after it was signed."""
    decides_releases: Annotated[bool, Field(exclude=True)] = False
    """Stated by the policies that come with kdgov and demand skill and refusals whatever was measured; where the owner of the registry
    has signed no list, the standing of a version says whether its policy does. It changes no decision, and so no digest."""


def _digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError(f"{value!r} is not a digest\nWrite sha256: and 64 hexadecimal digits, as the evidence names the file.")
    return value


def _digests(value: Any) -> Any:
    if isinstance(value, Mapping):
        for name, digest in value.items():
            if not (isinstance(digest, str) and is_digest(digest)):
                raise ValueError(f"pins {name} to {digest!r}, which is not a digest\nWrite sha256: and 64 hexadecimal digits.")
    return value


class PolicyFile(Declared):
    """One policy file."""

    schema_: Literal["kdgov.policy/1"] = Field(alias="schema")
    """Must be ``kdgov.policy/1``."""
    name: str = Field(min_length=1)
    """The policy's name."""
    version: Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | float)]
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
    looks: Literal["named", "corrected"] = "named"
    """What happens to a second student on the same items: it is named, or judged at the error level divided by its number."""
    alpha: AlphaSection | None = None
    """One error level for all students ever judged on the same items, over releases and policies; excludes ``looks: corrected``."""
    require_digests: list[str] = Field(default_factory=list)
    """Names that the decision's digests must hold, such as ``plan``."""
    allowed_differences: list[Literal["backend", "dtype", "device", "batch_tokens", "chat_template"]] = Field(default_factory=list)
    """Ways in which the two models may have been run or asked differently."""
    allowed_code: list[Annotated[str, AfterValidator(_digest)]] = Field(default_factory=list)
    """Digests of the files whose code a suite may run while it is evaluated (`kdgov evaluate --allow-code`); none by default."""
    judges: JudgesSection = Field(default_factory=JudgesSection)
    """What is demanded of the judges whose labels became scores."""
    license: LicenseSection = Field(default_factory=LicenseSection)
    """Stances on contested licence readings."""
    data: DataSection = Field(default_factory=DataSection)
    """What the training data may hold, and what becomes of items the student has seen in it."""
    promotion: PromotionSection = Field(default_factory=PromotionSection)
    """What a pass opens."""

    @model_validator(mode="after")
    def _has_unique_ids(self) -> PolicyFile:
        seen: set[str] = set()
        for criterion in self.criteria:
            if criterion.id in seen:
                raise ValueError(f"has two criteria with the id {criterion.id!r}\nGive each its own: waivers name them.")
            seen.add(criterion.id)
        if self.alpha is not None and self.looks == "corrected":
            raise ValueError("has both `alpha` and `looks: corrected`, two corrections of one error\nKeep one of them.")
        return self


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        InputError: if the file cannot be read; `DeclarationError` names every fault in it.
    """
    value, lines = read_yaml(path)
    return _policy(value, lines, str(path))


def decides_releases(path: Path) -> bool:
    """Whether a policy states that it decides releases on its own."""
    value, lines = read_yaml(path)
    return validate(value, PolicyFile, file=str(path), lines=lines).promotion.decides_releases


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


def load_named_policy(name: str) -> Policy:
    """`load_policy` of `find_policy`: a file's path, or the name of a shipped policy."""
    return load_policy(find_policy(name))


def _policy(value: Any, lines: Mapping[tuple[str | int, ...], int], file: str) -> Policy:
    declared = validate(value, PolicyFile, file=file, lines=lines)
    _check_names(declared, file, lines)
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
        looks=declared.looks,
        spend=None if declared.alpha is None else declared.alpha.spend,
        ledger=None if declared.alpha is None else declared.alpha.ledger,
        require_digests=tuple(declared.require_digests),
        allowed_differences=tuple(declared.allowed_differences),
        allowed_code=tuple(declared.allowed_code),
        sections=MappingProxyType({name: meaning[name] for name in ("license", "data", "promotion", "judges")}),
        source=file,
        lines=MappingProxyType({c.id: lines.get(("criteria", n), 0) for n, c in enumerate(declared.criteria)}),
    )


def _check_names(declared: PolicyFile, file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
    faults = [
        Fault(file=file, key=f"findings.{rule}", line=lines.get(("findings", rule), 0), what=what, mend=mend)
        for rule, what, mend in rule_faults(declared.findings)
    ]
    for name, stance in declared.license.choices.items():
        line = lines.get(("license", "choices", name), 0)
        key = f"license.choices.{name}"
        if name not in CHOICE_VALUES:
            known = ", ".join(CHOICE_VALUES)
            faults.append(Fault(file=file, key=key, line=line, what="is not a known choice", mend=f"Known: {known}."))
        elif str(stance).lower() not in CHOICE_VALUES[name]:
            mend = f"Write {' or '.join(CHOICE_VALUES[name])}."
            faults.append(Fault(file=file, key=key, line=line, what=f"{stance!r} is not a valid value", mend=mend))
    if faults:
        raise DeclarationError(faults)
