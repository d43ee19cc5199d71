"""How steady the verdict on cost is: ``python -m tests.benchmarks.cost_ratio [--repeats 12] [--limits 0.6,0.45]``.

One pair of small models, half as deep the student as the teacher, measured again and again as an evaluation measures it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from kdgov.evaluation.results.efficiency import Load, measure


def _model(folder: Path, layers: int) -> Path:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=4
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one row per measurement, with the verdict at each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--limits", default="0.6,0.45")
    options = parser.parse_args(arguments)
    limits = [float(limit) for limit in options.limits.split(",")]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        teacher, student = _model(Path(name) / "teacher", 8), _model(Path(name) / "student", 4)
        for _ in range(options.repeats):
            found = measure(teacher, student, load=Load(limits={"latency_p50_ms": limits}))["paired"]
            own = found["latency_p50_ms"]
            said = ["pass" if own["high"] <= limit else "fail" if own["low"] > limit else "inconclusive" for limit in limits]
            verdicts = ", ".join(f"{limit:g} {word}" for limit, word in zip(limits, said, strict=True))
            sys.stdout.write(f"{own['ratio']:.3f} ({own['low']:.3f} to {own['high']:.3f}, {own['pairs']:.0f} pairs): {verdicts}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
