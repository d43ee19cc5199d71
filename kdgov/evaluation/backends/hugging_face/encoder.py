"""Encoders: vectors of queries and documents, and tags of words; through the same plan, logs and records as language models."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.loading import load_tokenizer
from kdgov.checkpoints.placement import load_placed
from kdgov.checkpoints.tasks import task_of
from kdgov.checkpoints.text_pooling import Pooling, pooled, pooling_of
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.hf_model import DTYPES, ids_digest
from kdgov.evaluation.backends.hugging_face.resumed_batches import Said, asked_again_in_batches, asked_in_batches
from kdgov.evaluation.backends.response_log import AnswerLog, Record
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.plan.request import PlannedTask
from kdgov.evaluation.task_kinds.retrieval import CORPUS, RANKED, documents_of

BATCH = 32
_NEEDS = {"retrieval": "embedding", "tagging": "token_classification"}
ENCODER_KINDS = tuple(_NEEDS)
"""Kinds of task that encoders answer."""


class EncoderModel:
    """An encoder with its tokenizer, its length and how its vectors are pooled."""

    def __init__(self, path: Path, kind: str, *, dtype: str = "float32", device: str = "cpu", shard: bool = False) -> None:
        self.path, task = path, task_of(path)
        if task != _NEEDS[kind]:
            said = {"retrieval": "vectors (AutoModel)", "tagging": "tags (AutoModelForTokenClassification)"}[kind]
            mend = f"Name a checkpoint that gives {said}, or leave out suites of kind {kind}."
            raise InputError(f"is a model for {task}, and the suite asks for {kind}", where=str(path), mend=mend)
        self.tokenizer = load_tokenizer(path)
        self.model, self.device = load_placed(path, task, dtype=DTYPES[dtype], device=device, shard=shard)
        config: Any = self.model.config
        longest = [getattr(config, "max_position_embeddings", None), getattr(self.tokenizer, "model_max_length", None)]
        self.max_length = min([int(n) for n in longest if n and n < 1 << 20] or [512])
        self.pooling = dataclasses.replace(pooling_of(path), is_normalised=True) if kind == "retrieval" else Pooling(is_normalised=True)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def vectors(self, texts: Sequence[str]) -> tuple[torch.Tensor, list[tuple[str, bool]]]:
        """A vector of length 1 per text, in float32, with the digest of what entered and whether the text was cut."""
        whole = [list(ids) for ids in self.tokenizer(list(texts))["input_ids"]]
        kept = [ids[: self.max_length] for ids in whole]
        ids, mask = self._padded(kept)
        vectors = pooled(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask, self.pooling)
        entered = [(ids_digest(k), len(w) > len(k)) for k, w in zip(kept, whole, strict=True)]
        return vectors.cpu(), entered

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def tags(self, sentences: Sequence[list[str]]) -> list[tuple[list[str] | None, str, bool]]:
        """A tag per word, from the word's first token; None where the model's numbers are not finite."""
        encoded = self.tokenizer(list(sentences), is_split_into_words=True)
        kept = [list(ids)[: self.max_length] for ids in encoded["input_ids"]]
        ids, mask = self._padded(kept)
        logits = self.model(input_ids=ids, attention_mask=mask).logits.float().cpu()
        names = {int(k): str(v) for k, v in dict(self.model.config.id2label).items()}
        found: list[tuple[list[str] | None, str, bool]] = []
        for row, (words, given) in enumerate(zip(sentences, kept, strict=True)):
            places = encoded.word_ids(row)[: len(given)]
            first = [places.index(word) if word in places else None for word in range(len(words))]
            is_finite = bool(torch.isfinite(logits[row, : len(given)]).all())
            tags = ["" if place is None else names[int(logits[row, place].argmax())] for place in first]
            found.append((tags if is_finite else None, ids_digest(given), None in first))
        return found

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width, pad = max(1, *(len(ids) for ids in rows), 1), self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.device)
        return ids, mask


def ask_encoder(task: PlannedTask, model: EncoderModel, log: AnswerLog, *, progress: Any = None) -> Record:
    """Every answer of one task, going on where an earlier run stopped.

    Raises:
        InputError: if the documents are not those that the plan was frozen with.
    """
    requests = [request for item in task.items for request in item.requests]
    batches = [range(start, min(start + BATCH, len(requests))) for start in range(0, len(requests), BATCH)]
    # The documents are encoded where some query still has to be.
    answering = functools.cache(lambda: _answering(task, model))

    def ask(batch: Sequence[int]) -> list[Said]:
        return answering()([requests[index].context for index in batch])

    return asked_in_batches(task, log, batches, ask, mark="e", progress=progress)


def encoded_again(task: PlannedTask, model: EncoderModel) -> dict[str, list[Any]]:
    """Some items asked a second time in batches a third as large: item → its answers."""
    size = BATCH // 3
    return asked_again_in_batches(task, _answering(task, model, size=size), size=size)


def _answering(task: PlannedTask, model: EncoderModel, *, size: int = BATCH) -> Callable[[Sequence[str]], list[Said]]:
    if task.kind == "tagging":
        return lambda contexts: [
            (None if tags is None else {"tags": tags}, digest, is_cut)
            for tags, digest, is_cut in model.tags([json.loads(context) for context in contexts])
        ]
    names, corpus = _corpus(task, model, size)

    def rank(contexts: Sequence[str]) -> list[Said]:
        queries, entered = model.vectors(contexts)
        found: list[Said] = []
        for row, (digest, is_cut) in zip(queries @ corpus.T, entered, strict=True):
            # Equal scores stand in the order of the ids, so that a ranking is one.
            order = sorted(range(len(names)), key=lambda n, row=row: (-float(row[n]), names[n]))[:RANKED]  # type: ignore[misc]
            ranked = [[names[n], round(float(row[n]), 6)] for n in order]
            found.append(({"ranked": ranked} if bool(torch.isfinite(row).all()) else None, digest, is_cut))
        return found

    return rank


def _corpus(task: PlannedTask, model: EncoderModel, size: int) -> tuple[list[str], torch.Tensor]:
    declared = task.scorer.declared
    rows, _ = read_data(declared.data, suite_file=task.scorer.suite_file, key=f"tasks.{task.task}.data")
    documents = documents_of(rows, task.name)
    if task.items and digest_json(documents) != task.items[0].doc[CORPUS]:
        raise InputError("its documents are not those of the plan", where=task.name, mend="Restore them, or evaluate anew.")
    prefix, names = str(declared.options.get("document_prefix", "")), list(documents)
    # Longest first, so that a batch pads little.
    order = sorted(range(len(names)), key=lambda n: (-len(documents[names[n]]), n))
    parts = list(_in_batches(model, [prefix + documents[names[n]] for n in order], size))
    return [names[n] for n in order], torch.cat(parts)


def _in_batches(model: EncoderModel, texts: Sequence[str], size: int) -> Iterator[torch.Tensor]:
    for start in range(0, len(texts), size):
        yield model.vectors(texts[start : start + size])[0]
