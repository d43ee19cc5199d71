"""The closed words of licence reasoning: uses, verdicts, obligations, triggers, places, kinds of student."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Use = Literal[
    "weights_init",
    "logits",
    "hidden_states",
    "generated_text",
    "judge_scores",
    "tokenizer",
    "dataset_train",
    "dataset_eval",
    "dataset_publish",
]
"""What a student takes from one upstream: one edge of its lineage."""

Verdict = Literal["allow", "allow_with_obligations", "needs_review", "deny"]
"""May this be done; ordered from mild to strict."""

Gate = Literal["promote", "hold", "block"]
"""May it go out now; ordered from mild to strict."""

Trigger = Literal["internal", "hosted", "distribute"]
"""The release intent from which an obligation applies; each includes the ones after it."""

Distribution = Literal["internal", "hosted", "weights", "data"]
Access = Literal["weights", "api", "product", "extraction"]
OrganizationKind = Literal["company", "university", "individual"]
Basis = Literal["explicit", "inferred", "policy-choice"]
"""Whether a rule's text says so, a reader concludes so, or the policy decides a contested point so."""

Confidence = Literal["seen", "quoted", "recalled"]
"""How well a clause is known: its text was read, a third party's quotation was read, or it is from memory."""

UNREAD: Confidence = "recalled"
"""The confidence of what nobody read: such a rule never allows and never denies, a person decides."""

ObligationKind = Literal[
    "LICENSE_COPY",
    "NOTICE",
    "ATTRIB",
    "STATE_CHANGES",
    "NAME_PREFIX",
    "DISPLAY",
    "FLOW_DOWN",
    "AUP",
    "SHARE_ALIKE",
    "SOURCE_OFFER",
    "PRODUCED_WORK_NOTICE",
    "RESEARCH_ONLY",
    "REGISTER",
    "IMPACT_REPORT",
    "THRESHOLD",
    "TERRITORY",
    "NO_DATA_REDISTRIBUTION",
    "SEPARATE_LICENCE",
    "RECORD",
]

USES: tuple[Use, ...] = get_args(Use)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
GATES: tuple[Gate, ...] = get_args(Gate)
TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)
DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)
ACCESSES: tuple[Access, ...] = get_args(Access)
ORGANIZATION_KINDS: tuple[OrganizationKind, ...] = get_args(OrganizationKind)
BASES: tuple[Basis, ...] = get_args(Basis)
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)
OBLIGATION_KINDS: tuple[ObligationKind, ...] = get_args(ObligationKind)

OUTPUT_USES: frozenset[Use] = frozenset({"logits", "hidden_states", "generated_text", "judge_scores"})
DATASET_USES: frozenset[Use] = frozenset({"dataset_train", "dataset_eval", "dataset_publish"})

USE_GROUPS: dict[str, tuple[Use, ...]] = {
    "outputs": ("logits", "hidden_states", "generated_text", "judge_scores"),
    "parts": ("weights_init", "tokenizer"),
    "any": USES,
}
"""Shorthands the fact files may write instead of a list of uses."""

KIND_GROUPS: dict[str, frozenset[str]] = {
    "language": frozenset({"generative", "foundational_generative", "multimodal_generative", "code_generative"}),
    "media": frozenset({"image_generative", "audio_generative", "video_generative"}),
    "organising": frozenset({"classifier", "encoder", "embedder", "reranker"}),
}
"""Kinds of student a clause may turn on; a kind in no group makes every such clause a question for review."""

KNOWN_KINDS: frozenset[str] = frozenset({"dataset"}).union(*KIND_GROUPS.values())
"""Kinds of student that some clause speaks of; others may be written, a misspelt one may not."""

# The member states, Greece by both its codes, their regions with a code of their own that belong to the Union (Guadeloupe,
# Martinique, French Guiana, Réunion, Mayotte, Saint Martin, Åland), and the Union itself as people write it.
_EU_STATES = [
    "AT",
    "BE",
    "BG",
    "HR",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
    "EL",
    "GP",
    "MQ",
    "GF",
    "RE",
    "YT",
    "MF",
    "AX",
    "EU",
]

PLACE_GROUPS: dict[str, frozenset[str]] = {
    "EU": frozenset(_EU_STATES),
    "GB": frozenset({"GB", "UK"}),
    "KR": frozenset({"KR"}),
}
"""ISO 3166 codes (and the everyday ones) behind the territories that licences name."""


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The maximum of verdicts in their order; ``allow`` for none."""
    return max(verdicts, key=VERDICTS.index, default="allow")


def reach(distribution: Distribution) -> int:
    """How far a release goes on the scale of `TRIGGERS`: 0 internal, 1 hosted, 2 weights or data."""
    return {"internal": 0, "hosted": 1, "weights": 2, "data": 2}[distribution]


def members(kinds: Iterable[str]) -> frozenset[str]:
    """Student kinds behind a list of kinds and group names."""
    found: set[str] = set()
    for kind in kinds:
        found |= KIND_GROUPS.get(kind, frozenset({kind}))
    return frozenset(found)
