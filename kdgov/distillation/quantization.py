"""Quantised variants: a checkpoint of its own, evaluated and gated like any student."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import transformers

from kdgov.checkpoints.loading import AUTO_CLASSES, Task, without_bars
from kdgov.distillation.students import copy_companions
from kdgov.errors import InputError, UnavailableError

Quantization = Literal["int8_dynamic", "int8_weight_only", "int4_weight_only"]
_CONFIGURATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "int8_dynamic": ("Int8DynamicActivationInt8WeightConfig", {}),
    "int8_weight_only": ("Int8WeightOnlyConfig", {}),
    "int4_weight_only": ("Int4WeightOnlyConfig", {"group_size": 32}),
}


def quantize(source: Path, target: Path, kind: str, task: Task) -> None:
    """Write the torchao-quantised form of a checkpoint; transformers loads it like any other.

    Args:
        source: folder of the full-precision checkpoint.
        target: folder to write.
        kind: ``int8_dynamic`` (weights and activations), ``int8_weight_only`` or ``int4_weight_only``.
        task: which Auto class loads it.

    Raises:
        UnavailableError: if torchao is not installed, or lacks the kernels this kind needs.
        InputError: if the model cannot be quantised.
    """
    try:
        torchao = importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise UnavailableError("needs torchao, which is not installed", where="student.quantization", mend="pip install torchao") from error
    name, options = _CONFIGURATIONS[kind]
    said = transformers.TorchAoConfig(_newest(getattr(torchao, name), options))
    device = "cuda" if torch.cuda.is_available() and kind == "int4_weight_only" else "cpu"
    try:
        with without_bars():
            model = AUTO_CLASSES[task].from_pretrained(
                str(source), dtype=torch.float32, quantization_config=said, device_map=device, local_files_only=True
            )
            model.save_pretrained(str(target))
    except (ImportError, NotImplementedError) as error:
        raise _no_kernels(kind, error) from error
    except RuntimeError as error:
        # transformers wraps whatever a conversion raises.
        raise _no_kernels(kind, error) if "conversion of the weights" in str(error) else _unfit(kind, error) from error
    except (ValueError, TypeError) as error:
        raise _unfit(kind, error) from error
    copy_companions(source, target)


def _newest(configuration: Any, options: Mapping[str, Any]) -> Any:
    # The second layout is the one that safetensors holds; newer torchao knows no other.
    try:
        return configuration(**options, version=2)
    except TypeError:
        return configuration(**options)


def _no_kernels(kind: str, error: Exception) -> UnavailableError:
    said = str(error).splitlines()[0][:200]
    mend = "Use int8_weight_only or int8_dynamic here, or quantise on a machine with those kernels."
    return UnavailableError(f"{kind} needs kernels that are not installed here: {said}", where="student.quantization", mend=mend)


def _unfit(kind: str, error: Exception) -> InputError:
    said = str(error).splitlines()[0][:200]
    return InputError(f"{kind} does not fit this model: {said}", where="student.quantization", mend="Choose another kind, or none.")
