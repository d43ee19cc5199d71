"""Queries, keys and values of a model's self-attention, overheard while it runs: which modules make them, of which side and layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from kdgov.checkpoints.layer_choice import ONLY
from kdgov.distillation.starts.kept_stacks import model_depths, side_of
from kdgov.errors import InputError

Relation = Literal["query", "key", "value"]
_PROJECTIONS: Mapping[Relation, tuple[str, ...]] = {
    "query": ("q_proj", "query", "q_lin", "q", "query_proj"),
    "key": ("k_proj", "key", "k_lin", "k", "key_proj"),
    "value": ("v_proj", "value", "v_lin", "v", "value_proj"),
}
# One module that makes all three, side by side (GPT-2).
_JOINT = ("c_attn",)
_ACROSS = ("cross", "encoder_attn", "encdec")
"""Parts of the names of attention that looks from a decoder at what was read: its queries and keys are of two texts."""
_READS_ONLY = ("vision", "visual", "audio")
"""Parts of the names of an eye or an ear beside a decoder of text."""
Layers = Mapping[str, Sequence[Mapping[str, nn.Module]]]
"""``decoder`` | ``encoder`` → per layer, the modules that make queries, keys and values."""


def attending_layers(model: Any) -> Layers:
    """The modules of every layer's self-attention; the layers of a model of one stack are its decoder's.

    A side of which not exactly one module per layer is known by its name is left out.
    """
    depths = model_depths(model)
    named = [(name.lower(), parts) for name, module in model.named_modules() if (parts := _parts(module))]
    own = [(name, parts) for name, parts in named if not any(part in name for part in _ACROSS)]
    # A model that only sees may call itself so as well.
    own = [(name, parts) for name, parts in own if not any(part in name for part in _READS_ONLY)] or own
    found: dict[str, list[dict[str, nn.Module]]] = {"decoder": [], "encoder": []}
    for name, parts in own:
        found["decoder" if ONLY in depths else side_of(name) or "decoder"].append(parts)
    counts = {"decoder": depths[ONLY]} if ONLY in depths else depths
    return {side: layers for side, layers in found.items() if layers and len(layers) == counts.get(side)}


def _parts(module: nn.Module) -> dict[str, nn.Module]:
    children = dict(module.named_children())
    joint = next((children[name] for name in _JOINT if name in children), None)
    if joint is not None:
        return {"joint": joint}
    named = {kind: next((children[name] for name in names if name in children), None) for kind, names in _PROJECTIONS.items()}
    made = {str(kind): part for kind, part in named.items() if part is not None}
    return made if len(made) == len(_PROJECTIONS) else {}


@contextmanager
def captured(layers: Layers, wanted: Sequence[tuple[str, int]]) -> Iterator[dict[tuple[str, int, str], Tensor]]:
    """What the modules of some layers give while a model runs inside: (side, layer, query | key | value) → (batch, time, width).

    Raises:
        InputError: if those modules are not known.
    """
    caught: dict[tuple[str, int, str], Tensor] = {}
    if any(side not in layers for side, _ in wanted):
        raise InputError(
            "attention_relation: the queries, keys and values of this architecture are not known by name",
            where="distillation.terms",
            mend="Use hidden_states or attention instead.",
        )
    handles = [
        module.register_forward_hook(_catch(caught, side, layer, kind))
        for side, layer in wanted
        for kind, module in layers[side][layer].items()
    ]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _catch(caught: dict[tuple[str, int, str], Tensor], side: str, layer: int, kind: str) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if kind != "joint":
            caught[side, layer, kind] = output
            return
        for name, part in zip(("query", "key", "value"), output.chunk(3, dim=-1), strict=True):
            caught[side, layer, name] = part

    return hook
