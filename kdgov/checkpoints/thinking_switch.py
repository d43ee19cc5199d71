"""Whether a checkpoint's chat template can switch thoughts on and off; no torch, no template is rendered."""

from __future__ import annotations

from pathlib import Path

from kdgov.errors import InputError

SWITCH = "enable_thinking"
_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


def knows_switch(folder: Path) -> bool:
    """Whether any chat template of a folder reads ``enable_thinking``; true where nothing is at hand that could be read."""
    if not folder.is_dir():
        return True
    files = [*(folder / name for name in _FILES), *folder.glob("additional_chat_templates/*.jinja")]
    return any(SWITCH in file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())


def refuse_unknown_switch(where: str, folders: list[Path]) -> None:
    """Nothing, if a template of one of the models reads the switch that ``where`` sets.

    Raises:
        InputError: naming the models whose templates do not.
    """
    if folders and not any(knows_switch(folder) for folder in folders):
        named = " and ".join(dict.fromkeys(str(folder) for folder in folders))
        mend = "Leave it out: thoughts are cut off at `reasoning.end` all the same."
        raise InputError(f"{where} has no effect: no chat template of {named} reads `{SWITCH}`", mend=mend)
