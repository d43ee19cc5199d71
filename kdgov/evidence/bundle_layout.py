"""What an evidence bundle holds: every file by name, with what it means. Whoever writes or reads a bundle takes the names from here.

docs/architecture.md shows `layout_text`; a test holds the two equal.

Example:
    >>> of_role("student", ITEMS)
    'student/items.parquet'
    >>> described("cards/teacher.yaml").meaning
    'model and dataset cards as they were'
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

RELEASE, POLICY, DECISION, FINDINGS, INPUTS = "release.json", "policy.yaml", "decision.json", "findings.json", "inputs.json"
PLAN, DISTILLATION, EFFICIENCY, DISAGGREGATION = "plan.json", "distillation.json", "efficiency.json", "disaggregation.json"
CONTAMINATION, LICENCE_CASE, LICENCE_ANSWER = "contamination.json", "licence-case.json", "licence-answer.json"
TRAINING_CURVES = "training-curves.json"
MANIFEST = "manifest.json"
ITEMS, EVALUATION, IDENTITY = "items.parquet", "evidence.json", "identity.json"
"""One of each per model, in the folder of its role."""
EVALUATION_SIGNATURE = "evaluation.dsse.json"
"""Beside them, where whoever asked the models signed the evaluation."""
RAW_ANSWERS = "answers.jsonl"
"""Beside them, where the model is an endpoint: what it answered, as it came."""
THOUGHTS = "thoughts.jsonl"
"""Beside them, where the model thinks before it answers: what it thought; no part of what is scored."""
FURTHER_FILES = (EVALUATION_SIGNATURE, RAW_ANSWERS, THOUGHTS)
"""Files that lie beside those of every role where there are any."""
ROLE_FILES = (ITEMS, EVALUATION, IDENTITY)
CARDS, LICENCES, STATEMENTS, REPORTS = "cards", "licences", "statements", "reports"
ACKNOWLEDGEMENTS = "acknowledgements"
"""Folders of a bundle."""
REPORT_FILES = {"markdown": "decision.md", "junit": "junit.xml", "sarif": "decision.sarif", "text": "decision.txt"}
"""Format → file below `REPORTS`."""
LOST_ITEMS = "flips.md"
"""File below `REPORTS`."""
PAIR = ("teacher", "student")
"""The two models every bundle holds."""
ROLES = (*PAIR, "control", "root", "base")
"""Every model a bundle may hold: beside the two, one that knows nothing, the first teacher of a chain, and the untrained student."""

BUNDLE_FOLDER, ATTESTATION_FOLDER, WEIGHTS_FOLDER = "evidence", "attestation", "weights"
"""Artifact folders of a recorded run: the bundle, what was signed about it, and the weights where they were uploaded."""

_WIDTH, _COLUMN = 118, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file, or one kind of file, of a bundle."""

    path: str
    """Relative to the bundle; ``*`` stands for any name."""
    meaning: str
    """What it holds."""
    is_required: bool = True
    """Whether every bundle of a release holds it."""


LAYOUT: tuple[BundleFile, ...] = (
    BundleFile(path=RELEASE, meaning="the release with every default filled in"),
    BundleFile(path=POLICY, meaning="the policy as it was"),
    BundleFile(path=DECISION, meaning="canonical JSON; its file digest is the decision's digest"),
    BundleFile(path=FINDINGS, meaning="what the checks found"),
    BundleFile(
        path=INPUTS, meaning="what else the decision was made from: digests, names, measured quantities, day of the waivers, items left out"
    ),
    BundleFile(path=PLAN, meaning="the frozen plan that both models replayed"),
    *(
        BundleFile(path=f"{role}/{name}", meaning=f"{meaning} {whom}", is_required=role in PAIR)
        for role, whom in zip(
            ROLES,
            (
                "of the teacher",
                "of the student",
                "of a model that knows nothing",
                "of the first teacher of a chain",
                "of the untrained student",
            ),
            strict=True,
        )
        for name, meaning in zip(ROLE_FILES, ("item table", "how the evaluation came about,", "identity"), strict=True)
    ),
    *(
        BundleFile(path=f"{role}/{EVALUATION_SIGNATURE}", meaning="the evaluation, signed by whoever asked the model", is_required=False)
        for role in ROLES
    ),
    *(BundleFile(path=f"{role}/{THOUGHTS}", meaning="what the model thought before it answered", is_required=False) for role in PAIR),
    *(BundleFile(path=f"{role}/{RAW_ANSWERS}", meaning="what the endpoint answered, as it came", is_required=False) for role in PAIR),
    BundleFile(path=DISTILLATION, meaning="recipe, seed, data and teacher digests; of a student trained elsewhere, the identities alone"),
    BundleFile(path=TRAINING_CURVES, meaning="loss of each term and learning rate over the steps", is_required=False),
    BundleFile(path=f"{CARDS}/*", meaning="model and dataset cards as they were", is_required=False),
    BundleFile(path=LICENCE_CASE, meaning="what the licence reasoner was asked", is_required=False),
    BundleFile(path=LICENCE_ANSWER, meaning="what it answered", is_required=False),
    BundleFile(path=f"{LICENCES}/*", meaning="the licence texts it read", is_required=False),
    BundleFile(path=CONTAMINATION, meaning="suite items found in the data and in what the teacher wrote", is_required=False),
    BundleFile(path=EFFICIENCY, meaning="size and speed of both models as they were measured", is_required=False),
    BundleFile(path=DISAGGREGATION, meaning="results by group", is_required=False),
    BundleFile(path=f"{STATEMENTS}/*", meaning="signed waivers and approvals that were counted", is_required=False),
    BundleFile(path=f"{ACKNOWLEDGEMENTS}/*", meaning="signed statements of roles that they were told of the results", is_required=False),
    BundleFile(path=f"{REPORTS}/*", meaning="the decision as text, Markdown, JUnit, SARIF; the items the student lost", is_required=False),
    BundleFile(path=MANIFEST, meaning="relative path → digest of all of the above"),
)


def of_role(role: str, name: str) -> str:
    """Path of a model's file: ``student/items.parquet``."""
    return f"{role}/{name}"


def in_run(name: str) -> str:
    """Path of a bundle's file among the artifacts of its recorded run: ``evidence/decision.json``."""
    return f"{BUNDLE_FOLDER}/{name}"


def described(path: str) -> BundleFile | None:
    """What the layout says of a file; None where no bundle holds such a file."""
    return next((file for file in LAYOUT if fnmatchcase(path, file.path)), None)


def layout_text(files: Sequence[BundleFile] = LAYOUT) -> str:
    """The layout as an indented listing, for docs/architecture.md."""
    lines = []
    for file in files:
        meaning = file.meaning if file.is_required else f"{file.meaning} (where there is any)"
        first, *rest = textwrap.wrap(meaning, _WIDTH - _COLUMN)
        lines.append(f"    {file.path:<{_COLUMN}}{first}")
        lines += [" " * (4 + _COLUMN) + line for line in rest]
    return "\n".join(lines) + "\n"
