"""A model ready to be asked: weights, tokenizer, length, and the boundary where text becomes the ids it is really given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from lm_eval.models.utils import resolve_max_length

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.checkpoints.encoding import encode_batch
from kdgov.checkpoints.loading import load_tokenizer, task_of
from kdgov.checkpoints.placement import load_placed
from kdgov.declarations.release_parts.evaluation_settings import Reasoning
from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.causality import refuse_looking_ahead
from kdgov.evaluation.plan.request import CHAT

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
transformers.utils.logging.set_verbosity_error()


@dataclass(slots=True, kw_only=True)
class HuggingFaceModel:
    """One loaded model with what the harness must know of it."""

    path: Path
    """Checkpoint folder."""
    model: Any
    """The torch module, in evaluation mode; None where another program holds it."""
    tokenizer: Any
    """Its tokenizer."""
    device: torch.device
    """Where it runs."""
    max_length: int
    """Most tokens it takes."""
    prefix_id: int
    """Token that stands before an empty context (BOS, else EOS)."""
    stop_ids: tuple[int, ...]
    """Tokens that end an answer."""
    stop_text: str
    """Text of the end-of-text token."""
    is_causal: bool = True
    """Whether it continues text; an encoder-decoder is asked through lm-eval's own class."""
    reasoning: Reasoning | None = None
    """How it thinks before it answers; None: it does not."""
    delivered: list[torch.Tensor] = field(default_factory=list)
    """Ids that entered the model since they were last taken, as the model itself received them."""

    known: dict[tuple[str, bool | None], list[int]] = field(default_factory=dict)
    """Ids of texts encoded ahead, in one call; cleared with the task."""

    def encode(self, text: str, *, special: bool | None = None) -> list[int]:
        """Token ids of a text, with the tokenizer's own special tokens unless the text starts with the first of them."""
        found = self.known.get((text, special))
        if found is not None:
            return found
        self.encode_ahead([text], special=special)
        return self.known.pop((text, special))

    def encode_ahead(self, texts: Iterable[str], *, special: bool | None = None) -> None:
        """Encode many texts in one call: a fast tokenizer takes a tenth of the time that single calls take."""
        wanted = [t for t in dict.fromkeys(texts) if (t, special) not in self.known]
        ids = encode_batch(self.tokenizer, wanted, special=special)
        self.known.update({(t, special): i for t, i in zip(wanted, ids, strict=True)})

    def pairs_ahead(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Encode what `pair` will ask for."""
        split = [(c.rstrip(), c[len(c.rstrip()) :] + t) for c, t in pairs]
        self.encode_ahead([c + t for c, t in split if c])
        self.encode_ahead([c for c, _ in split if c])
        self.encode_ahead([t for c, t in split if not c], special=False)

    def render(self, context: str) -> str:
        """What this model is shown for a frozen context: the text itself, or messages through its own chat template.

        Raises:
            InputError: if messages are asked for and the tokenizer has no template.
        """
        if not context.startswith(CHAT):
            return context
        said = json.loads(context.removeprefix(CHAT))
        if not getattr(self.tokenizer, "chat_template", None):
            if "plain" in said:
                # The suite asks in plain text; only the other model needs messages.
                return str(said["plain"])
            raise InputError(
                "a suite asks in messages, and the tokenizer has no chat template",
                where=str(self.path),
                mend="Evaluate without `options: {chat: true}`, or add the template.",
            )
        return chat_text(
            self.tokenizer,
            said["messages"],
            where=str(self.path),
            add_generation_prompt=said["add_generation_prompt"],
            continue_final_message=not said["add_generation_prompt"],
            **self._template_options(),
            **({"tools": said["tools"]} if said.get("tools") else {}),
        )

    def opened_by(self, prompt: str) -> str:
        """The mark of thoughts that the chat template has opened at a prompt's end: it belongs to what is then written."""
        is_open = self.reasoning is not None and prompt.rstrip().endswith(self.reasoning.start)
        return self.reasoning.start if is_open and self.reasoning is not None else ""

    def _template_options(self) -> dict[str, Any]:
        thinks = self.reasoning.enabled if self.reasoning is not None else None
        return {} if thinks is None else {"enable_thinking": thinks}

    @property
    def thought_tokens(self) -> int:
        """Tokens it may think on top of every answer."""
        return self.reasoning.budget_tokens if self.reasoning is not None and self.reasoning.enabled is not False else 0

    def pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of context and continuation, split as lm-eval splits them: trailing spaces belong to the continuation."""
        if context == "":
            ids = self.encode(continuation, special=False)
            return ([self.prefix_id], ids) if not ids or ids[0] != self.prefix_id else (ids[:1], ids[1:])
        kept = context.rstrip()
        continuation = context[len(kept) :] + continuation
        if not kept:
            return self.pair("", continuation)
        whole, before = self.encode(kept + continuation), self.encode(kept)
        return before, whole[len(before) :]

    @contextmanager
    def boundary(self) -> Iterator[None]:
        """Record the ids of every forward pass, as the model's own module receives them."""
        if self.model is None:
            yield
            return

        def record(module: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
            ids = options.get("input_ids", arguments[0] if arguments else None)
            if isinstance(ids, torch.Tensor):
                self.delivered.append(ids.detach().cpu())

        base = getattr(self.model, getattr(self.model, "base_model_prefix", ""), self.model)
        handle = base.register_forward_pre_hook(record, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
            self.delivered.clear()

    def taken(self) -> list[torch.Tensor]:
        """The recorded ids, and an empty record."""
        found = list(self.delivered)
        self.delivered.clear()
        return found


def load_asked_model(path: Path, *, dtype: str = "float32", device: str = "cpu", shard: bool = False) -> HuggingFaceModel:
    """Load a language model for evaluation; no code of the checkpoint is ever run.

    Raises:
        InputError: if it cannot be loaded, has no tokenizer, or the dtype is unknown.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown", mend=f"Choose one of {', '.join(DTYPES)}.")
    task = task_of(path)
    if task not in ("causal_lm", "seq2seq_lm"):
        raise InputError(
            f"is a model for {task}, and the suite asks a language model",
            where=str(path),
            mend="Name suites of kind classification, transcription, retrieval or tagging.",
        )
    tokenizer = load_tokenizer(path)
    model, place = load_placed(path, task, dtype=DTYPES[dtype], device=device, shard=shard)
    if task == "causal_lm":
        refuse_looking_ahead(model, path, place)
    return wrap_model(model, tokenizer, path=path, device=place)


def wrap_model(model: Any, tokenizer: Any, *, path: Path, device: torch.device) -> HuggingFaceModel:
    """A loaded model and tokenizer as the harness asks them."""
    prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if prefix is None:
        raise InputError("the tokenizer has neither a BOS nor an EOS token", where=str(path), mend="Set one in tokenizer_config.json.")
    stops = {tokenizer.eos_token_id, *_as_list(getattr(model.generation_config, "eos_token_id", None))} - {None}
    return HuggingFaceModel(
        path=path,
        model=model,
        tokenizer=tokenizer,
        device=device,
        max_length=int(resolve_max_length(model.config, tokenizer)),
        prefix_id=int(prefix),
        stop_ids=tuple(sorted(int(s) for s in stops)),
        stop_text=tokenizer.decode([tokenizer.eos_token_id]) if tokenizer.eos_token_id is not None else "",
        is_causal=not getattr(model.config, "is_encoder_decoder", False),
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def ids_digest(ids: Sequence[int]) -> str:
    """Short digest of the ids one request delivered: 16 hexadecimal digits of sha-256."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]


def observed_digest(ids: Sequence[int], rows: Sequence[Sequence[int]], *, fed: Sequence[int] | None = None) -> str:
    """Digest of a request's ids if they are among the rows that entered, else of all that entered instead.

    Args:
        ids: what was to be delivered.
        rows: what entered, one row per request or prompt; padding may follow.
        fed: the part of the ids that a model reads, where it is not all of them.
    """
    wanted = list(ids if fed is None else fed)
    if any(list(row[: len(wanted)]) == wanted for row in rows):
        return ids_digest(ids)
    # No honest run shares this digest: it names what entered in the request's place.
    return ids_digest([-1, *(i for row in rows for i in row)])
