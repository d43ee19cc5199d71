"""Classifiers of texts, images and sounds: asked through the same plan, batches, logs and records as language models."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.class_names import is_numbered, label_fault, positive_fault
from kdgov.checkpoints.fit.padding import pad_id
from kdgov.checkpoints.loading import load_processor, load_tokenizer, task_of
from kdgov.checkpoints.media.media_files import read_image, read_sound
from kdgov.checkpoints.placement import load_placed
from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.hf_model import DTYPES, ids_digest
from kdgov.evaluation.backends.hugging_face.resumed_batches import asked_again_in_batches, asked_in_batches
from kdgov.evaluation.backends.response_log import AnswerLog, Record
from kdgov.evaluation.plan.media import FILE, media_folder, planned_file
from kdgov.evaluation.plan.request import PlannedTask

BATCH = 32
_CLASSIFIERS = ("text_classification", "image_classification", "audio_classification")
Classified = tuple[dict[str, Any] | None, str, bool]
"""Answer (None where its numbers were not finite), digest of what entered the model, whether the item was cut."""


class ClassifierModel:
    """A classifier of texts, images or sounds, with its tokenizer or processor and the length it takes."""

    def __init__(self, path: Path, *, dtype: str = "float32", device: str = "cpu", shard: bool = False) -> None:
        self.path, self.task = path, task_of(path)
        if self.task not in _CLASSIFIERS:
            raise InputError("is not a classifier", where=str(path), mend="Name an AutoModelFor…Classification checkpoint.")
        self.dtype = DTYPES[dtype]
        self.model, self.device = load_placed(path, self.task, dtype=self.dtype, device=device, shard=shard)
        self.names = {int(k): str(v) for k, v in dict(self.model.config.id2label).items()}
        self.class_names = tuple(self.names[number] for number in sorted(self.names))
        self.tokenizer = load_tokenizer(path) if self.task == "text_classification" else None
        self.processor = None if self.task == "text_classification" else load_processor(path, self.task)
        config: Any = self.model.config
        longest = [getattr(config, "max_position_embeddings", None), getattr(self.tokenizer, "model_max_length", None)]
        self.max_length = min([int(n) for n in longest if n and n < 1 << 20] or [512])

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def answers(self, texts: Sequence[str]) -> list[Classified]:
        """Label and its probability, digest of the ids that entered, and whether the text was cut, per text.

        Raises:
            InputError: if this is not a text classifier.
        """
        if self.tokenizer is None:
            raise InputError("classifies no texts", where=str(self.path), mend="Name the field of the files as `options: {file: …}`.")
        encoded = [list(i) for i in self.tokenizer(list(texts))["input_ids"]]
        kept = [ids[: self.max_length] for ids in encoded]
        width = max(1, max(len(ids) for ids in kept))
        pad = pad_id(self.tokenizer)
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in kept], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in kept], device=self.device)
        logits = self.model(input_ids=ids, attention_mask=mask).logits.float().cpu()
        return [
            (self._answer(row), ids_digest(given), len(whole) > len(given)) for row, whole, given in zip(logits, encoded, kept, strict=True)
        ]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def answers_to_files(self, files: Sequence[Path]) -> list[Classified]:
        """Likewise per image or sound, one at a time: no answer depends on a neighbour's padding.

        Raises:
            InputError: if this is a text classifier, or a file cannot be read.
        """
        if self.processor is None:
            raise InputError("classifies texts, not files", where=str(self.path), mend="Remove `file` from the task's options.")
        found: list[Classified] = []
        for file in files:
            made, is_cut = self._processed(file)
            inputs = {k: v.to(self.device, self.dtype) if v.is_floating_point() else v.to(self.device) for k, v in made.items()}
            entered = b"".join(inputs[k].float().cpu().numpy().tobytes() for k in sorted(inputs))
            logits = self.model(**inputs).logits[0].float().cpu()
            found.append((self._answer(logits), hashlib.sha256(entered).hexdigest()[:16], is_cut))
        return found

    def hidden_state(self, file: Path) -> torch.Tensor | None:
        """The last hidden state of one image or sound in float32, or None where the model shows none."""
        made, _ = self._processed(file)
        inputs = {k: v.to(self.device, self.dtype) if v.is_floating_point() else v.to(self.device) for k, v in made.items()}
        states = getattr(self.model(**inputs, output_hidden_states=True), "hidden_states", None)
        return states[-1].float() if states else None

    def _processed(self, file: Path) -> tuple[dict[str, torch.Tensor], bool]:
        if self.task == "image_classification":
            return dict(self.processor(images=[read_image(file)], return_tensors="pt")), False  # type: ignore[misc]
        processor: Any = self.processor
        rate = int(processor.sampling_rate)
        sound = read_sound(file, rate)
        return dict(processor([sound], sampling_rate=rate, return_tensors="pt")), _is_cut(processor, len(sound))

    def _answer(self, logits: torch.Tensor) -> dict[str, Any] | None:
        if not bool(torch.isfinite(logits).all()):
            return None
        best = int(logits.argmax())
        answer = {"label": self.label(best), "probability": float(torch.softmax(logits, dim=-1)[best])}
        # Where names are numbers themselves, a number in the data is a name.
        are_names = not any(name.isdecimal() for name in self.names.values())
        return answer | ({"number": str(best)} if are_names and answer["label"] != str(best) else {})

    def label(self, number: int) -> str:
        """A class's name; the number itself where the checkpoint has only transformers' placeholder for it."""
        name = self.names.get(number, str(number))
        return str(number) if name == f"LABEL_{number}" else name


def _is_cut(processor: Any, samples: int) -> bool:
    # Whisper's extractor cuts at a number of samples, the spectrogram transformer's at a number of frames of 10 ms.
    if getattr(processor, "n_samples", None):
        return bool(samples > processor.n_samples)
    frames = getattr(processor, "max_length", None) if hasattr(processor, "num_mel_bins") else None
    return bool(frames and samples > frames * processor.sampling_rate // 100)


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
    refuse_other_labels(task, model)
    # Longest first, so that a batch pads little; the order depends on the texts alone.
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].context), i))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def ask(batch: Sequence[int]) -> list[Classified]:
        return _answers(task, model, [requests[i].context for i in batch])

    return asked_in_batches(task, log, batches, ask, mark="c", progress=progress)


def refuse_other_labels(task: PlannedTask, model: ClassifierModel) -> None:
    """Refuse labels that are no class of the model: each would count as a wrong answer.

    Raises:
        InputError: with the item, the label and the classes.
    """
    declared = task.scorer.declared
    labels = [(item.item_id, str(item.doc[declared.label or "label"])) for item in task.items]
    fault = label_fault(labels, model.class_names, whose="the model")
    positive = str(declared.options.get("positive", "1"))
    fault = fault or positive_fault((label for _, label in labels), positive, (metric["metric"] for metric in task.metrics))
    if fault is not None:
        raise InputError(fault[0], where=f"{task.name}, for {model.path}", mend=fault[1])


def class_facts(task: PlannedTask, model: ClassifierModel) -> dict[str, Any]:
    """What tells whether a number in the labels means the same class to another model."""
    label = task.scorer.declared.label or "label"
    return {"classes": list(model.class_names), "numbered": any(is_numbered(str(item.doc[label])) for item in task.items)}


def classified_again(task: PlannedTask, model: ClassifierModel) -> dict[str, list[Any]]:
    """Some texts classified a second time among other neighbours: item → its answers. Files are read one by one and have none."""
    contexts = [request.context for item in task.items for request in item.requests]
    if not contexts or contexts[0].startswith(FILE):
        return {}
    return asked_again_in_batches(task, model.answers, size=max(1, BATCH // 3))


def _answers(task: PlannedTask, model: ClassifierModel, contexts: Sequence[str]) -> list[Classified]:
    found: list[Classified]
    if not contexts[0].startswith(FILE):
        found = model.answers(contexts)
    else:
        folder = media_folder(task.scorer.declared, task.scorer.suite_file)
        found = model.answers_to_files([planned_file(c, folder) for c in contexts])
    return found


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
