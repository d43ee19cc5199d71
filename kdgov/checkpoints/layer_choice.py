"""Which layers of a teacher a start keeps, and whether a release names layers and checkpoints that are there, before any compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kdgov.checkpoints.identity import layers_of, read_config
from kdgov.declarations.release import Release, StudentDeclaration
from kdgov.declarations.release_parts.parts_kept import SidesKept
from kdgov.declarations.release_parts.stages import StageStart
from kdgov.errors import DeclarationError, Fault, InputError

Side = Literal["encoder", "decoder"]
SIDES: tuple[Side, Side] = ("encoder", "decoder")
DEPTH_KEYS: Mapping[Side, tuple[str, ...]] = {
    "encoder": ("encoder_layers", "num_encoder_layers", "encoder_num_hidden_layers", "num_layers", "num_hidden_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers", "decoder_num_hidden_layers"),
}
"""Side → keys of a configuration that state its depth (BART and Whisper, ProphetNet, Moonshine, T5), the surest first."""
ONLY = ""
"""Name of the stack of a model that has one."""


def depths_of(config: Mapping[str, Any]) -> dict[str, int]:
    """Side → layers that a ``config.json`` states; of a model of one stack `ONLY` → layers, and nothing where it states none."""
    found = {side: side_depth(config, side) for side in SIDES}
    if all(found.values()) and config.get("is_encoder_decoder", True):
        return {side: int(depth) for side, depth in found.items()}
    layers = layers_of(config)
    return {ONLY: layers} if layers else {}


def side_depth(config: Mapping[str, Any], side: Side) -> int:
    """Layers of one side; 0 where the configuration states none (a configuration may hold one of each side)."""
    inner = config.get(side)
    if isinstance(inner, Mapping):
        return int(inner.get("num_hidden_layers") or 0)
    return next((int(config[key]) for key in DEPTH_KEYS[side] if isinstance(config.get(key), int)), 0)


KeepLayers = Sequence[int] | Literal["all", "every_second", "first_and_last"]
KeepSides = KeepLayers | Mapping[str, KeepLayers]
"""Layers of every stack, or of encoder and decoder each."""


def as_plain(keep: KeepLayers | SidesKept | None) -> KeepSides | None:
    """What a declaration names as plain values."""
    return keep.model_dump() if isinstance(keep, SidesKept) else keep


def chosen_by_stack(keep: KeepSides, depths: Mapping[str, int]) -> dict[str, list[int]]:
    """Stack of a teacher (by `depths_of`) → layer numbers a declaration means of it.

    Raises:
        InputError: if a layer is not there, or sides are named of a teacher that has one stack.

    Example:
        >>> chosen_by_stack({"decoder": "first_and_last"}, {"encoder": 4, "decoder": 6})
        {'encoder': [0, 1, 2, 3], 'decoder': [0, 5]}
    """
    if not isinstance(keep, Mapping):
        return {stack: chosen_layers(keep, count, stack=stack) for stack, count in depths.items()}
    if ONLY in depths or not depths:
        raise InputError(
            "names encoder and decoder, and the teacher has one stack of layers",
            where="student.keep_layers",
            mend="Name layers: `keep_layers: [0, 2]`.",
        )
    return {side: chosen_layers(keep.get(side, "all"), depths[side], stack=side) for side in SIDES}


def chosen_layers(keep: KeepLayers, count: int, *, stack: str = ONLY) -> list[int]:
    """Layer numbers a declaration means, for a teacher of ``count`` layers; ``stack`` is whose they are, for the message.

    Raises:
        InputError: if one is out of range, repeated or out of order.

    Example:
        >>> chosen_layers("every_second", 5), chosen_layers("first_and_last", 5), chosen_layers([0, 3], 5)
        ([0, 2, 4], [0, 4], [0, 3])
    """
    if keep == "all":
        return list(range(count))
    if keep == "every_second":
        return list(range(0, count, 2))
    if keep == "first_and_last":
        return sorted({0, count - 1})
    layers = [int(layer) for layer in keep]
    wrong = [layer for layer in layers if not 0 <= layer < count]
    if wrong or not layers:
        said = f"names layer {', '.join(map(str, wrong))}" if wrong else "is empty"
        whose = f"the teacher's {stack}" if stack else "the teacher"
        apart = "; `keep_layers: {encoder: [0, 2], decoder: [0]}` chooses each side apart" if stack else ""
        raise InputError(f"{said}; {whose} has layers 0 to {count - 1}", where="student.keep_layers", mend=f"Name layers it has{apart}.")
    if layers != sorted(set(layers)):
        raise InputError("is not in rising order without repeats", where="student.keep_layers", mend="Write each layer once, lowest first.")
    return layers


def refuse_absent_starts(release: Release, depths: Mapping[str, int], path_of: Callable[[str], Path], *, file: str) -> None:
    """Refuse a release of which a stage would start from layers or a checkpoint that are not there.

    What cannot be known before training (the layers of a model that is only an address, or of a Hub model not at hand) is left to the
    stage itself.

    Args:
        release: the declaration.
        depths: layers of the release's teacher, by `depths_of`; empty where unknown.
        path_of: a path of the release → where it lies.
        file: the release's file, for the messages.

    Raises:
        DeclarationError: with every such fault, and its key.
    """
    if faults := list(_faults(release, depths, path_of, file)):
        raise DeclarationError(faults)


def _faults(release: Release, depths: Mapping[str, int], path_of: Callable[[str], Path], file: str) -> Iterator[Fault]:
    before: Mapping[str, int] = {}
    for number, (previous, own) in enumerate([*((stage.previous, stage.student) for stage in release.stages), (release.previous, None)]):
        if number and previous == "student":
            continue
        start, key = (release.student, "student") if own is None else (own, f"stages[{number}].student")
        if own is not None and own.model is not None and _is_missing(path_of(own.model), own.model):
            yield Fault(file=file, key=f"{key}.model", what=f"names {own.model!r}, which is not there", mend="Name a checkpoint folder.")
        teaches, before = before if number else depths, _depths_at(start, path_of)
        if (keep := as_plain(start.keep_layers)) is not None and teaches:
            try:
                before = {stack: len(layers) for stack, layers in chosen_by_stack(keep, teaches).items()}
            except InputError as error:
                yield Fault(file=file, key=f"{key}.keep_layers", what=error.what, mend=error.mend)


def _is_missing(path: Path, named: str) -> bool:
    """Whether a name can only be a folder, and there is none (``owner/name`` may be of the Hub)."""
    return not path.exists() and (named.startswith((".", "/", "~")) or named.count("/") != 1)


def _depths_at(start: StageStart | StudentDeclaration, path_of: Callable[[str], Path]) -> Mapping[str, int]:
    """Layers of a checkpoint on disk; empty where they cannot be read."""
    try:
        return {} if start.model is None else depths_of(read_config(path_of(start.model)))
    except InputError:
        return {}
