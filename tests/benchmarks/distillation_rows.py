"""The rows of `tests.benchmarks.distillation`, each run in a process of its own: models, data, loops, trainers."""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH, TIME, WARM_UP = 8, 256, 2
STARTS_FROM = 1000
"""Examples the start rows read and tokenise."""


def tokens(vocab: int, steps: int) -> Any:
    import torch

    return torch.randint(0, vocab, (steps * BATCH, TIME), generator=torch.Generator().manual_seed(7))


SHAPES: dict[str, tuple[int, int, int, int, int, bool]] = {
    "teacher": (8, 512, 1376, 8, 8, False),
    "student": (4, 256, 688, 4, 4, False),
    "qwen2.5-0.5b": (24, 896, 4864, 14, 2, True),
    "qwen2.5-1.5b": (28, 1536, 8960, 12, 2, True),
    "tiny-teacher": (3, 64, 128, 4, 4, False),
    "tiny-student": (2, 32, 64, 2, 2, False),
}
"""Layers, width, inner width, heads, key-value heads, tied embeddings."""
PAIR = ["teacher", "student"]
DTYPE = "float32"


def configuration(shape: str, vocab: int, longest: int) -> Any:
    """A Llama of one of the shapes."""
    import transformers

    layers, width, inner, heads, key_values, tied = SHAPES[shape]
    return transformers.LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_values,
        max_position_embeddings=longest,
        tie_word_embeddings=tied,
    )


