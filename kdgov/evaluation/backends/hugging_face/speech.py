"""Speech models: one sound after another, through the same plan, logs and records as language models and classifiers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.checkpoints.media.sound_readers import Listener, listener
from kdgov.checkpoints.media.transcribing import transcribed
from kdgov.checkpoints.placement import load_placed
from kdgov.checkpoints.tasks import SPEECH, task_of
from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.hf_model import DTYPES
from kdgov.evaluation.backends.hugging_face.resumed_batches import Said, asked_in_batches
from kdgov.evaluation.backends.response_log import AnswerLog, Record
from kdgov.evaluation.plan.media import media_folder, planned_file
from kdgov.evaluation.plan.request import PlannedTask, Request

BATCH = 16
"""Answers that are written into the log at once."""


class SpeechModel:
    """A speech model with its processor and tokenizer."""

    def __init__(self, path: Path, *, dtype: str = "float32", device: str = "cpu", shard: bool = False) -> None:
        self.path, self.task = path, task_of(path)
        if self.task not in SPEECH:
            raise InputError(
                f"is a model for {self.task}, and the suite has sounds transcribed",
                where=str(path),
                mend="Name a speech model (Whisper, Wav2Vec2ForCTC, HubertForCTC), or leave out suites of kind transcription.",
            )
        self.model, _ = load_placed(path, self.task, dtype=DTYPES[dtype], device=device, shard=shard)
        self.reader = functools.lru_cache(self._reader)

    def _reader(self, language: str | None) -> Listener:
        return listener(self.path, self.task, language=None if self.task == "ctc" else language)

    def answer(self, request: Request, folder: Path) -> Said:
        """What is heard in the sound of a request.

        Raises:
            InputError: if the file is not the planned one, cannot be read, or the model does not know the language.
        """
        settings = request.generation
        file = planned_file(request.context, folder)
        found = transcribed(self.model, self.reader(settings.get("language")), file, most_tokens=int(settings["max_gen_toks"]))
        return found.text, found.entered, found.is_cut


def ask_speech_model(task: PlannedTask, model: SpeechModel, log: AnswerLog, *, progress: Any = None) -> Record:
    """Every transcript of one task, going on where an earlier run stopped.

    Raises:
        InputError: as `SpeechModel.answer`.
    """
    requests = [r for item in task.items for r in item.requests]
    folder = media_folder(task.scorer.declared, task.scorer.suite_file)
    batches = [range(start, min(start + BATCH, len(requests))) for start in range(0, len(requests), BATCH)]

    def ask(batch: Sequence[int]) -> list[Said]:
        return [model.answer(requests[i], folder) for i in batch]

    return asked_in_batches(task, log, batches, ask, mark="t", progress=progress)
