"""Several examples in one row without attention across them: the same loss, and next to no padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdgov.distillation.data.tokenization import TokenCollator, TokenExample
from kdgov.distillation.losses.forward import Pass, Wanted
from kdgov.errors import InputError

_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingCollator:
    """Batches whose rows hold as many whole examples as fit, in their order, with positions that start anew at each.

    Models of transformers read from such positions where an example ends, and let no token see another example's; `refuse_unless_apart`
    proves it of a model. Labels and weights are those of the examples one by one, so kept tokens come in the same order.
    """

    plain: TokenCollator
    """How a batch is made without packing; its padding and weighting are kept."""
    width: int
    """Most tokens of a row."""

    def __call__(self, items: Sequence[tuple[int, TokenExample]]) -> dict[str, Any]:
        """``inputs`` with ``position_ids``, ``labels`` and ``weights`` (rows, time), ``rows`` (examples,)."""
        made = [self.plain([item]) for item in items]
        groups = _filled([len(example.ids) for _, example in items], self.width)
        length = max(sum(len(items[place][1].ids) for place in group) for group in groups)
        parts: dict[str, list[Tensor]] = {"ids": [], "labels": [], "weights": [], "positions": []}
        for group in groups:
            own = [made[place] for place in group]
            parts["ids"].append(_joined([one["inputs"]["input_ids"][0] for one in own], length, self.plain.pad_id))
            parts["labels"].append(_joined([one["labels"][0] for one in own], length, self.plain.pad_id))
            parts["weights"].append(_joined([one["weights"][0] for one in own], length, 0))
            lengths = [len(items[place][1].ids) for place in group]
            # What is left behind the last example counts on from nought: one more example of padding.
            positions = [torch.arange(n) for n in (*lengths, length - sum(lengths))]
            parts["positions"].append(torch.cat(positions))
        return {
            "inputs": {"input_ids": torch.stack(parts["ids"]), "position_ids": torch.stack(parts["positions"])},
            "labels": torch.stack(parts["labels"]),
            "weights": torch.stack(parts["weights"]),
            "rows": torch.tensor([row for row, _ in items]),
        }


def _filled(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Places of examples per row, in order: a row is closed when the next example does not fit."""
    groups: list[list[int]] = [[]]
    room = width
    for place, length in enumerate(lengths):
        if length > room and groups[-1]:
            groups.append([])
            room = width
        groups[-1].append(place)
        room -= length
    return groups


def _joined(pieces: Sequence[Tensor], length: int, fill: int) -> Tensor:
    whole = torch.cat(list(pieces))
    return torch.nn.functional.pad(whole, (0, length - len(whole)), value=fill)


def refuse_unless_apart(models: Mapping[str, Any], items: Sequence[TokenExample], packing: PackingCollator) -> None:
    """Run each model on the same examples apart and packed, and refuse one whose answers differ.

    Args:
        models: ``teacher`` and ``student``; None where there is none.
        items: at least one example; a few are tried.
        packing: how they are packed.

    Raises:
        InputError: naming the model that sees across examples, or takes no positions.
    """
    few = [(row, item) for row, item in enumerate(items[:3])]
    if len(few) == 1:
        few = [few[0], few[0]]
    packed = PackingCollator(plain=packing.plain, width=sum(len(item.ids) for _, item in few))(few)
    for who, model in models.items():
        if model is None:
            continue
        run, device = Pass(model, fused=False), next(model.parameters()).device
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                together = run(_to(packed["inputs"], device), Wanted()).answer[0].float()
                apart = [run(_to(packing.plain([item])["inputs"], device), Wanted()).answer[0].float() for item in few]
        except (TypeError, ValueError) as error:
            raise _unpackable(who, model, f"takes no positions of packed examples ({error})") from error
        finally:
            model.train(was_training)
        alone = torch.cat(apart)
        if (together[: len(alone)] - alone).abs().max() > _TOLERANCE * max(1.0, float(alone.abs().max())):
            raise _unpackable(who, model, "sees across packed examples: its answers differ from those on each example alone")


def _to(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _unpackable(who: str, model: Any, why: str) -> InputError:
    return InputError(f"the {who} ({type(model).__name__}) {why}", where="distillation.packing", mend="Remove `packing:`.")
