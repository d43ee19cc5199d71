"""Whether teacher and student see and hear alike: one file is made ready once, and both models are given that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.checkpoints.media.sound_readers import cuts_into_frames, frame_count
from kdgov.errors import InputError

_NAMES = frozenset({
    "image_processor_type", "feature_extractor_type", "processor_class", "_processor_class", "transformers_version",
    "return_attention_mask", "auto_map", "dither",
    "data_format", "input_data_format", "device", "return_tensors", "disable_grouping", "padding_side",
})  # fmt: skip
"""Keys of a processor's file that change nothing a model is given."""
_LENGTHS = (400, 8_000, 16_000, 16_123, 160_000)
"""Samples for which frames are compared."""


def refuse_other_processor(mine: Path, theirs: Path | None) -> None:
    """Nothing, if two folders make images or sounds ready in one way.

    Raises:
        InputError: naming the first setting that differs.
    """
    if theirs is None or theirs == mine:
        return
    own, other = (_settings(path) for path in (mine, theirs))
    odd = next((key for key in sorted(own.keys() & other.keys()) if own[key] != other[key]), None)
    if odd is not None:
        told = (
            f"its processor has {odd} {_short(own[odd])}, the teacher's {_short(other[odd])}: one of the two would be given the wrong input"
        )
        mend = "Start from a student with the teacher's preprocessing, or from layers of the teacher."
        raise InputError(told, where=str(mine / "preprocessor_config.json"), mend=mend)


def has_same_processor(mine: Path, theirs: Path) -> bool:
    """Whether the files of two processors say the same in every setting, those that one of them leaves out included."""
    return _settings(mine) == _settings(theirs)


def refuse_other_hearing(teacher: Any, student: Any) -> None:
    """Nothing, if two loaded speech models take one input and cut it into the same frames.

    Raises:
        InputError: naming what differs.
    """
    for key, what in (("num_mel_bins", "mel bins"), ("max_source_positions", "positions of a sound")):
        own, other = (getattr(model.config, key, None) for model in (student, teacher))
        if own != other:
            mend = "Start from layers of the teacher, or from a student that reads what it reads."
            raise InputError(f"the teacher reads {other} {what}, the student {own}", where="student", mend=mend)
    if cuts_into_frames(teacher) and cuts_into_frames(student):
        cut = [[frame_count(model, n) for n in _LENGTHS] for model in (teacher, student)]
        if cut[0] != cut[1]:
            told = f"the teacher cuts {_LENGTHS[-1]:,} samples into {cut[0][-1]} frames, the student into {cut[1][-1]}"
            mend = "Use a student with the teacher's conv_kernel and conv_stride."
            raise InputError(f"{told}: frames are compared one by one", where="student", mend=mend)


def refuse_short_sounds(items: Any, student: Any) -> None:
    """Nothing, if every sound has as many frames as SpecAugment hides at once.

    Raises:
        InputError: naming the shortest sound.
    """
    config = student.config
    is_on = getattr(config, "apply_spec_augment", False) and float(getattr(config, "mask_time_prob", 0) or 0) > 0
    hidden = int(getattr(config, "mask_time_length", 0) or 0)
    short = [item for item in items if is_on and item.frames < hidden]
    if short:
        least = min(short, key=lambda item: item.frames)
        raise InputError(
            f"item {least.item_id} has {least.frames} frames, and {len(short)} in all have fewer than the {hidden} that the student's "
            "SpecAugment hides at once",
            where="data",
            mend="Remove those lines, or set `apply_spec_augment: false` in the student's config.json.",
        )


def _settings(path: Path) -> Mapping[str, Any]:
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            said = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        parts = [said.get("image_processor"), said.get("feature_extractor")]
        whole = next((part for part in parts if isinstance(part, dict)), said)
        return {key: value for key, value in whole.items() if key not in _NAMES}
    return {}


def _short(value: Any) -> str:
    return json.dumps(value)[:60]
