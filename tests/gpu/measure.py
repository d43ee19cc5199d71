"""What `tests/gpu/run.sh` runs: distillation of models in the shape of Qwen2.5-0.5B and -1.5B (random weights) in bfloat16, and evaluation.

Rows, each in a process of its own: kdgov, TRL's GKDTrainer, a hand-written loop; the teacher has the larger shape. Counted are tokens per
second of the wall (median step after a warm-up, the device synchronised) and the device's peak memory; on a CPU the resident set's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROWS = {"kdgov": "kdgov", "trl": "TRL GKDTrainer", "loop": "hand-written loop"}
MINUTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One pair of models and what they are trained on."""

    name: str
    """Of the student."""
    teacher: str
    """Shape of the teacher."""
    student: str
    """Shape of the student."""
    vocab: int
    """Rows of both output matrices."""
    batch: int
    """Sequences per step."""
    length: int
    """Tokens per sequence."""
    steps: int
    """Steps taken; two are a warm-up."""


GPU = (
    Case(name="Qwen2.5-0.5B", teacher="qwen2.5-1.5b", student="qwen2.5-0.5b", vocab=151_936, batch=8, length=512, steps=8),
    Case(name="Qwen2.5-1.5B", teacher="qwen2.5-1.5b", student="qwen2.5-1.5b", vocab=151_936, batch=4, length=512, steps=8),
)
DRY = (Case(name="tiny", teacher="tiny-teacher", student="tiny-student", vocab=512, batch=2, length=32, steps=4),)


def measured(case: Case) -> dict[str, Any]:
    """Every row of a case; one that could not run says why."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _row("models", case, folder)
        found = {}
        for row in ROWS:
            if row == "trl" and importlib.util.find_spec("trl") is None:
                found[row] = {"absent": "trl is not installed"}
                continue
            found[row] = _row(row, case, folder)
    return found


def _row(row: str, case: Case, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.distillation_rows", row, str(folder), str(case.vocab), str(case.steps)]
    command += ["--length", str(case.length), "--batch", str(case.batch), "--shapes", case.teacher, case.student, "--dtype", "bfloat16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "KDGOV_CACHE": str(folder)})
    if done.returncode:
        return {"absent": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if "s_per_step" in answer:
        answer["tokens_per_s"] = case.batch * case.length / answer["s_per_step"]
    return answer


def scoring(shape: str, vocab: int, groups: int) -> dict[str, Any]:
    """Seconds for the same multiple-choice requests by kdgov's scorer and by lm-eval's HFLM, on one loaded model."""
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM

    from kdgov.evaluation.backends.hugging_face.hf_model import wrap_model
    from kdgov.evaluation.backends.hugging_face.likelihood import Scorable, packed, score_packs
    from tests.benchmarks.distillation_rows import configuration
    from tests.evaluation.worlds import make_tokenizer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        make_tokenizer(Path(folder), vocabulary=320)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(configuration(shape, vocab, 1024)).to(device, torch.bfloat16).eval()
    asked = wrap_model(model, tokenizer, path=Path("bench"), device=device)
    draw = torch.Generator().manual_seed(1)
    pairs = []
    for _ in range(groups):
        context = torch.randint(3, vocab, (200,), generator=draw).tolist()
        pairs += [(context, torch.randint(3, vocab, (4,), generator=draw).tolist()) for _ in range(4)]
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16)
    mine = [Scorable(index=n, context=tuple(c), continuation=tuple(t)) for n, (c, t) in enumerate(pairs)]
    named = [((str(n), ""), c, t) for n, (c, t) in enumerate(pairs)]
    works = {
        "kdgov": lambda: [s for b in packed(mine, max_tokens=8192, longest=512) for s in score_packs(asked, b)],
        "HFLM": lambda: lm._loglikelihood_tokens(named, disable_tqdm=True),
    }
    found = {}
    for name, work in works.items():
        # Once to warm up, once to measure.
        for _ in range(2):
            _wait()
            began = time.perf_counter()
            work()
            _wait()
            found[name] = time.perf_counter() - began
    return {"seconds": found, "requests": len(pairs), "ratio": found["HFLM"] / found["kdgov"]}


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def show(device: str, cases: dict[str, dict[str, Any]], scored: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [f"**{device}**, bfloat16, forward KL", "", "| student | | tokens/s | peak MB | kdgov / it |", "|---|---|---|---|---|"]
    for name, rows in cases.items():
        own = rows["kdgov"].get("tokens_per_s")
        for row, title in ROWS.items():
            said = rows[row]
            if "absent" in said:
                lines.append(f"| {name} | {title} | {said['absent']} | | |")
                continue
            ratio = f"{own / said['tokens_per_s']:.2f}" if own else ""
            lines.append(f"| {name} | {title} | {said['tokens_per_s']:,.0f} | {said['peak_mb']:,.0f} | {ratio} |")
    lines += [
        "",
        "| evaluation: 4 choices to a context of 200 tokens | requests | kdgov s | HFLM s | HFLM / kdgov |",
        "|---|---|---|---|---|",
    ]
    for name, said in scored.items():
        seconds = said["seconds"]
        lines.append(f"| {name} | {said['requests']} | {seconds['kdgov']:.2f} | {seconds['HFLM']:.2f} | {said['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 3 where a GPU was asked for and there is none, 1 where kdgov's own row failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny models on the CPU")
    parser.add_argument("file", type=Path, nargs="?")
    said = parser.parse_args()
    import torch

    if not said.dry_run and not torch.cuda.is_available():
        sys.stderr.write("there is no accelerator here; tests/gpu/run.sh --dry-run tries the script on the CPU\n")
        return 3
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, dry run: the figures say nothing"
    began = time.monotonic()
    cases = {case.name: measured(case) for case in (DRY if said.dry_run else GPU)}
    shapes = [("tiny-student", 512, 4)] if said.dry_run else [("qwen2.5-0.5b", 151_936, 200), ("qwen2.5-1.5b", 151_936, 200)]
    scored = {shape: scoring(shape, vocab, groups) for shape, vocab, groups in shapes}
    sys.stdout.write(show(device, cases, scored) + "\n")
    spent = time.monotonic() - began
    sys.stdout.write(f"\n{spent:.0f} s of at most {60 * MINUTES}\n")
    if said.file is not None:
        said.file.write_text(json.dumps({"device": device, "cases": cases, "scoring": scored, "seconds": spent}, indent=2) + "\n")
    return int(any("absent" in rows["kdgov"] for rows in cases.values()))


if __name__ == "__main__":
    raise SystemExit(main())
