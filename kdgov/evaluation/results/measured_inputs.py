"""What a measured turn reads: random token ids, or an image or sound of the size a model takes, the same on every run."""

from __future__ import annotations

from typing import Any

import torch


def measured_inputs(model: Any, *, batch: int, length: int, new_tokens: int) -> dict[str, torch.Tensor]:
    """What one turn reads: token ids, or an image or sound of the size the model takes."""
    draw, config = torch.Generator().manual_seed(0), model.config
    match getattr(model, "main_input_name", "input_ids"):
        case "pixel_values":
            size = getattr(config, "image_size", 224)
            height, width = size if isinstance(size, (list, tuple)) else (size, size)
            return {"pixel_values": torch.rand((batch, getattr(config, "num_channels", 3), height, width), generator=draw)}
        case "input_values":
            return {"input_values": torch.randn((batch, *_sound_shape(config)), generator=draw)}
        case "input_features":
            frames = 2 * int(getattr(config, "max_source_positions", 1500))
            return {"input_features": torch.randn((batch, int(getattr(config, "num_mel_bins", 80)), frames), generator=draw)}
        case _:
            vocab = int(getattr(config, "vocab_size", 2))
            short = min(length, int(getattr(config, "max_position_embeddings", 1 << 30)) - new_tokens - 1)
            found = {"input_ids": torch.randint(vocab, (batch, max(1, short)), generator=draw)}
            if getattr(config, "is_encoder_decoder", False):
                start = getattr(config, "decoder_start_token_id", None)
                found["decoder_input_ids"] = torch.full((batch, 1), int(start if start is not None else 0))
            return found


def _sound_shape(config: Any) -> tuple[int, ...]:
    # One second of sound at 16 kHz, or the spectrogram that an audio spectrogram transformer takes.
    frames = getattr(config, "max_length", None) if hasattr(config, "num_mel_bins") else None
    return (int(frames), int(config.num_mel_bins)) if frames else (16_000,)
