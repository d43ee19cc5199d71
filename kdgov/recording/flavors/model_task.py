"""What a recorded student does, told from its configuration without loading it, and how MLflow calls that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TextTask = Literal["text-generation", "text2text-generation", "text-classification"]
"""transformers' names of the tasks that take a text."""
_ENDINGS: tuple[tuple[str, TextTask, str], ...] = (
    ("ForCausalLM", "text-generation", "TextGenerationPipeline"),
    ("LMHeadModel", "text-generation", "TextGenerationPipeline"),
    ("ForConditionalGeneration", "text2text-generation", "Text2TextGenerationPipeline"),
    ("ForSequenceClassification", "text-classification", "TextClassificationPipeline"),
)
_SOUNDS = ("Wav2Vec2", "Hubert", "Wav", "UniSpeech", "SEW", "Data2VecAudio", "Whisper")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTask:
    """What a student does with a text."""

    task: TextTask
    """transformers' name."""
    pipeline: str
    """Class of transformers that would run it."""

    @property
    def generates(self) -> bool:
        """Whether it answers with a text."""
        return self.task != "text-classification"


def model_task(architecture: str) -> ModelTask | None:
    """The task of an architecture's name; None for what takes no text (images, sounds) or does not tell.

    Example:
        >>> model_task("LlamaForCausalLM").task
        'text-generation'
        >>> model_task("WhisperForConditionalGeneration") is None
        True
    """
    if architecture.startswith(_SOUNDS):
        return None
    return next((ModelTask(task=task, pipeline=name) for ending, task, name in _ENDINGS if architecture.endswith(ending)), None)
