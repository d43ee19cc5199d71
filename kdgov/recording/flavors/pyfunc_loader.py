"""MLflow's python_function flavour of a recorded version: verified when it is loaded, then texts, images or sounds in, texts or labels out.

``mlflow.pyfunc.load_model("models:/support-student@champion")`` and ``mlflow models serve -m models:/support-student@champion`` come here.
"""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kdgov.checkpoints.media.media_files import read_image, read_sound
from kdgov.errors import InputError
from kdgov.recording.flavors.model_reference import DEFAULT_NEW_TOKENS
from kdgov.recording.flavors.model_task import ModelTask, model_task
from kdgov.recording.flavors.verified_folder import load_verified
from kdgov.recording.verified_loading import LoadedModel

_DEFAULT_POSITIONS = 2048
_TRUSTED_LIMIT = 10_000_000
"""Tokenizers without a limit of their own state an absurd one."""


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> VerifiedPredictor:  # noqa: ARG001 - MLflow's contract
    """What MLflow calls with the downloaded folder.

    Raises:
        NotReleasedError: if the version may not be used; the message says why.
        InputError: if the folder names no recorded version, or its weights are not at hand.
    """
    return VerifiedPredictor(load_verified(Path(path)))


class VerifiedPredictor:
    """A released student that answers texts, or names what an image or a sound shows."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model, self._tokenizer, self._processor = loaded.model, loaded.tokenizer, loaded.processor
        self.report = loaded.report
        """What was verified before it was loaded."""
        found = model_task(type(loaded.model).__name__)
        self._task = found or ModelTask(task="text-generation", pipeline="TextGenerationPipeline")

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Greedy continuations of texts, one string each; of a classifier a table of ``label`` and ``score``.

        Args:
            model_input: a text, a list of texts, or a table whose first column holds them; likewise the bytes of image files or of
                16-bit WAV files, or the same in base64.
            params: ``max_new_tokens`` of a generative student.

        Raises:
            InputError: if a file cannot be read, or is no sound of the rate that the student takes.
        """
        if self._task.takes != "text":
            pandas = importlib.import_module("pandas")
            return pandas.DataFrame([self._seen(content) for content in _contents(model_input)], columns=["label", "score"])
        texts = _texts(model_input)
        if self._task.generates:
            count = int((params or {}).get("max_new_tokens") or DEFAULT_NEW_TOKENS)
            return [self._continued(text, count) for text in texts]
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame([self._labelled(text) for text in texts], columns=["label", "score"])

    def _continued(self, text: str, count: int) -> str:
        torch = importlib.import_module("torch")
        is_decoder = self._task.task == "text-generation"
        limit = self._positions()
        count = max(1, min(count, limit - 1)) if is_decoder else count
        # As it was judged: a text that begins with the mark of a beginning gets no second one.
        encoding = importlib.import_module("kdgov.checkpoints.encoding")
        ids = torch.tensor(encoding.encode_batch(self._tokenizer, [text]))[:, -(limit - count if is_decoder else limit) :]
        if ids.shape[1] == 0:
            return ""
        padding = self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else self._tokenizer.eos_token_id
        with torch.no_grad():
            made = self._model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, pad_token_id=padding
            )
        return str(self._tokenizer.decode(made[0, ids.shape[1] if is_decoder else 0 :], skip_special_tokens=True))

    def _labelled(self, text: str) -> tuple[str, float]:
        return self._named(self._tokenizer(text, return_tensors="pt", truncation=True, max_length=self._positions()))

    def _seen(self, content: bytes) -> tuple[str, float]:
        """One file, as the evaluation fed it to the model that was judged."""
        if self._task.takes == "image":
            return self._named(self._processor(images=[read_image(io.BytesIO(content))], return_tensors="pt"))
        rate = int(self._processor.sampling_rate)
        return self._named(self._processor([read_sound(io.BytesIO(content), rate)], sampling_rate=rate, return_tensors="pt"))

    def _named(self, encoded: Any) -> tuple[str, float]:
        torch = importlib.import_module("torch")
        with torch.no_grad():
            scores = self._model(**encoded).logits[0].float()
        config = self._model.config
        if config.num_labels == 1:
            return str(config.id2label.get(0, "score")), float(scores[0])
        several = config.problem_type == "multi_label_classification"
        shares = torch.sigmoid(scores) if several else torch.softmax(scores, dim=-1)
        best = int(shares.argmax())
        return str(config.id2label.get(best, best)), float(shares[best])

    def _positions(self) -> int:
        stated = getattr(self._model.config, "max_position_embeddings", None) or self._tokenizer.model_max_length
        return int(stated) if 0 < stated < _TRUSTED_LIMIT else _DEFAULT_POSITIONS


def _contents(model_input: Any) -> list[bytes]:
    if isinstance(model_input, (bytes, bytearray, memoryview)):
        return [bytes(model_input)]
    if hasattr(model_input, "iloc"):
        column = model_input.iloc[:, 0] if getattr(model_input, "ndim", 1) == 2 else model_input
        return [content for value in column for content in _contents(value)]
    if isinstance(model_input, Mapping):
        return _contents(next(iter(model_input.values()), []))
    if isinstance(model_input, str):
        try:
            return [base64.b64decode(model_input, validate=True)]
        except ValueError as error:
            raise InputError("a text is no base64 of a file", mend="Send the file's bytes, or their base64.") from error
    if isinstance(model_input, Iterable):
        return [content for value in model_input for content in _contents(value)]
    raise InputError(f"{type(model_input).__name__} is no file's content", mend="Send the file's bytes, or their base64.")


def _texts(model_input: Any) -> list[str]:
    if isinstance(model_input, str):
        return [model_input]
    if hasattr(model_input, "iloc"):
        column = model_input.iloc[:, 0] if getattr(model_input, "ndim", 1) == 2 else model_input
        return [str(value) for value in column]
    if isinstance(model_input, Mapping):
        return _texts(next(iter(model_input.values()), []))
    if isinstance(model_input, Iterable):
        return [text for value in model_input for text in (_texts(value) if isinstance(value, Mapping) else [str(value)])]
    return [str(model_input)]
