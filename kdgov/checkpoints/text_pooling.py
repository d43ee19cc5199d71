"""How a text's hidden states become one vector, as the files of sentence-transformers say, of any version: one reader for all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdgov.errors import InputError

_WIDTHS = ("word_embedding_dimension", "embedding_dimension")
_MODES = {
    "pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_lasttoken": "last",
}  # fmt: skip
_NAMES = {"lasttoken": "last"}
"""Names of newer files that are other names here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How a text's hidden states become one embedding."""

    mode: Literal["mean", "cls", "max", "last"] = "mean"
    """Mean or maximum over tokens, or the first or the last token's."""
    is_normalised: bool = False
    """Whether embeddings have length one."""


def pooling_of(folder: Path) -> Pooling:
    """What a folder in the layout of sentence-transformers declares; without that, the mean over tokens.

    Raises:
        InputError: if it declares a way that is not known here.
    """
    modules = folder / "modules.json"
    listed = json.loads(modules.read_text(encoding="utf-8")) if modules.is_file() else _found(folder)
    _refuse_prompt(folder / "config_sentence_transformers.json")
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in listed]
    where = next((str(module.get("path", "")) for module, kind in zip(listed, kinds, strict=True) if kind == "Pooling"), None)
    if unknown := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise InputError(
            f"has a module {unknown[0]}: its vectors go through {', '.join(unknown)}, which is not computed here",
            where=str(modules),
            mend="Take a model of Transformer, Pooling and Normalize alone.",
        )
    if where is None:
        return Pooling(is_normalised="Normalize" in kinds)
    stated: dict[str, Any] = json.loads((folder / where / "config.json").read_text(encoding="utf-8"))
    on = [key for key, value in stated.items() if key.startswith("pooling_mode") and value is True]
    said = str(stated.get("pooling_mode"))
    named = _NAMES.get(said, said)
    modes = [_MODES[key] for key in on if key in _MODES] or [mode for mode in _MODES.values() if mode == named]
    if len(modes) != 1 or len(on) > 1:
        raise InputError(f"pools by {on or named}", where=str(folder / where), mend="Use mean, cls, max or lasttoken pooling.")
    return Pooling(mode=modes[0], is_normalised="Normalize" in kinds)  # type: ignore[arg-type]


def pooled(hidden: Any, attended: Any, pooling: Pooling) -> Any:
    """(batch, width) embeddings in float32.

    Args:
        hidden: (batch, time, width) tensor.
        attended: (batch, time), 1 where a token is real.
        pooling: how.
    """
    hidden = hidden.float()
    real = attended[:, :, None].to(hidden.dtype)
    if pooling.mode == "cls":
        made = hidden[:, 0]
    elif pooling.mode == "last":
        # The real token that stands furthest behind, on whichever side the padding is.
        places = (real.cumsum(1) * real).argmax(1, keepdim=True)
        made = hidden.gather(1, places.expand(-1, -1, hidden.shape[-1]))[:, 0]
    elif pooling.mode == "max":
        made = hidden.masked_fill(real == 0, float("-inf")).amax(1)
    else:
        made = (hidden * real).sum(1) / real.sum(1).clamp(min=1e-9)
    return made / made.norm(dim=-1, keepdim=True).clamp_min(1e-12) if pooling.is_normalised else made


def write_embedding_width(folder: Path, width: int) -> None:
    """Have the pooling's files say how many numbers an embedding has: those copied from a wider teacher say how many its own has."""
    modules = folder / "modules.json"
    listed = json.loads(modules.read_text(encoding="utf-8")) if modules.is_file() else _found(folder)
    for file in (folder / str(module.get("path", "")) / "config.json" for module in listed if str(module.get("type")).endswith("Pooling")):
        stated: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        said = {key: width for key in _WIDTHS if stated.get(key, width) != width}
        if said:
            file.write_text(json.dumps({**stated, **said}, indent=2) + "\n", encoding="utf-8")


def _found(folder: Path) -> list[dict[str, str]]:
    """The pooling of a folder without ``modules.json``, where its usual place holds one."""
    return [{"type": "Pooling", "path": "1_Pooling"}] if (folder / "1_Pooling" / "config.json").is_file() else []


def _refuse_prompt(config: Path) -> None:
    """Words that sentence-transformers puts before every text: without them other embeddings would be compared than are used."""
    stated = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    if (name := stated.get("default_prompt_name")) is not None and (words := (stated.get("prompts") or {}).get(name)):
        raise InputError(
            f"puts {words!r} before every text (default_prompt_name)",
            where=str(config),
            mend="Remove `default_prompt_name`, and write these words into the texts of the data.",
        )
