"""What a checkpoint does, read from its configuration, and which terms of a recipe a task can carry; no torch.

Example:
    >>> unfit_terms(["soft_targets", "on_policy"], "ctc")
    ['on_policy']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from kdgov.checkpoints.identity import read_config
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.errors import InputError

Task = Literal[
    "causal_lm", "seq2seq_lm", "masked_lm", "text_classification", "token_classification", "question_answering", "embedding",
    "image_classification", "audio_classification", "speech_to_text", "ctc",
]  # fmt: skip
SPEECH = ("speech_to_text", "ctc")
"""Tasks that read a sound and write what was said."""
WRITERS = ("causal_lm", "seq2seq_lm", "speech_to_text")
"""Tasks that write text, token by token."""
OF_FILES = ("image_classification", "audio_classification", *SPEECH)
"""Tasks that read an image or a sound."""
_SOUND_WRITERS = ("whisper", "speech_to_text", "moonshine")
"""Types of models of which an encoder reads sound and a decoder writes what was said."""
_ENDINGS: tuple[tuple[str, Task], ...] = (
    ("ForCausalLM", "causal_lm"),
    ("LMHeadModel", "causal_lm"),
    ("ForConditionalGeneration", "seq2seq_lm"),
    ("MTModel", "seq2seq_lm"),
    ("ForCTC", "ctc"),
    ("ForMaskedLM", "masked_lm"),
    ("ForTokenClassification", "token_classification"),
    ("ForQuestionAnswering", "question_answering"),
    ("ForImageClassification", "image_classification"),
    # Two stacks that were joined, of which one kind reads text.
    ("SpeechEncoderDecoderModel", "embedding"),
    ("VisionEncoderDecoderModel", "embedding"),
    ("EncoderDecoderModel", "seq2seq_lm"),
    ("Model", "embedding"),
)
FEATURES = frozenset({"hidden_states", "attention", "attention_relation"})
"""Terms that compare layers."""
_ANY = frozenset({"soft_targets", "hard_labels", *FEATURES})
_TWO_STACKS = ("seq2seq_lm", "speech_to_text")
"""Tasks of models that read with one stack of layers and write with another."""
_CARRIED: Mapping[Task, frozenset[str]] = {
    "causal_lm": _ANY | {"on_policy", "universal_logits", "teacher_text"},
    "speech_to_text": _ANY | {"teacher_text"},
    # Several labellings of the frames say one text: there is no next token that a student could sample.
    "ctc": _ANY | {"teacher_text"},
    "text_classification": _ANY | {"margin_mse"},
    # It has no logits, and no labels: what is compared are vectors.
    "embedding": FEATURES | {"embeddings"},
}
"""Task → terms it can carry, where that is not every term of logits, labels and layers."""


def task_of(path: Path) -> Task:
    """What a checkpoint does, read from its architecture's name.

    Raises:
        InputError: if the name does not tell.
    """
    refuse_adapter(path)
    config = read_config(path)
    name = str((config.get("architectures") or ["none"])[0])
    if name.endswith("ForSequenceClassification"):
        is_audio = name.startswith(("Wav2Vec2", "Hubert", "Wav", "UniSpeech", "SEW", "Data2VecAudio", "Whisper"))
        return "audio_classification" if is_audio else "text_classification"
    if name.endswith("ForAudioClassification"):
        return "audio_classification"
    if name.endswith("ForConditionalGeneration") and config.get("model_type") in _SOUND_WRITERS:
        return "speech_to_text"
    if name.endswith("ForConditionalGeneration") and _reads_more_than_text(config):
        return "causal_lm"
    for ending, task in _ENDINGS:
        if name.endswith(ending):
            return task
    raise InputError(
        f"architecture {name} does not say what the model does",
        where=str(path / "config.json"),
        mend=f"Name a checkpoint of a class that transformers has for one of {', '.join(get_args(Task))}; to distil it, set "
        "`distillation.task`.",
    )


def refuse_adapter(path: Path) -> None:
    """Nothing, unless a folder holds an adapter alone: what it stands for is a model elsewhere with the adapter in it.

    Raises:
        InputError: with how to make one of them.
    """
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        base = read_config(path).get("base_model_name_or_path")
        told = f"holds an adapter for {base or 'another model'}, and no model"
        mend = "Merge them first: `peft.AutoPeftModelForCausalLM.from_pretrained(FOLDER).merge_and_unload().save_pretrained(OTHER)`."
        raise InputError(told, where=str(path), mend=mend)


def _reads_more_than_text(config: Mapping[str, Any]) -> bool:
    """Whether a decoder of text has an eye or an ear beside it (Gemma 3, LLaVA): asked in text alone, it is a language model."""
    is_decoder = isinstance(config.get("text_config"), Mapping) and not config.get("is_encoder_decoder")
    return is_decoder and any(isinstance(config.get(f"{sense}_config"), Mapping) for sense in ("vision", "audio"))


def unfit_terms(kinds: Iterable[str], task: Task) -> list[str]:
    """Terms that a task cannot carry, sorted."""
    named = set(kinds)
    wrong = named - _CARRIED.get(task, _ANY)
    if "universal_logits" in named:
        wrong |= named & {"soft_targets", "on_policy", *FEATURES}
    return sorted(wrong)


def refuse_unfit_terms(recipe: Distillation, task: Task) -> None:
    """Nothing, if a task can carry every term of a recipe.

    Raises:
        InputError: naming those that it cannot.
    """
    _refuse_sides(recipe, task)
    kinds = {term.kind for term in recipe.terms}
    if wrong := unfit_terms(kinds, task):
        beside = " beside universal_logits" if "universal_logits" in kinds and task == "causal_lm" else ""
        told = f"cannot use {', '.join(wrong)} for {task}{beside}"
        raise InputError(told, where="distillation.terms", mend="Remove that term, or change the task.")
    writing = [term for term in recipe.terms if isinstance(term, TeacherText)] if task in SPEECH else []
    if any(term.temperature or term.samples_per_prompt > 1 for term in writing):
        told = "teacher_text asks for samples, and a sound is transcribed once, by the likeliest tokens"
        raise InputError(told, where="distillation.terms", mend="Remove `temperature` and `samples_per_prompt`.")
    if any(term.endpoint is not None for term in writing):
        mend = "Name the teacher's weights, or write the transcripts into the data."
        raise InputError("teacher_text sends texts to an endpoint, and no sounds", where="distillation.terms", mend=mend)
    if task in SPEECH and recipe.cache is not None:
        raise InputError("is for language models", where="distillation.cache", mend="Remove `cache:`: the teacher listens at every step.")


def _refuse_sides(recipe: Distillation, task: Task) -> None:
    wrong = sorted({f"{term.kind}: `side: {side}`" for term in recipe.terms if (side := getattr(term, "side", "decoder")) != "decoder"})
    if wrong and task not in _TWO_STACKS:
        told = f"{', '.join(wrong)} is for models of an encoder and a decoder, not for {task}"
        raise InputError(told, where="distillation.terms", mend="Remove `side:`.")


def refuse_unfit_recipes(release: Release, path_of: Callable[[str], Path]) -> None:
    """Refuse a release of which a recipe has a term that its models cannot carry; nothing where no checkpoint of it is at hand.

    Raises:
        InputError: naming the term and the task.
    """
    named = release.teacher.model or release.student.model
    folder = None if named is None else path_of(named)
    if folder is None or not (folder / "config.json").is_file():
        return
    for recipe in (release.distillation, *(stage.distillation for stage in release.stages)):
        if recipe is not None:
            refuse_unfit_terms(recipe, task_of(folder) if recipe.task == "auto" else recipe.task)
