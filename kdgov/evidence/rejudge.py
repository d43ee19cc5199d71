"""A bundle judged again from its own files: what the gate, the registry's guard and an audit hold against the sealed decision."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from kdgov import __version__
from kdgov.decision.criteria.comparison_cells import Tables
from kdgov.decision.decision import Decision
from kdgov.decision.policy import Policy
from kdgov.declarations.policy_file import load_policy
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import FINDINGS, INPUTS, ITEMS, POLICY, STATEMENTS
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.gate_inputs import GateInputs
from kdgov.evidence.permission_files import read_statements
from kdgov.evidence.trust_store import TrustStore
from kdgov.finding import Finding
from kdgov.items import read_declarations, read_items
from kdgov.source_digest import source_digest

_ROLES = {"teacher": "teacher", "student": "student", "control": "control", "root": "root_teacher"}
DECIDE_AGAIN = "Decide again: `kdgov run RELEASE` reuses the finished evaluations and records the new decision."
"""What to do about a decision that other code made."""


def rejudge(folder: Path, trust: TrustStore, *, received: datetime.datetime | None = None) -> tuple[Decision, GateInputs]:
    """Judge an evidence bundle again from its own files, with nothing taken from its ``decision.json``.

    Equal to the sealed decision, byte by byte, unless a file of the bundle or kdgov's judgement changed.

    Args:
        folder: the bundle.
        trust: whose waivers and approvals count.
        received: when the registry received the bundle, as its signed log tells; now where nothing tells it.

    Returns:
        The decision, and everything it was made from.

    Raises:
        InputError: if a file of the bundle is missing or unreadable, or a statement in it does not count.
    """
    try:
        inputs = json.loads((folder / INPUTS).read_bytes())
        policy_text = (folder / POLICY).read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is not an evidence bundle: {error}", where=str(folder), mend="Fetch it from the registry again.") from error
    envelopes = sorted((folder / STATEMENTS).glob("*.json"))
    policy = load_policy(folder / POLICY)
    judged = GateInputs(
        policy=policy,
        policy_text=policy_text,
        tables=read_tables(folder, inputs["measurements"]),
        findings=read_findings(folder),
        digests=inputs["digests"],
        subject=inputs["subject"],
        statements=read_statements(envelopes, trust=trust, as_of=inputs["as_of"], received=received),
        seen_items=items_judged_apart(policy, inputs.get("seen_items", ())),
        looks=int(inputs.get("looks", 1)),
    )
    return judged.decide(), judged


def read_tables(folder: Path, measurements: Mapping[str, Mapping[str, float]]) -> Tables:
    """The item tables that a bundle, or an evaluation, holds; with the quantities measured of both models."""
    read = {mine: read_items(folder / theirs / ITEMS) for theirs, mine in _ROLES.items() if (folder / theirs / ITEMS).exists()}
    return Tables(
        teacher=read["teacher"],
        student=read["student"],
        control=read.get("control"),
        root_teacher=read.get("root_teacher"),
        metrics=read_declarations(folder / "teacher"),
        measurements=measurements,
    )


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """What a folder's checks found; nothing where none lies there."""
    try:
        document = json.loads((folder / FINDINGS).read_bytes())
    except FileNotFoundError:
        return ()
    rows = document["findings"] if isinstance(document, Mapping) else document
    return tuple(Finding(**row) for row in rows)


def items_judged_apart(policy: Policy, seen: Sequence[str]) -> tuple[str, ...]:
    """The contaminated items, where the policy leaves them out: nothing else may take an item from the judgement."""
    is_apart = policy.sections.get("data", {}).get("contaminated_items") == "judge_apart"
    return tuple(sorted(set(seen))) if is_apart else ()


def judging_code() -> dict[str, str]:
    """Names the code that judges: kdgov's version, and the digest of every module that a judgement can reach."""
    return {"kdgov": __version__, "source": source_digest(__name__)}


def other_judge(bundle: BundleReader) -> str:
    """Which other code made a bundle's decision, as the bundle says it; empty where it is today's, or where nothing is said.

    It excuses nothing: whoever seals a bundle can write what they like here. It only says why a decision may read otherwise today.
    """
    stated = bundle.document(INPUTS).get("judged_by")
    if isinstance(stated, Mapping):
        if dict(stated) == judging_code():
            return ""
        version = str(stated.get("kdgov"))[:20]
        return f"kdgov {version}" if version != __version__ else f"another build of kdgov {version}"
    # Bundles of earlier versions name the kdgov that asked the models.
    version = str((bundle.evaluations["student"].get("versions") or {}).get("kdgov", __version__))[:20]
    return "" if version == __version__ else f"kdgov {version}"
