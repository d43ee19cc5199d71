"""Where a student starts: layers of its teacher, a checkpoint, a fresh configuration, an adapter on a base."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from kdgov.checkpoints.layer_choice import KeepSides
from kdgov.checkpoints.loading import AUTO_CLASSES, Task, load_model
from kdgov.distillation.starts.class_heads import new_head, refuse_resting_head
from kdgov.distillation.starts.kept_stacks import keep_layers
from kdgov.distillation.starts.packed_base import BASE, four_bits, load_base
from kdgov.errors import InputError, UnavailableError

# Everything but weights and records that a checkpoint needs to be used.
_COMPANIONS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json",
    "preprocessor_config.json", "processor_config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json",
    "1_Pooling/config.json", "2_Normalize/config.json",
)  # fmt: skip


_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentStart:
    """Exactly one of ``keep_layers``, ``config``, ``model`` says where the student starts."""

    keep_layers: KeepSides | None = None
    """Teacher layers it starts from, counted from 0; of an encoder-decoder those of each side, or of each alike."""
    prune: Mapping[str, int] = field(default_factory=dict)
    """Part (``layers``, ``heads``, ``inner``, ``width``, ``experts``) → how many of it are kept of those layers."""
    calibration: int = 64
    """Examples the activity of parts is measured on."""
    config: Path | None = None
    """A transformers ``config.json`` to build it from."""
    model: Path | None = None
    """A checkpoint folder."""
    adapter: Mapping[str, Any] | None = None
    """PEFT LoRA options put on ``model``."""
    quantization: str | None = None
    """The quantised variant made after training."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else belongs to the record, such as the identity of ``model``."""


def build_student(start: StudentStart, teacher: Any, task: Task, *, seed: int, attention: str | None = None) -> Any:
    """The student before its first step, in float32; a checkpoint without a head for the task gets one of its teacher's shape.

    Args:
        start: where it starts.
        teacher: the loaded teacher (layers and configuration are read from it).
        task: which Auto class it is.
        seed: seed of random weights.
        attention: attention implementation where maps are needed.

    Raises:
        InputError: if layers are out of range, or a configuration cannot be built.
    """
    torch.manual_seed(seed)
    if start.keep_layers is not None:
        return keep_layers(teacher, start.keep_layers).float()
    if start.config is not None:
        return _from_config(start.config, task, attention, teacher).float()
    if start.model is None:
        raise InputError("does not say where the student starts", where="student", mend="Set one of keep_layers, config, model.")
    form = four_bits(start.adapter, start.model)
    refuse_resting_head(task, start.model, start.adapter, four_bits=bool(form))
    if form:
        own = {key: value for key, value in dict(start.adapter or {}).items() if key != BASE}
        return with_adapter(load_base(start.model, task, form, attention=attention), own)
    head = new_head(task, start.model, teacher)
    student = load_model(start.model, task, dtype=torch.float32, attention=attention, head=head)
    return with_adapter(student, start.adapter) if start.adapter is not None else student


def _from_config(file: Path, task: Task, attention: str | None, teacher: Any) -> Any:
    try:
        # The tokenizer is the teacher's, and so are the ids that begin, end and fill a text, whatever the file has from elsewhere.
        values = {**json.loads(file.read_text(encoding="utf-8")), **_own_ids(teacher)}
        config = transformers.AutoConfig.for_model(**values)
        options = {"attn_implementation": attention} if attention else {}
        return AUTO_CLASSES[task].from_config(config, trust_remote_code=False, **options)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is no configuration a student can be built from: {str(error).splitlines()[0]}",
            where=str(file),
            mend="Write a transformers config.json with `model_type`.",
        ) from error


def _own_ids(teacher: Any) -> dict[str, Any]:
    if teacher is None:
        return {}
    own = {key: getattr(teacher.config, key) for key in _IDS if hasattr(teacher.config, key)}
    return {key: value for key, value in own.items() if value is not None or key == "bos_token_id"}


def with_adapter(base: Any, options: Mapping[str, Any]) -> Any:
    """A base whose own weights rest, with LoRA weights that learn.

    Raises:
        InputError: if PEFT does not take the options.
    """
    # Imported on use: PEFT pulls in every quantisation backend it finds.
    try:
        peft = importlib.import_module("peft")
    except ImportError as error:
        told = "puts an adapter on a model, and the package peft is not installed"
        raise UnavailableError(told, where="student.adapter", mend="`pip install 'kdgov[qlora]'` or `pip install peft`.") from error
    try:
        return peft.get_peft_model(base, peft.LoraConfig(**dict(options)))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"is no LoRA configuration: {error}",
            where="student.adapter",
            mend="Use the keys of peft.LoraConfig: r, lora_alpha, target_modules.",
        ) from error


def copy_companions(source: Path, target: Path) -> None:
    """Tokenizer, template and preprocessing files, byte for byte: saving them again could change them."""
    for name in (*_COMPANIONS, *_module_configs(source)):
        if (source / name).is_file():
            (target / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(source / name, target / name)


def _module_configs(folder: Path) -> list[str]:
    """Configurations of the modules of sentence-transformers, wherever ``modules.json`` says that they lie."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return []
    paths = [str(module.get("path", "")) for module in json.loads(listed.read_text(encoding="utf-8"))]
    return [f"{path}/config.json" for path in paths if path and ".." not in Path(path).parts and not Path(path).is_absolute()]
