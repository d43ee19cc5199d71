"""The mitigations of a release as the evaluation applies them, and the digest by which its results are kept."""

from __future__ import annotations

import importlib
from typing import Any

from kdgov.digest import digest_json
from kdgov.pipeline.context import ReleaseContext


def release_mitigations(context: ReleaseContext) -> tuple[str, list[Any]]:
    """The system prompt, and the guards and filters (`Withholding`), that stand between a release's models and their users.

    Raises:
        InputError: if a file or a guard's checkpoint cannot be read.
    """
    declared, path = context.release.mitigations, context.path
    if not declared:
        return "", []
    # Here, not above: most releases declare none, and an unchanged rerun starts in the time of a few file reads.
    plan = importlib.import_module("kdgov.evaluation.plan.mitigated")
    judges = importlib.import_module("kdgov.evaluation.scoring.judges")
    return plan.system_prompt_of(declared, path), plan.withholdings_of(declared, path, judges.judge_digest)


def mitigations_digest(context: ReleaseContext) -> dict[str, str]:
    """What mitigations add to the key of an evaluation; nothing where there are none."""
    system, withheld = release_mitigations(context)
    return {"mitigations": digest_json([system, [dict(one.identity) for one in withheld]])} if system or withheld else {}
