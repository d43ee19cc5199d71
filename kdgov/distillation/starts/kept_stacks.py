"""A student made of some of its teacher's layers, of one stack or of encoder and decoder each."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from kdgov.checkpoints.layer_choice import DEPTH_KEYS, ONLY, SIDES, KeepSides, chosen_by_stack
from kdgov.errors import InputError


def model_depths(model: Any) -> dict[str, int]:
    """Stack → its layers: encoder and decoder of a model that has both, or `ONLY` of one that has one stack."""
    sides = {side_of(name) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    if getattr(model.config, "is_encoder_decoder", False) and sides >= set(SIDES):
        found: dict[str, int] = {side: _side_depth(model.config, side) for side in SIDES}
        if all(found.values()):
            return found
    depths = getattr(model.config, "depths", None)
    if isinstance(depths, list):
        return {ONLY: len(depths)}
    # A decoder alone may have the configuration of a model of both sides, where `num_hidden_layers` is the encoder's (BART).
    own = _side_depth(model.config, "decoder") if sides == {"decoder"} else 0
    return {ONLY: own or int(_of_layers(model, model.config).num_hidden_layers)}


def _of_layers(model: Any, config: Any) -> Any:
    """The part of a configuration that counts the layers: a model of text and images has one for each (CLIP, Gemma 3)."""
    parts = [config, *(getattr(config, name, None) for name in ("text_config", "vision_config", "audio_config"))]
    lengths = {len(module) for module in model.modules() if isinstance(module, nn.ModuleList)}
    counted = [part for part in parts if isinstance(getattr(part, "num_hidden_layers", None), int)]
    found = next((part for part in counted if part.num_hidden_layers in lengths), next(iter(counted), None))
    if found is None:
        told = f"the configuration of {type(model).__name__} does not say how many layers it has"
        raise InputError(
            told, where="student", mend="Leave out terms that compare layers, and start the student from `model:` or `config:`."
        )
    return found


def _side_depth(config: Any, side: str) -> int:
    inner = getattr(config, side, None)
    if inner is not None and not isinstance(inner, int):
        return int(getattr(inner, "num_hidden_layers", 0) or 0)
    return next((int(depth) for key in DEPTH_KEYS[side] if (depth := getattr(config, key, None))), 0)  # type: ignore[index]


def keep_layers(teacher: Any, keep: KeepSides) -> Any:
    """A new model of the teacher's class with some of its layers, and everything else as in the teacher.

    Layers that are named without a side are kept of encoder and decoder alike.

    Raises:
        InputError: if the layers cannot be found or chosen.
    """
    depths = model_depths(teacher)
    chosen = chosen_by_stack(keep, depths)
    student = type(teacher)(_narrowed(teacher, chosen, depths))
    placed: dict[str, Sequence[int]] = {}
    for stack, layers in chosen.items():
        placed |= dict.fromkeys(_lists(teacher, student, stack, depths[stack], len(layers)), layers)
    held = teacher.state_dict()
    sources = {key: _source(key, placed, held) for key in student.state_dict()}
    _refuse_other_parts(teacher, student, sources, held)
    student.load_state_dict({key: held[source].detach().clone() for key, source in sources.items()}, strict=True)
    if getattr(teacher.config, "tie_word_embeddings", False):
        student.tie_weights()
    return student


def _lists(teacher: Any, student: Any, stack: str, count: int, kept: int) -> list[str]:
    """Names of a stack's lists of layers: those that became shorter, for convolutions of the same number did not."""
    lengths = {name: len(module) for name, module in student.named_modules() if isinstance(module, nn.ModuleList)}
    lists = [(name, len(module)) for name, module in teacher.named_modules() if isinstance(module, nn.ModuleList)]
    own = [(name, length) for name, length in lists if stack in (ONLY, side_of(name))]
    found = [name for name, length in own if length == count and lengths.get(name) == kept and (kept == count or lengths[name] < count)]
    if not found:
        whose = f"{stack} layers" if stack else "layers"
        raise InputError(
            f"{type(teacher).__name__} has no list of {count} {whose} to choose from",
            where="student.keep_layers",
            mend="Start the student from `config:` or `model:` instead.",
        )
    return found


def _refuse_other_parts(teacher: Any, student: Any, sources: Mapping[str, str], held: Mapping[str, Any]) -> None:
    """A configuration may say by numbers of their own which layers have experts: of fewer layers others would have them."""
    for key, tensor in student.state_dict().items():
        if sources[key] not in held or held[sources[key]].shape != tensor.shape:
            raise InputError(
                f"{type(teacher).__name__} has layers of several kinds, and the kept ones do not fit their new places: {key} has no source",
                where="student.keep_layers",
                mend="Keep layers so that each kind falls on places of its own, or start from `config:` or `model:`.",
            )


def side_of(name: str) -> str:
    """Encoder or decoder, by the first part of a module's name that says so; a decoder may hold an ``encoder`` of its own."""
    return next((part for part in name.split(".") if part in SIDES), "")


def _narrowed(teacher: Any, chosen: Mapping[str, Sequence[int]], depths: Mapping[str, int]) -> Any:
    narrowed = copy.deepcopy(teacher.config)
    for stack, layers in chosen.items():
        inner = getattr(narrowed, stack, None) if stack else None
        if stack == ONLY and not isinstance(getattr(narrowed, "depths", None), list):
            part = _of_layers(teacher, narrowed)
            inner = None if part is narrowed else part
        if inner is not None and hasattr(inner, "num_hidden_layers"):
            _narrow(inner, ("num_hidden_layers",), layers, depths[stack])
        else:
            keys = ("num_hidden_layers", *DEPTH_KEYS["decoder"]) if stack == ONLY else DEPTH_KEYS[stack]  # type: ignore[index]
            _narrow(narrowed, keys, layers, depths[stack])
    return narrowed


def _narrow(config: Any, keys: Sequence[str], layers: Sequence[int], count: int) -> None:
    renamed = getattr(config, "attribute_map", {})
    for key, value in list(vars(config).items()):
        # Per-layer lists, such as the attention type of each layer.
        is_per_layer = "layer" in key or "block" in key
        if isinstance(value, list) and len(value) == count and is_per_layer:
            setattr(config, key, [value[layer] for layer in layers])
    # A second name of a key may stand for the other side (Moonshine: `num_hidden_layers` is the decoder's).
    is_alone = "num_hidden_layers" in keys[:1]
    for key in keys:
        if getattr(config, key, None) == count and (is_alone or key not in renamed):
            setattr(config, key, len(layers))


def _source(key: str, placed: Mapping[str, Sequence[int]], held: Mapping[str, Any]) -> str:
    stack = next((name for name in placed if key.startswith(f"{name}.")), None)
    if stack is None:
        return key
    number, _, rest = key[len(stack) + 1 :].partition(".")
    source = f"{stack}.{placed[stack][int(number)]}.{rest}"
    # What the first layer alone has (T5's relative positions) comes from there, whichever layers are kept. Anything else that a kept layer
    # lacks it may not take from another: experts and a dense part, or two kinds of attention, would be mixed.
    if source in held or number != "0" or sum(_is_in(name, stack, rest) for name in held) != 1:
        return source
    return key


def _is_in(name: str, stack: str, rest: str) -> bool:
    return name.startswith(f"{stack}.") and name[len(stack) + 1 :].partition(".")[2] == rest
