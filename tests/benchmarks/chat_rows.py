"""Rows of `tests.benchmarks.distillation` on texts as long as chat answers are: a padded loop, batches by length, packed rows.

Lengths are lognormal (median 60 tokens, sigma 0.9), cut to 8 and the longest length; a step's cost is counted per token of text, because
batches by length are of different sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks import distillation_rows as common

CHAT_BATCH, MEDIAN, SIGMA, SHORTEST = 16, 60, 0.9, 8


def chat_examples(vocab: int, steps: int) -> list[Any]:
    """``steps`` batches of examples of random ids, their order as they come."""
    import numpy as np

    from kdgov.distillation.data.tokenization import TokenExample

    rng = np.random.default_rng(11)
    lengths = rng.lognormal(np.log(MEDIAN), SIGMA, steps * CHAT_BATCH).astype(int).clip(SHORTEST, common.TIME)
    rows = [rng.integers(2, vocab, length).astype(np.int32) for length in lengths]
    return [TokenExample(item_id=str(n), ids=row, first_target=1, weight=1.0, content=f"{n:064x}") for n, row in enumerate(rows)]


def run_padded_loop(folder: Path, vocab: int, steps: int, clock: common.Clock) -> list[int]:
    """A hand-written loop over batches padded to their longest example; tokens of text of every step."""
    import torch
    from torch.nn import functional

    student, teacher = common.load(folder, "student").train(), common.load(folder, "teacher").eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    items, counted = chat_examples(vocab, steps), []
    for start in range(0, len(items), CHAT_BATCH):
        batch = [torch.from_numpy(item.ids).long() for item in items[start : start + CHAT_BATCH]]
        ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in batch])[:, None]
        with torch.no_grad():
            taught = teacher(input_ids=ids, attention_mask=mask.long()).logits[:, :-1]
        logits = student(input_ids=ids, attention_mask=mask.long()).logits[:, :-1]
        kept = mask[:, 1:]
        flat = (functional.log_softmax(logits[kept], -1), functional.log_softmax(taught[kept], -1))
        functional.kl_div(*flat, log_target=True, reduction="batchmean").backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        counted.append(int(mask.sum()))
        clock.mark()
    return counted


def run_kdgov_chat(folder: Path, vocab: int, steps: int, clock: common.Clock, *, packing: bool) -> list[int]:
    """The trainer with batches by length, packed or padded; tokens of text of every step."""
    import numpy as np

    from kdgov.checkpoints.loading import freeze
    from kdgov.distillation.data.batch_order import batch_order
    from kdgov.distillation.data.packing import PackingCollator
    from kdgov.distillation.data.tokenization import Planned, TokenCollator
    from kdgov.distillation.learner import Learner
    from kdgov.distillation.loop.training_arguments import training_arguments
    from kdgov.distillation.memory import kept_heap
    from kdgov.distillation.training import DistillationTrainer

    said = common.recipe(steps, None).model_copy(update={"batch_size": CHAT_BATCH, "packing": packing})
    items = chat_examples(vocab, steps)
    lengths = np.array([len(item.ids) for item in items])
    order = batch_order(lengths, steps=steps, batch_size=CHAT_BATCH, seed=0, by_length=True)
    plain = TokenCollator(pad_id=0, by_example=False)
    trainer = DistillationTrainer(
        model=Learner(common.load(folder, "student"), freeze(common.load(folder, "teacher")), said, task="causal_lm"),
        args=training_arguments(said, folder / "run"),
        data_collator=PackingCollator(plain=plain, width=common.TIME) if packing else plain,
        train_dataset=Planned(items, order),
        examples=items,
        progress=lambda label, done, total: clock.mark() if label == "distilling" else None,
        run="benchmark",
    )
    with kept_heap():
        trainer.train()
    return [int(n) for n in lengths[order].reshape(steps, CHAT_BATCH).sum(axis=1)]


def per_thousand_tokens(clock: common.Clock, counted: list[int]) -> float:
    """CPU seconds per 1,000 tokens of text over all steps after the warm-up."""
    spent = clock.marks[-1] - clock.marks[common.WARM_UP]
    return 1000 * spent / sum(counted[common.WARM_UP :])
