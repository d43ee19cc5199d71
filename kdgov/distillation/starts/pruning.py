"""Structured pruning as a student's start: layers, heads, inner and outer width, experts, kept by how active they are on calibration texts.

Importance is read off one pass over the texts, without gradients (Muralidharan et al. 2024, arXiv:2407.14679): of a layer how much it turns
its input, of an inner neuron and a head the size of what it hands on, of a channel the size of what the norms let through, of an expert
how often the router picks it. Kept parts stay in their order, and every weight of the student is one of the teacher's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.distillation.data.collation import Prepared
from kdgov.distillation.starts.kept_stacks import keep_layers
from kdgov.errors import InputError

Index = Mapping[str, Tensor]
"""Name of an axis → (layers, kept) or (kept,) indices into it."""
# Last two names of a weight → the axis of each of its dimensions.
_AXES: Mapping[str, tuple[str, ...]] = {
    "embed_tokens.weight": ("", "width"), "lm_head.weight": ("", "width"), "norm.weight": ("width",),
    "input_layernorm.weight": ("width",), "post_attention_layernorm.weight": ("width",),
    "q_proj.weight": ("query", "width"), "q_proj.bias": ("query",), "k_proj.weight": ("value", "width"), "k_proj.bias": ("value",),
    "v_proj.weight": ("value", "width"), "v_proj.bias": ("value",), "o_proj.weight": ("width", "query"), "o_proj.bias": ("width",),
    "gate_proj.weight": ("inner", "width"), "up_proj.weight": ("inner", "width"), "down_proj.weight": ("width", "inner"),
    "gate.weight": ("experts", "width"), "experts.gate_up_proj": ("experts", "", "width"), "experts.down_proj": ("experts", "width", ""),
    "intermediate.dense.weight": ("inner", ""), "intermediate.dense.bias": ("inner",), "output.dense.weight": ("", "inner"),
}  # fmt: skip


def prune(model: Any, wanted: Mapping[str, int], batches: Sequence[Mapping[str, Tensor]]) -> Any:
    """A smaller model of the same class, made of the parts that are most active.

    Args:
        model: what is pruned; it stays as it is.
        wanted: how many to keep of ``layers``, ``heads``, ``inner``, ``width``, ``experts``; what is not named stays whole.
        batches: inputs of calibration texts.

    Raises:
        InputError: if the architecture has no such parts, or fewer than wanted.
    """
    if (count := wanted.get("layers")) is not None:
        seen = _Activity(model, batches)
        layers = _top(seen.layer_turns, count, "layers")
        model = keep_layers(model, layers.tolist())
    rest = {part: count for part, count in wanted.items() if part != "layers"}
    if not rest:
        return model
    seen = _Activity(model, batches)
    config = _narrowed(model.config, rest)
    student = type(model)(config)
    index = _indices(model.config, rest, seen)
    held, state = model.state_dict(), {}
    for name, target in student.state_dict().items():
        state[name] = _cut(name, held[name], target.shape, index)
    student.load_state_dict(state, strict=True)
    if getattr(config, "tie_word_embeddings", False):
        student.tie_weights()
    return student.eval()


def calibration_inputs(prepared: Prepared, count: int) -> list[Mapping[str, Tensor]]:
    """Inputs of up to ``count`` examples, spread evenly over the data as it lies."""
    pairs = list(enumerate(prepared.items))[:: max(1, len(prepared.items) // count)]
    return [prepared.collate([pair])["inputs"] for pair in pairs[:count]]


class _Activity:
    """What one pass over the calibration texts shows of each part."""

    def __init__(self, model: Any, batches: Sequence[Mapping[str, Tensor]]) -> None:
        self.layers = _stack(model)
        self.layer_turns = torch.zeros(len(self.layers))
        self.inner: dict[int, Tensor] = {}
        self.mixed: dict[int, Tensor] = {}
        self.channels = torch.zeros(())
        self.routed: dict[int, Tensor] = {}
        handles = [hook for number, layer in enumerate(self.layers) for hook in self._listen(number, layer)]
        handles += [m.register_forward_hook(self._channel) for n, m in model.named_modules() if n.rpartition(".")[2].endswith("norm")]
        try:
            with torch.no_grad():
                for inputs in batches:
                    model(**{name: tensor.to(next(model.parameters()).device) for name, tensor in inputs.items()})
        finally:
            for handle in handles:
                handle.remove()

    def _listen(self, number: int, layer: nn.Module) -> list[Any]:
        found = [layer.register_forward_hook(self._turn(number))]
        for name, module in layer.named_modules():
            if name.endswith("down_proj") or (name == "output.dense" and isinstance(module, nn.Linear)):
                found.append(module.register_forward_pre_hook(self._size(self.inner, number)))
            elif name.endswith("o_proj"):
                found.append(module.register_forward_pre_hook(self._size(self.mixed, number)))
            elif name.endswith(("mlp.gate", "block_sparse_moe.gate")):
                found.append(module.register_forward_hook(self._routes(number)))
        return found

    def _turn(self, number: int) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            after = output[0] if isinstance(output, tuple) else output
            if inputs:
                self.layer_turns[number] += (1 - torch.cosine_similarity(inputs[0].float(), after.float(), dim=-1)).sum().cpu()

        return hook

    def _size(self, into: dict[int, Tensor], number: int) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            size = inputs[0].detach().float().flatten(0, -2).square().sum(0).cpu()
            into[number] = into.get(number, 0) + size

        return hook

    def _channel(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        size = output.detach().float().flatten(0, -2).abs().sum(0).cpu()
        # Norms of single heads are narrower and say nothing of the channels.
        if self.channels.dim() == 0 or len(size) > len(self.channels):
            self.channels = size
        elif len(size) == len(self.channels):
            self.channels = self.channels + size

    def _routes(self, number: int) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            logits = output[0] if isinstance(output, tuple) else output
            picked = logits.detach().float().softmax(-1).flatten(0, -2).sum(0).cpu()
            self.routed[number] = self.routed.get(number, 0) + picked

        return hook


def _stack(model: Any) -> list[nn.Module]:
    count = int(model.config.num_hidden_layers)
    found = next((m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count), None)
    if found is None:
        raise InputError(f"{type(model).__name__} has no list of {count} layers", where="student.prune", mend="Remove `prune:`.")
    return list(found)


def _top(importance: Tensor, count: int, part: str) -> Tensor:
    """Indices of the ``count`` most important of the last dimension, in rising order."""
    if importance.dim() == 0 or count > importance.shape[-1]:
        has = 0 if importance.dim() == 0 else importance.shape[-1]
        raise InputError(f"keeps {count} {part} of {has}", where=f"student.prune.{part}", mend="Keep no more than there are.")
    return importance.topk(count, dim=-1).indices.sort(dim=-1).values


def _indices(config: Any, wanted: Mapping[str, int], seen: _Activity) -> Index:
    found: dict[str, Tensor] = {}
    if "width" in wanted:
        found["width"] = _top(seen.channels, wanted["width"], "width")
    if "inner" in wanted:
        found["inner"] = _top(_stacked(seen.inner, "inner"), wanted["inner"], "inner")
    if "experts" in wanted:
        found["experts"] = _top(_stacked(seen.routed, "experts"), wanted["experts"], "experts")
    if "heads" in wanted:
        size, each = _head_shape(config)
        mixed = _stacked(seen.mixed, "heads")
        groups = mixed.reshape(len(mixed), -1, each * size).sum(-1)
        kept = _top(groups, wanted["heads"] // each, "heads")
        found["query"] = (kept[:, :, None] * each * size + torch.arange(each * size)).flatten(1)
        found["value"] = (kept[:, :, None] * size + torch.arange(size)).flatten(1)
    return found


def _stacked(by_layer: Mapping[int, Tensor], part: str) -> Tensor:
    if not by_layer:
        raise InputError(f"this architecture has no {part} that are known by name", where=f"student.prune.{part}", mend="Remove it.")
    return torch.stack([by_layer[number] for number in sorted(by_layer)])


def _head_shape(config: Any) -> tuple[int, int]:
    """Numbers per head, and query heads per key and value head."""
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    return size, heads // int(getattr(config, "num_key_value_heads", None) or heads)


def _narrowed(config: Any, wanted: Mapping[str, int]) -> Any:
    narrow, (size, each) = copy.deepcopy(config), _head_shape(config)
    if ("heads" in wanted or "width" in wanted) and not hasattr(config, "num_key_value_heads"):
        raise InputError(
            f"a {config.model_type} ties the size of a head to its width",
            where="student.prune",
            mend="Prune `layers` and `inner` of it, or start from `config:`.",
        )
    if "heads" in wanted:
        if wanted["heads"] % each:
            raise InputError(
                f"is {wanted['heads']}; {each} query heads share one key and value head",
                where="student.prune.heads",
                mend=f"Choose a multiple of {each}.",
            )
        narrow.num_attention_heads, narrow.num_key_value_heads = wanted["heads"], wanted["heads"] // each
    if "heads" in wanted or "width" in wanted:
        narrow.head_dim = size
    names = {"inner": ("intermediate_size",), "width": ("hidden_size",), "experts": ("num_local_experts", "num_experts")}
    for part, keys in names.items():
        if part not in wanted:
            continue
        own = [key for key in keys if getattr(config, key, None) is not None]
        if not own or (part == "inner" and any(getattr(config, key, None) for key in names["experts"])):
            said = f"a {config.model_type} has no {part} that can be pruned"
            raise InputError(said, where=f"student.prune.{part}", mend="Remove it.")
        setattr(narrow, own[0], wanted[part])
    chosen = int(getattr(narrow, "num_experts_per_tok", 0) or 0)
    if "experts" in wanted and wanted["experts"] < chosen:
        raise InputError(f"is fewer than the {chosen} a token is sent to", where="student.prune.experts", mend=f"Keep {chosen} or more.")
    return narrow


def _cut(name: str, weight: Tensor, shape: torch.Size, index: Index) -> Tensor:
    # An encoder's attention ends in a module of the same name as its feed-forward layer's second half.
    axes = () if "attention.output" in name else next((axes for end, axes in _AXES.items() if name.endswith(end)), ())
    number = next((int(part) for part in name.split(".") if part.isdigit()), 0)
    made = weight.detach()
    for place, axis in enumerate(axes):
        if axis in index:
            kept = index[axis] if index[axis].dim() == 1 else index[axis][number]
            made = made.index_select(place, kept.to(made.device))
    if made.shape != shape:
        raise InputError(f"the weight {name} cannot be pruned by name", where="student.prune", mend="Prune fewer kinds of parts.")
    return made.clone()
