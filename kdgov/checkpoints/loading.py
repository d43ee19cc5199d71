"""Loading models and tokenizers from folders: never remote code, never pickled weights, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from kdgov.checkpoints.fit.padding import pad_id, tell_padding
from kdgov.checkpoints.identity import read_config
from kdgov.checkpoints.tasks import Task as Task
from kdgov.checkpoints.tasks import task_of as task_of
from kdgov.checkpoints.weights.packed_weights import refuse_missing_package
from kdgov.errors import InputError, UnavailableError

AUTO_CLASSES: Mapping[Task, Any] = {
    "causal_lm": transformers.AutoModelForCausalLM,
    "seq2seq_lm": transformers.AutoModelForSeq2SeqLM,
    "masked_lm": transformers.AutoModelForMaskedLM,
    "text_classification": transformers.AutoModelForSequenceClassification,
    "token_classification": transformers.AutoModelForTokenClassification,
    "question_answering": transformers.AutoModelForQuestionAnswering,
    "embedding": transformers.AutoModel,
    "image_classification": transformers.AutoModelForImageClassification,
    "audio_classification": transformers.AutoModelForAudioClassification,
    "speech_to_text": transformers.AutoModelForSpeechSeq2Seq,
    "ctc": transformers.AutoModelForCTC,
}


def _auto_class(path: Path, task: Task) -> Any:
    # The encoder of a T5 alone, as sentence encoders and image generators have it: AutoModel would ask for a decoder.
    if task == "embedding" and str((read_config(path).get("architectures") or [""])[0]).endswith("EncoderModel"):
        return transformers.AutoModelForTextEncoding
    if task != "causal_lm":
        return AUTO_CLASSES[task]
    # A decoder with an eye beside it: some types transformers also lists among language models, others (LLaVA) not.
    mappings, kind = transformers.models.auto.modeling_auto, str(read_config(path).get("model_type"))
    sees = kind in mappings.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and kind not in mappings.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return transformers.AutoModelForImageTextToText if sees else AUTO_CLASSES[task]


def load_model(
    path: Path,
    task: Task,
    *,
    dtype: torch.dtype | None = None,
    attention: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    head: Mapping[str, Any] | None = None,
) -> Any:
    """The model of a folder, in evaluation mode, on the CPU.

    Args:
        path: checkpoint folder.
        task: which Auto class loads it.
        dtype: type of the weights; absent: as stored.
        attention: attention implementation, such as ``eager`` where attention maps are needed.
        device_map: which part lies where, for accelerate; absent: all on the CPU.
        head: keys of the configuration of a head that the checkpoint lacks, and that is made with random weights.

    Raises:
        InputError: if transformers cannot load it, or weights are missing from the checkpoint.
        UnavailableError: if there is not enough memory, or a package that unpacks its weights is missing.
    """
    refuse_missing_package(path)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    options |= {"dtype": dtype or "auto"} | ({"attn_implementation": attention} if attention else {})
    options |= {"device_map": device_map} if device_map is not None else {}
    options |= head or {}
    try:
        with without_bars():
            model, report = _auto_class(path, task).from_pretrained(str(path), output_loading_info=True, **options)
    except (MemoryError, ValueError, KeyError, OSError, RuntimeError, ImportError, AttributeError) as error:
        if is_out_of_memory(error):
            raise UnavailableError(
                "the model does not fit into memory", where=str(path), mend="Use a machine with more memory, or a teacher cache."
            ) from error
        raise InputError(
            f"cannot be loaded as {task}: {str(error).splitlines()[0]}",
            where=str(path),
            mend="Check the folder: it must hold config.json and safetensors weights of a model transformers knows.",
        ) from error
    # A text encoder is used without its pooler, which many checkpoints lack.
    unused = ("pooler.",) if task == "embedding" else ()
    lacking = sorted(key for key in report.get("missing_keys", ()) if not (unused and key.startswith(unused)))
    if missing := [key for key in lacking if not (head and _is_head(model, key))]:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise InputError(
            f"lacks weights of {task}: {shown} would be random", where=str(path), mend="Use a checkpoint that includes the task head."
        )
    if task == "text_classification" and hasattr(model, "score"):
        tell_padding(model, pad_id(load_tokenizer(path)))
    return model.eval()


def _is_head(model: Any, key: str) -> bool:
    """Whether weights are of a head and not of a body; a pooler before it counts as part of it."""
    return not key.startswith(f"{model.base_model_prefix}.") or ".pooler." in key


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the CPU allocator of torch and the system have no exception class for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(said in str(error) for said in ("not enough memory", "can't allocate memory", "Cannot allocate memory", "bad_alloc"))


@contextmanager
def without_bars() -> Iterator[None]:
    """Keeps transformers' own progress bars out of the output."""
    bars = transformers.utils.logging
    was_on = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            bars.enable_progress_bar()


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a folder.

    Raises:
        InputError: if there is none or it cannot be loaded.
    """
    try:
        return transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError, RuntimeError, ImportError, AttributeError) as error:
        raise InputError(
            f"its tokenizer cannot be loaded: {str(error).splitlines()[0]}",
            where=str(path),
            mend="The folder needs tokenizer.json and tokenizer_config.json, as `tokenizer.save_pretrained` writes them.",
        ) from error


def freeze(model: Any) -> Any:
    """The same model, unable to learn: no gradient, no dropout."""
    model.requires_grad_(False)
    return model.eval()


def load_processor(path: Path, task: str) -> Any:
    """What turns an image or a sound into a model's input, from the folder's ``preprocessor_config.json``.

    Raises:
        InputError: if there is none or it cannot be loaded.
    """
    auto = transformers.AutoImageProcessor if task == "image_classification" else transformers.AutoFeatureExtractor
    try:
        return auto.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError, KeyError, ImportError) as error:
        raise InputError(
            f"its processor cannot be loaded: {str(error).splitlines()[0]}",
            where=str(path),
            mend="The folder needs preprocessor_config.json.",
        ) from error
