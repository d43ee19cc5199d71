"""What the student costs beside the teacher: measured as the evaluation ran (device, type), one model at a time, with its spread.

Only one model is in memory at once, so that what fits the evaluation fits the measurement. Reading a prompt and writing an answer are
timed apart. Durations are never part of a decision's digest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.loading import load_model, task_of
from kdgov.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is measured."""

    batch: int = 1
    """Texts at once."""
    length: int = 64
    """Tokens of each text."""
    new_tokens: int = 16
    """Tokens written after it."""
    turns: int = 9
    """Measured turns of each model, after one that does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One measured turn."""

    read_s: float
    """Wall seconds to read the texts."""
    write_s: float
    """Wall seconds to write the new tokens."""
    cpu_s: float
    """Processor seconds of both."""
    wrote: int = 0
    """Tokens written per text; 0 for a model that writes none."""


def measure(
    teacher: Path,
    student: Path,
    *,
    load: Load | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> dict[str, Any]:
    """Both models' size, memory, latency and speed, and the ratios student / teacher with their spread.

    Args:
        teacher: checkpoint folder.
        student: checkpoint folder.
        load: what is measured.
        progress: called as ``progress(label, done, total)``.
        device: where the models run, as in the evaluation.
        dtype: type they are computed in, as in the evaluation.
    """
    load = load or Load()
    facts: dict[str, dict[str, float]] = {}
    turns: dict[str, list[Turn]] = {}
    for number, (name, path) in enumerate((("teacher", teacher), ("student", student))):
        identity = model_identity(path)
        before = _peak_memory(reset=True)
        model = load_model(path, task_of(path), dtype=getattr(torch, dtype)).to(device)
        facts[name] = {"parameters": float(identity.parameters), "size_bytes": float(identity.size_bytes)}
        _turn(model, load)
        after = _peak_memory(reset=False)
        if before is not None and after is not None:
            facts[name]["peak_memory_bytes"] = float(max(0, after - before))
        turns[name], energy = [], 0.0
        for turn in range(load.turns):
            started = _energy_uj()
            turns[name].append(_turn(model, load))
            ended = _energy_uj()
            energy += (ended - started) / 1e6 if started is not None and ended is not None and ended >= started else 0.0
            if progress is not None:
                progress("Measuring cost", number * load.turns + turn + 1, 2 * load.turns)
        facts[name].update(_speed(turns[name], load))
        if energy > 0:
            facts[name]["energy_j_per_turn"] = energy / load.turns
        del model
    return {**facts, "ratios": _ratios(facts, turns), "load": {**_shown(load), "device": device, "dtype": dtype}}


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _turn(model: Any, load: Load) -> Turn:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in _inputs(model, load).items()}
    began, began_cpu = time.perf_counter(), time.process_time()
    output = model(**inputs, **({"use_cache": True} if model.can_generate() else {}))
    _finish(device)
    read = time.perf_counter()
    cache = getattr(output, "past_key_values", None)
    wrote = 0
    if cache is not None and model.can_generate():
        # An encoder-decoder writes beside what its encoder read; a decoder goes on where it stopped reading.
        is_pair = model.config.is_encoder_decoder
        kept = {"encoder_outputs": (output.encoder_last_hidden_state,)} if is_pair else {}
        token = output.logits[:, -1:].argmax(dim=-1)
        for _ in range(load.new_tokens):
            fed = {"decoder_input_ids": token} if is_pair else {"input_ids": token}
            output = model(**fed, **kept, past_key_values=cache, use_cache=True)
            cache, token = output.past_key_values, output.logits[:, -1:].argmax(dim=-1)
            wrote += 1
        _finish(device)
    return Turn(read_s=read - began, write_s=time.perf_counter() - read, cpu_s=time.process_time() - began_cpu, wrote=wrote)


