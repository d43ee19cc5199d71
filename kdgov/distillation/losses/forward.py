"""One forward pass of a model: what comes out of it, and where its output head may be fused with the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.checkpoints.loading import is_out_of_memory
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.distillation.losses.attending_layers import attending_layers, captured
from kdgov.distillation.losses.known_rows import LogitBlock, head_logits, known_logits, only_positions
from kdgov.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a pass must bring besides its answer."""

    hidden_states: bool = False
    """The output of every layer."""
    attentions: bool = False
    """The attention maps of every layer."""
    relations: tuple[tuple[str, int], ...] = ()
    """Side (``decoder`` | ``encoder``) and layer whose queries, keys and values of self-attention are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came out of one pass."""

    answer: Tensor
    """Last hidden state where the head is fused, logits otherwise; the batch first."""
    hidden_states: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    """``decoder`` | ``encoder`` → output of every layer, the embedding's left out; the layers of a model of one stack are its decoder's."""
    attentions: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    """``decoder`` | ``encoder`` | ``cross`` → (batch, heads, time, time of what is attended to) of every layer."""
    relations: Mapping[tuple[str, int, str], Tensor] = field(default_factory=dict)
    """(side, layer, ``query`` | ``key`` | ``value``) → (batch, time, width)."""


@contextmanager
def model_faults(model: Any) -> Iterator[None]:
    """What a model's own code says of a batch that it cannot read, as one fault.

    Raises:
        InputError: with the model and its words.
    """
    try:
        yield
    except (ValueError, IndexError, RuntimeError, AssertionError) as error:
        # Subclasses have handlers of their own: memory that ran out, compilers, processes that lost each other.
        if type(error) not in (ValueError, IndexError, RuntimeError, AssertionError) or is_out_of_memory(error):
            raise
        raise InputError(
            f"{type(model).__name__} cannot read a batch of the data: {(str(error).strip() or type(error).__name__).splitlines()[0][:200]}",
            where=str(getattr(model.config, "_name_or_path", "") or "student"),
            mend="Look whether its configuration fits the tokenizer or processor that reads for it: rows for tokens, lengths, image size.",
        ) from error


class Pass:
    """How one model is run: through its body only, where its head has been proven to be a plain linear map."""

    def __init__(self, model: Any, *, fused: bool, is_generative: bool = True, known: KnownIds | None = None) -> None:
        self.model, self.known = model, known
        self._is_generative = is_generative
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._body = inner.base_model
        head = inner.get_output_embeddings() if fused else None
        self.head: nn.Linear | None = head if isinstance(head, nn.Linear) and self._is_plain(inner, head) else None
        self._inner = inner

    def __call__(self, inputs: Mapping[str, Tensor], wanted: Wanted) -> Passed:
        """Run the model on a batch's inputs."""
        options: dict[str, Any] = {}
        if wanted.hidden_states:
            options["output_hidden_states"] = True
        if wanted.attentions:
            options["output_attentions"] = True
        if self._is_generative:
            options["use_cache"] = False
        with captured(attending_layers(self._inner) if wanted.relations else {}, wanted.relations) as relations, model_faults(self.model):
            outputs = (self._body if self.head is not None else self.model)(**inputs, **options)
        answer = outputs[0] if self.head is not None else _answer(outputs)
        return Passed(
            answer=answer,
            hidden_states={side: states[1:] for side, states in _by_side(outputs, "hidden_states").items()},
            attentions=_by_side(outputs, "attentions"),
            relations=relations,
        )

    def compile(self, options: Mapping[str, Any]) -> None:
        """Have the part that runs compiled when it first runs; names of weights stay as they are."""
        (self._body if self.head is not None else self.model).compile(**options)

    def logits(self, answer: Tensor, block: LogitBlock | None = None) -> Tensor:
        """Logits of rows of a pass's answer, over the ids that are known; in the ``block``, if there is one, until it is used again."""
        return known_logits(answer, self.known) if self.head is None else head_logits(answer, self.head, self.known, block)

    def _is_plain(self, inner: Any, head: nn.Linear) -> bool:
        # Some models scale or cap their logits behind the head; only running it tells: one pass, its body overheard.
        caught: dict[str, Tensor] = {}
        listening = self._body.register_forward_hook(_first_output(caught))
        was_training = inner.training
        inner.eval()
        ids = torch.arange(2, device=head.weight.device)[None] % head.weight.shape[0]
        try:
            with torch.no_grad():
                logits = inner(input_ids=ids, use_cache=False).logits
                fused = head(caught["body"])
        except (TypeError, ValueError, KeyError):
            return False
        finally:
            inner.train(was_training)
            listening.remove()
        return logits.shape == fused.shape and bool(torch.allclose(logits.float(), fused.float(), rtol=1e-4, atol=1e-5))


def _answer(outputs: Any) -> Tensor:
    """Logits; of a reader the logits of an answer's first and last position (batch, 2, time), of an encoder its last hidden state."""
    if getattr(outputs, "start_logits", None) is not None:
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=1)
    logits: Tensor | None = getattr(outputs, "logits", None)
    return outputs[0] if logits is None else logits


def read_by_teacher(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a batch that the teacher reads: its own reading, where it has one."""
    own: Mapping[str, Any] = batch.get("teacher", batch)
    return own


def where_asked(passed: Passed, batch: Mapping[str, Any]) -> Passed:
    """A reader's pass with no probability at positions that cannot hold an answer; any other as it is."""
    if "positions" not in batch:
        return passed
    return replace(passed, answer=only_positions(passed.answer, batch["positions"]))


def _by_side(outputs: Any, kind: str) -> dict[str, tuple[Tensor, ...]]:
    # Two stacks name whose outputs they are; one stack does not.
    names = {"decoder": (kind, f"decoder_{kind}"), "encoder": (f"encoder_{kind}",), "cross": (f"cross_{kind}",)}
    found = {side: next((value for name in known if (value := getattr(outputs, name, None))), None) for side, known in names.items()}
    return {side: tuple(values) for side, values in found.items() if values}


def _first_output(caught: dict[str, Tensor]) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        caught["body"] = output[0]

    return hook
