"""Which family a guard's checkpoint is of: its chat template and its model card say so, its name does not have to."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kdgov.errors import InputError
from kdgov.evaluation.scoring.guards.guard_forms import FORMS, guard_text

AUTO = "auto"
_LARGEST = 2_000_000


def family_of(folder: Path) -> str:
    """The form of `FORMS` whose marks a checkpoint bears.

    Raises:
        InputError: if it bears those of none.
    """
    if (known := known_family(folder)) is not None:
        return known
    named = ", ".join(sorted(FORMS))
    raise InputError(
        "neither the chat template nor the model card tells which family of guard models it is of",
        where=str(folder),
        mend=f"Keep its model card (README.md) beside the weights, or copy the suite and write the judge's `form:`, one of {named}.",
    )


def known_family(folder: Path) -> str | None:
    """The same, and None where nothing tells."""
    template = template_in(folder)
    told = (form for form, marks in _MARKS.items() if all(re.search(mark, template) for mark in marks))
    return next(told, None) or next((form for form in ("wildguard", "harmbench") if _is_asked_as(form, folder)), None)


def form_for(declared: str, folder: Path) -> str:
    """The form of a guard that a user puts in the place of a suite's: its own family's, asked for the same kind of label.

    Args:
        declared: the form that the suite was written for.
        folder: the checkpoint that the user's variable names.
    """
    known = known_family(folder)
    if known is None or known.partition("_")[0] == declared.partition("_")[0]:
        return declared
    same = (form for form in (known, f"{known}_refusal") if form in FORMS and FORMS[form].labels == FORMS[declared].labels)
    return next(same, declared)


def template_in(folder: Path) -> str:
    """The chat template of a checkpoint wherever it lies; empty where it has none."""
    plain = folder / "chat_template.jinja"
    if plain.is_file():
        return plain.read_bytes()[:_LARGEST].decode("utf-8", errors="replace")
    for name in ("tokenizer_config.json", "chat_template.json"):
        found = _json(folder / name).get("chat_template")
        if isinstance(found, list):
            # Several named templates: the default one.
            found = next((one.get("template") for one in found if isinstance(one, dict) and one.get("name") == "default"), None)
        if isinstance(found, str) and found:
            return found
    return ""


_MARKS = {
    "qwen3guard": (r"Safety:", r"Controversial"),
    "granite_guardian": (r"guardian_config",),
    "shieldgemma": (r"\bguideline\b",),
    "llama_guard": (r"\bunsafe\b", r"(?i)\bcategor(?:y|ies)\b"),
}
"""Form → what its chat template holds, the narrower first: Qwen3Guard's speaks of unsafe categories as Llama Guard's does."""


def _is_asked_as(form: str, folder: Path) -> bool:
    """Whether the model card prints this family's text: WildGuard is asked about a user and an assistant, HarmBench's about a behaviour."""
    words = guard_text(FORMS[form], folder)
    if words.origin == "own" or words.prompt is None:
        return False
    is_of_behaviour = re.search(r"(?i)\bbehaviou?r\b", words.prompt) is not None
    return is_of_behaviour if form == "harmbench" else not is_of_behaviour and re.search(r"(?i)harmful|refus", words.prompt) is not None


def _json(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_bytes()[:_LARGEST])
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