def _finish(device: torch.device) -> None:
    """Wait for an accelerator: it returns before it has computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _inputs(model: Any, load: Load) -> dict[str, torch.Tensor]:
    """What one turn reads: token ids, or an image or sound of the size the model takes."""
    draw, config = torch.Generator().manual_seed(0), model.config
    match getattr(model, "main_input_name", "input_ids"):
        case "pixel_values":
            size = getattr(config, "image_size", 224)
            height, width = size if isinstance(size, (list, tuple)) else (size, size)
            return {"pixel_values": torch.rand((load.batch, getattr(config, "num_channels", 3), height, width), generator=draw)}
        case "input_values":
            return {"input_values": torch.randn((load.batch, *_sound_shape(config)), generator=draw)}
        case "input_features":
            frames = 2 * int(getattr(config, "max_source_positions", 1500))
            return {"input_features": torch.randn((load.batch, int(getattr(config, "num_mel_bins", 80)), frames), generator=draw)}
        case _:
            vocab = int(getattr(config, "vocab_size", 2))
            length = min(load.length, int(getattr(config, "max_position_embeddings", 1 << 30)) - load.new_tokens - 1)
            found = {"input_ids": torch.randint(vocab, (load.batch, max(1, length)), generator=draw)}
            if getattr(config, "is_encoder_decoder", False):
                start = getattr(config, "decoder_start_token_id", None)
                found["decoder_input_ids"] = torch.full((load.batch, 1), int(start if start is not None else 0))
            return found


def _sound_shape(config: Any) -> tuple[int, ...]:
    # One second of sound at 16 kHz, or the spectrogram that an audio spectrogram transformer takes.
    frames = getattr(config, "max_length", None) if hasattr(config, "num_mel_bins") else None
    return (int(frames), int(config.num_mel_bins)) if frames else (16_000,)


def _speed(turns: list[Turn], load: Load) -> dict[str, float]:
    read, total = np.array([t.read_s for t in turns]), np.array([t.read_s + t.write_s for t in turns])
    wrote = load.batch * turns[0].wrote
    tokens = load.batch * load.length + wrote
    wrote_s = float(np.median([t.write_s for t in turns]))
    found = {
        "latency_p50_ms": float(np.quantile(total, 0.5) * 1e3),
        "latency_p95_ms": float(np.quantile(total, 0.95) * 1e3),
        "first_token_p50_ms": float(np.quantile(read, 0.5) * 1e3),
        "prefill_tokens_per_s": float(load.batch * load.length / np.median(read)),
        # Tokens that are written; of a model that writes none, those that it reads.
        "tokens_per_s": wrote / wrote_s if wrote and wrote_s > 0 else float(load.batch * load.length / np.median(read)),
        "cpu_s_per_1k_tokens": float(np.median([t.cpu_s for t in turns]) / tokens * 1e3),
    }
    return {k: round(v, 6) for k, v in found.items()}


def _ratios(facts: Mapping[str, Mapping[str, float]], turns: Mapping[str, list[Turn]]) -> dict[str, Any]:
    time_ratio = np.array([s.cpu_s / t.cpu_s for s, t in zip(turns["student"], turns["teacher"], strict=True) if t.cpu_s > 0])
    found: dict[str, Any] = {
        key: facts["student"][key] / facts["teacher"][key] for key in ("parameters", "size_bytes") if facts["teacher"][key]
    }
    if len(time_ratio):
        low, middle, high = (float(q) for q in np.quantile(time_ratio, [0.1, 0.5, 0.9]))
        found["cpu_time"] = {"median": round(middle, 4), "p10": round(low, 4), "p90": round(high, 4), "turns": len(time_ratio)}
    return found


def _shown(load: Load) -> dict[str, Any]:
    return {
        "batch": load.batch,
        "length": load.length,
        "new_tokens": load.new_tokens,
        "turns": load.turns,
        "threads": torch.get_num_threads(),
    }


def _peak_memory(*, reset: bool) -> int | None:
    """Highest resident size of this process since the last reset, in bytes; None where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        return None


def _energy_uj() -> int | None:
    """The processor's energy counter in microjoules; None where it has none or it may not be read."""
    path = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
    if not os.access(path, os.R_OK):
        return None
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
