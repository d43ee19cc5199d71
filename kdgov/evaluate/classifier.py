"""Classifiers on labelled text: asked through the same plan, batches, logs and records as language models."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.loading import load_model, load_tokenizer, task_of
from kdgov.errors import InputError
from kdgov.evaluate.answers import Answered, AnswerLog, Record
from kdgov.evaluate.model import DTYPES, ids_digest
from kdgov.evaluate.request import PlannedTask

BATCH = 32


class ClassifierModel:
    """A text classifier with its tokenizer and the length it takes."""

    def __init__(self, path: Path, *, dtype: str = "float32", device: str = "cpu") -> None:
        if task_of(path) != "text_classification":
            raise InputError("is no text classifier", where=str(path), mend="Name an AutoModelForSequenceClassification checkpoint.")
        self.tokenizer = load_tokenizer(path)
        self.device = torch.device(device)
        self.model = load_model(path, "text_classification", dtype=DTYPES[dtype]).to(self.device)
        config: Any = self.model.config
        longest = [getattr(config, "max_position_embeddings", None), getattr(self.tokenizer, "model_max_length", None)]
        self.max_length = min([int(n) for n in longest if n and n < 1 << 20] or [512])
        self.names = {int(k): str(v) for k, v in dict(config.id2label).items()}

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def answers(self, texts: Sequence[str]) -> list[tuple[dict[str, Any] | None, str, bool]]:
        """Label and its probability, digest of the ids that entered, and whether the text was cut, per text."""
        encoded = [list(i) for i in self.tokenizer(list(texts))["input_ids"]]
        kept = [ids[: self.max_length] for ids in encoded]
        width = max(1, max(len(ids) for ids in kept))
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in kept], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in kept], device=self.device)
        logits = self.model(input_ids=ids, attention_mask=mask).logits.float().cpu()
        found: list[tuple[dict[str, Any] | None, str, bool]] = []
        for row, whole, given in zip(logits, encoded, kept, strict=True):
            answer = None
            if bool(torch.isfinite(row).all()):
                best = int(row.argmax())
                answer = {"label": self.label(best), "probability": float(torch.softmax(row, dim=-1)[best])}
            found.append((answer, ids_digest(given), len(whole) > len(given)))
        return found

    def label(self, number: int) -> str:
        """A class's name; the number itself where the checkpoint has only transformers' placeholder for it."""
        name = self.names.get(number, str(number))
        return str(number) if name == f"LABEL_{number}" else name


def ask_classifier(task: PlannedTask, model: ClassifierModel, log: AnswerLog, *, progress: Any = None) -> Record:
    """Every answer of one classification task, going on where an earlier run stopped.

    Raises:
        InputError: if the task asks what a classifier cannot answer.
    """
    requests = [r for item in task.items for r in item.requests]
    if any(r.kind != "classify" for r in requests):
        raise InputError(
            "asks a language model, and the checkpoint is a classifier", where=task.name, mend="Use suites of kind classification."
        )
    # Longest first, so that a batch pads little; the order depends on the texts alone.
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].context), i))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    reached = log.reached()
    with log.appending() as stream:
        for number, batch in enumerate(batches):
            if f"c{number}" not in reached:
                answers = model.answers([requests[i].context for i in batch])
                reached[f"c{number}"] = [
                    Answered(index=i, answer=a, delivered=d, is_truncated=cut) for i, (a, d, cut) in zip(batch, answers, strict=True)
                ]
                log.append(stream, f"c{number}", reached[f"c{number}"])
            if progress is not None:
                progress(task.name, number + 1, len(batches))
    return log.seal({a.index: a for n in range(len(batches)) for a in reached[f"c{n}"]})


@functools.lru_cache(maxsize=2)
def _loaded(path: Path) -> ClassifierModel:
    return ClassifierModel(path)


def classify_texts(path: Path, texts: Sequence[str]) -> list[str]:
    """A local classifier's label of each text, as a judge needs it; empty where its numbers were not finite."""
    model = _loaded(path)
    labels: list[str] = []
    for start in range(0, len(texts), BATCH):
        labels += ["" if answer is None else str(answer["label"]) for answer, _, _ in model.answers(texts[start : start + BATCH])]
    return labels
