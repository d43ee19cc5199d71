"""How many layers a model's stacks have: one stack, or an encoder that reads and a decoder that writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kdgov.checkpoints.identity import layers_of

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