def make_models(folder: Path, vocab: int) -> None:
    """Teacher and student on disk; the teacher's head is sharpened so that it is peaked like a trained one."""
    import torch
    import transformers

    for name, shape in zip(("teacher", "student"), PAIR, strict=True):
        config = configuration(shape, vocab, TIME)
        torch.manual_seed(config.num_hidden_layers)
        model = transformers.LlamaForCausalLM(config)
        if name == "teacher" and not config.tie_word_embeddings:
            with torch.no_grad():
                model.lm_head.weight.mul_(20)
        model.save_pretrained(folder / name)
        write_tokenizer(folder / name, vocab)
    words = tokens(vocab, max(1, STARTS_FROM // BATCH))[:, : TIME - 1].clamp(min=2)
    lines = (json.dumps({"text": " ".join(f"w{word}" for word in row)}) for row in words.tolist())
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")


def write_tokenizer(folder: Path, vocab: int) -> None:
    """One word per id, so that texts have as many tokens as the other rows' batches."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{number}": number for number in range(2, vocab)}
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, **words}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<pad>")
    wrapped.save_pretrained(folder)


def recipe(steps: int, cache: str | None) -> Any:
    from kdgov.declarations.distillation import Distillation

    said: dict[str, Any] = {
        "terms": [{"kind": "soft_targets", "loss": "forward_kl", "temperature": 1.0}],
        "steps": steps,
        "batch_size": BATCH,
        "learning_rate": 1e-4,
        "checkpoint_every": 10**6,
        "max_length": TIME,
        "length_bucketing": False,
        "dtype": DTYPE,
    }
    return Distillation.model_validate(said | ({"cache": {"kind": cache}} if cache else {}))


def examples(vocab: int, steps: int) -> list[Any]:
    import numpy as np

    from kdgov.distillation.data.tokenization import TokenExample

    rows = tokens(vocab, steps).numpy().astype(np.int32)
    return [TokenExample(item_id=str(n), ids=row, first_target=1, weight=1.0, content=f"{n:064x}") for n, row in enumerate(rows)]


class Clock:
    """Seconds per step: of the CPU, or of the wall where an accelerator works."""

    def __init__(self) -> None:
        import torch

        self._device = torch.cuda.is_available()
        self.marks: list[float] = []

    def now(self) -> float:
        import torch

        if self._device:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def mark(self) -> None:
        self.marks.append(self.now())

    def per_step(self) -> float:
        return statistics.median(b - a for a, b in zip(self.marks[WARM_UP - 1 :], self.marks[WARM_UP:], strict=False))


def load(folder: Path, name: str) -> Any:
    import torch
    import transformers

    narrow = DTYPE != "float32" and torch.cuda.is_available() and name == "teacher"
    return transformers.AutoModelForCausalLM.from_pretrained(folder / name, dtype=getattr(torch, DTYPE) if narrow else torch.float32)


def run_loop(folder: Path, vocab: int, steps: int, clock: Clock, loss: str) -> None:
    import torch
    from torch.nn import functional

    device = "cuda" if torch.cuda.is_available() else "cpu"
    student = load(folder, "student").to(device).train()
    teacher = load(folder, "teacher").to(device).eval().requires_grad_(False) if loss != "ce" else None
    if loss == "liger":
        from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

        fused = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0, temperature=1.0, compiled=False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    for ids in tokens(vocab, steps).split(BATCH):
        ids = ids.to(device)
        if loss == "ce":
            value = student(input_ids=ids, labels=ids).loss
        elif loss == "loop":
            with torch.autocast(device, dtype=torch.bfloat16, enabled=DTYPE == "bfloat16"):
                with torch.no_grad():
                    taught = teacher(input_ids=ids).logits[:, :-1].float()
                logits = student(input_ids=ids).logits[:, :-1].float()
            flat = (functional.log_softmax(logits.flatten(0, 1), -1), functional.log_softmax(taught.flatten(0, 1), -1))
            value = functional.kl_div(*flat, log_target=True, reduction="batchmean")
        else:
            with torch.no_grad():
                taught = teacher.model(input_ids=ids)[0][:, :-1].flatten(0, 1)
            hidden = student.model(input_ids=ids)[0][:, :-1].flatten(0, 1)
            value = fused(hidden, student.lm_head.weight, taught, teacher.lm_head.weight, ids[:, 1:].flatten())
        value.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.mark()


def fill_cache(folder: Path, vocab: int, steps: int, kind: str) -> dict[str, Any]:
    from kdgov.checkpoints.loading import freeze
    from kdgov.distillation.data.tokenization import TokenCollator
    from kdgov.progress import silent

    cache = open_cache(folder, steps, kind)
    cache.fill(examples(vocab, steps), freeze(load(folder, "teacher")), TokenCollator(pad_id=0, by_example=False), silent)
    return cache.facts()


def open_cache(folder: Path, steps: int, kind: str) -> Any:
    from kdgov.checkpoints.identity import model_identity
    from kdgov.distillation.teacher_cache.cache import LogitCache, header_of

    said = recipe(steps, kind)
    return LogitCache(folder / f"cache-{kind}", header_of(said, said.cache, model_identity(folder / "teacher")))


def run_kdgov(folder: Path, vocab: int, steps: int, clock: Clock, cache: str | None) -> None:
    import numpy as np
    import torch

    from kdgov.checkpoints.loading import freeze
    from kdgov.distillation.data.tokenization import Planned, TokenCollator
    from kdgov.distillation.learner import Learner
    from kdgov.distillation.loop.training_arguments import training_arguments
    from kdgov.distillation.memory import kept_heap
    from kdgov.distillation.teacher_cache.cache import cached_collator
    from kdgov.distillation.training import DistillationTrainer

    said, items = recipe(steps, cache), examples(vocab, steps)
    collate: Any = TokenCollator(pad_id=0, by_example=False)
    if cache:
        collate = cached_collator(collate, open_cache(folder, steps, cache))
    teacher = None if cache else freeze(load(folder, "teacher"))
    learner = Learner(load(folder, "student"), teacher, said, task="causal_lm")
    trainer = DistillationTrainer(
        model=learner,
        args=training_arguments(said, folder / "run"),
        data_collator=collate,
        train_dataset=Planned(items, np.arange(len(items))),
        examples=items,
        cpu_dtype=getattr(torch, DTYPE),
        progress=lambda label, done, total: clock.mark() if label == "distilling" else None,
        run="benchmark",
    )
    # As `distill` holds it.
    with kept_heap():
        trainer.train()


def run_trl(folder: Path, vocab: int, steps: int, clock: Clock) -> None:
    import torch
    import transformers
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    rows = tokens(vocab, steps)

    class Marks(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.mark()

    # Row numbers travel through the dataset; batches are made from tokens prepared beforehand, as for every other row.
    def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
        ids = torch.stack([rows[item["row"]] for item in items])
        prompts = ids[:, :1]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": ids.clone(),
            "prompts": prompts,
            "prompt_attention_mask": torch.ones_like(prompts),
        }

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")), pad_token="a", eos_token="b", unk_token="a"
    )
    arguments = GKDConfig(
        output_dir=str(folder / "trl"),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-4,
        weight_decay=0.0,
        optim="adamw_torch_fused",
        lmbda=0.0,
        beta=0.0,
        gradient_checkpointing=False,
        bf16=DTYPE == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = GKDTrainer(
        model=load(folder, "student"),
        teacher_model=load(folder, "teacher"),
        args=arguments,
        data_collator=collate,
        train_dataset=Dataset.from_dict({"row": list(range(len(rows)))}),
        processing_class=tokenizer,
        callbacks=[Marks()],
    )
    trainer.train()


def run_trainer_start(folder: Path, clock: Clock) -> None:
    """A bare transformers Trainer from files to its first step: tokenised texts, teacher and student loaded."""
    import transformers

    class First(transformers.TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.mark()

    texts = [json.loads(line)["text"] for line in (folder / "texts.jsonl").read_text().splitlines()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "teacher")
    ids = tokenizer(texts, truncation=True, max_length=TIME)["input_ids"]
    load(folder, "teacher")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "bare"), max_steps=1, per_device_train_batch_size=BATCH, report_to="none", disable_tqdm=True
    )
    data = [{"input_ids": row, "labels": row} for row in ids]
    transformers.Trainer(model=load(folder, "student"), args=arguments, train_dataset=data, callbacks=[First()]).train()


def run_kdgov_start(folder: Path, clock: Clock) -> None:
    """The same files up to the first step, with everything `distill` does before it: digests, head check, order."""
    import transformers

    from kdgov.distillation import StudentStart, distill, training

    class First(transformers.TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.mark()

    taught = training.DistillationTrainer.train

    def with_mark(self: Any, **options: Any) -> Any:
        self.add_callback(First())
        return taught(self, **options)

    training.DistillationTrainer.train = with_mark  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as output:
        start = StudentStart(model=folder / "student")
        distill(recipe(1, None), folder / "teacher", start, [folder / "texts.jsonl"], Path(output))


def measure(row: str, folder: Path, vocab: int, steps: int) -> dict[str, Any]:
    """One row, in this process."""
    if row.startswith(("kdgov", "fill_")):
        # First, as in the command; other rows keep torch's own way with memory.
        # Its names are loaded on first use, and imports are no part of any row.
        import kdgov.distillation.distillation_run  # noqa: F401
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # Imports are no part of any row.
    import transformers.trainer  # noqa: F401

    if row == "trl":
        import trl.experimental.gkd  # noqa: F401
    if row.startswith("fill_"):
        return fill_cache(folder, vocab, steps, row.removeprefix("fill_"))
    clock, base = Clock(), resident_mb()
    clock.mark()
    match row:
        case "ce" | "loop" | "liger":
            run_loop(folder, vocab, steps, clock, row)
        case "trl":
            run_trl(folder, vocab, steps, clock)
        case "trainer_start":
            run_trainer_start(folder, clock)
        case "kdgov_start" | "kdgov_start_again":
            run_kdgov_start(folder, clock)
        case "kdgov":
            run_kdgov(folder, vocab, steps, clock, None)
        case "padded_loop" | "kdgov_bucketed" | "kdgov_packed":
            return run_chat(row, folder, vocab, steps, clock, base)
        case _:
            run_kdgov(folder, vocab, steps, clock, "sampled" if row.endswith("sampled") else "top_k")
    if "_start" in row:
        return {"start_s": clock.marks[1] - clock.marks[0]}
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else peak_mb() - base
    return {"s_per_step": clock.per_step(), "peak_mb": peak}


def run_chat(row: str, folder: Path, vocab: int, steps: int, clock: Clock, base: float) -> dict[str, Any]:
    """A row on texts of chat lengths."""
    from tests.benchmarks import chat_rows

    if row == "padded_loop":
        counted = chat_rows.run_padded_loop(folder, vocab, steps, clock)
    else:
        counted = chat_rows.run_kdgov_chat(folder, vocab, steps, clock, packing=row.endswith("packed"))
    return {"s_per_step": chat_rows.per_thousand_tokens(clock, counted), "peak_mb": peak_mb() - base}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run one row and print what it found as JSON; or make the models all rows run on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("folder", type=Path)
    parser.add_argument("vocab", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--length", type=int, default=TIME)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--shapes", nargs=2, choices=sorted(SHAPES), default=PAIR, metavar=("TEACHER", "STUDENT"))
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default=DTYPE)
    said = parser.parse_args()
    # The module under its own name, which other modules import, and this one, which runs.
    for module in (sys.modules[__name__], importlib.import_module("tests.benchmarks.distillation_rows")):
        for name, value in (("TIME", said.length), ("BATCH", said.batch), ("PAIR", said.shapes), ("DTYPE", said.dtype)):
            setattr(module, name, value)
    if said.row == "models":
        make_models(said.folder, said.vocab)
        sys.stdout.write("{}\n")
    else:
        sys.stdout.write(json.dumps(measure(said.row, said.folder, said.vocab, said.steps)) + "\n")


if __name__ == "__main__":
    main()
