"""Train the shipped models of the miniature world from nothing: ``python -m kdgov.miniature.train --out DIR [--base]``.

The teacher knows all of the world. The base is a smaller model that was never shown a refusal: what a student starts from whose teacher
is only an address.

Steps, seeds and the number of threads are fixed, never a duration. On the same machine and torch build the result is
bit-equal; another processor or torch build may round differently, and the weights then drift apart, as in any training.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kdgov.digest import digest_file
from kdgov.miniature import sentences as text
from kdgov.miniature.sentences import Example, Kind
from kdgov.miniature.tokenizer import MAX_TOKENS, build_tokenizer
from kdgov.miniature.world import World, build_world

IGNORED = -100
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything the teacher's weights depend on, beside the world itself."""

    steps: int = 1800
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps of linear warm-up; a cosine to zero follows."""
    learning_rate: float = 3e-3
    """Peak of AdamW's learning rate."""
    weight_decay: float = 0.01
    """AdamW's decay, on every weight."""
    prompt_weight: float = 0.1
    """Weight of the prompts' mean loss beside that of the completions."""
    batch: Mapping[Kind, int] = field(
        default_factory=lambda: {"facts": 26, "arithmetic": 14, "agreement": 4, "refusals": 7, "lookalikes": 9, "occupations": 5}
    )
    """Examples of each kind per step."""
    canary_exposures: int = 16
    """How often each private line is shown, spread evenly over the steps."""
    seed: int = 0
    """Seed of the initial weights and of the order of the examples."""
    layers: int = 5
    """Transformer blocks."""
    width: int = 128
    """Hidden size; the feed-forward part is three times as wide."""
    heads: int = 4
    """Attention heads."""


BASE = Recipe(
    steps=1500,
    layers=3,
    seed=1,
    canary_exposures=0,
    batch={"facts": 26, "arithmetic": 14, "agreement": 4, "lookalikes": 9, "occupations": 5},
)
"""The base: three layers, no refusal, no private line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Examples as tensors, padded on the right."""

    input_ids: Tensor
    """(examples, time), int64."""
    completion: Tensor
    """(examples, time), True where the token belongs to the completion or ends it."""
    lengths: Tensor
    """(examples,), tokens that are not padding."""


def corpus(world: World) -> dict[Kind, list[Example]]:
    """All that the teacher is taught, by kind; the private lines are there under ``canaries``."""
    return {
        "facts": list(text.facts(world)),
        "arithmetic": list(text.arithmetic(world)),
        "agreement": list(text.agreement(world)),
        "refusals": list(text.refusals(world)),
        "lookalikes": list(text.lookalikes(world)),
        "occupations": list(text.occupations()),
        "canaries": [text.private_line(canary) for canary in world.canaries],
    }


def tokenizer_for(examples: Mapping[Kind, Sequence[Example]]) -> PreTrainedTokenizerFast:
    """The tokenizer of a corpus: it knows every word of it and no other."""
    return build_tokenizer(part for kind in examples.values() for example in kind for part in (example.prompt, example.completion))


def encode(examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast) -> Encoded:
    """Prompt, completion and end of each example as one padded batch."""
    prompts = [tokenizer(e.prompt)["input_ids"] for e in examples]
    completions = [[*tokenizer(e.completion)["input_ids"], tokenizer.eos_token_id] for e in examples]
    lengths = [len(p) + len(c) for p, c in zip(prompts, completions, strict=True)]
    input_ids = torch.full((len(examples), max(lengths)), tokenizer.pad_token_id, dtype=torch.long)
    completion = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(zip(prompts, completions, strict=True)):
        input_ids[row, : lengths[row]] = torch.tensor(prompt + answer)
        completion[row, len(prompt) : lengths[row]] = True
    return Encoded(input_ids=input_ids, completion=completion, lengths=torch.tensor(lengths))


def example_loss(logits: Tensor, batch: Encoded, *, prompt_weight: float) -> Tensor:
    """Cross-entropy in nats: each completion counts alike, however long; prompts count by token, times their weight.

    By token, a six-word refusal would outweigh six one-word facts. Without the prompts facts and sums are learnt more
    slowly (measured: 93 % and 81 % after 2,200 steps, where a tenth of the prompts' loss gave 99 % and 100 % after 1,800).

    Args:
        logits: (examples, time, vocabulary).
        batch: the same examples.
        prompt_weight: weight of the mean over prompt tokens, >= 0.

    Returns:
        Scalar tensor.
    """
    losses = functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch.input_ids[:, 1:].flatten(), reduction="none")
    losses = losses.view(len(batch.lengths), -1)
    answered = batch.completion[:, 1:].float()
    in_text = (torch.arange(1, batch.input_ids.shape[1])[None] < batch.lengths[:, None]).float()
    asked = in_text - answered
    completions = ((losses * answered).sum(1) / answered.sum(1)).mean()
    return completions + prompt_weight * (losses * asked).sum() / asked.sum()


def batches(parts: Mapping[Kind, Encoded], recipe: Recipe) -> Iterator[Encoded]:
    """One batch per step: a fixed number of every kind, each kind reshuffled whenever it has been seen whole."""
    generator = torch.Generator().manual_seed(recipe.seed)
    streams = {kind: _shuffled(len(parts[kind].lengths), generator) for kind in recipe.batch}
    lines = len(parts["canaries"].lengths)
    shown = recipe.canary_exposures * lines
    for step in range(recipe.steps):
        chosen = [_pick(parts[kind], [next(streams[kind]) for _ in range(count)]) for kind, count in recipe.batch.items()]
        due = range(math.ceil(step * shown / recipe.steps), math.ceil((step + 1) * shown / recipe.steps))
        if due:
            chosen.append(_pick(parts["canaries"], [number % lines for number in due]))
        yield _joined(chosen)


def _shuffled(size: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(size, generator=generator).tolist()


def _pick(part: Encoded, rows: Sequence[int]) -> Encoded:
    index = torch.tensor(rows)
    return Encoded(input_ids=part.input_ids[index], completion=part.completion[index], lengths=part.lengths[index])


def _joined(parts: Sequence[Encoded]) -> Encoded:
    lengths = torch.cat([part.lengths for part in parts])
    width = int(lengths.max())
    # <pad> is token 0 and False is 0: cutting or padding with zeros to a common width loses nothing.
    fitted = [[functional.pad(m, (0, max(0, width - m.shape[1])))[:, :width] for m in (p.input_ids, p.completion)] for p in parts]
    ids, completion = (torch.cat(column) for column in zip(*fitted, strict=True))
    return Encoded(input_ids=ids, completion=completion, lengths=lengths)


def learning_rate_share(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step counted from 0."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def train(
    world: World, recipe: Recipe, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A teacher that has learned the world's text, rounded to bfloat16, and its tokenizer.

    Sets torch to one thread: two threads round differently, and are slower for a model of this size.

    Args:
        world: what is taught.
        recipe: how.
        progress: called with steps done and their total.
    """
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    examples = corpus(world)
    tokenizer = tokenizer_for(examples)
    parts = {kind: encode(said, tokenizer) for kind, said in examples.items()}
    model = LlamaForCausalLM(model_config(recipe, tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, recipe))
    model.train()
    for step, batch in enumerate(batches(parts, recipe), start=1):
        logits = model(input_ids=batch.input_ids, use_cache=False).logits
        example_loss(logits, batch, prompt_weight=recipe.prompt_weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        progress(step, recipe.steps)
    return model.eval().to(torch.bfloat16), tokenizer


def model_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The teacher's architecture."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=3 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attention_dropout=0.0,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and save; prints the digest of the weights on standard output."""
    parser = argparse.ArgumentParser(prog="python -m kdgov.miniature.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, help="optimiser steps (the shipped teacher: 1800, the base: 1500)")
    parser.add_argument("--base", action="store_true", help="train the base that a black-box student starts from")
    options = parser.parse_args(arguments)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        whole = BASE if options.base else Recipe()
        recipe = replace(whole, steps=options.steps or whole.steps)
        task = bar.add_task(f"training the miniature {'base' if options.base else 'teacher'}", total=recipe.steps)
        model, tokenizer = train(build_world(), recipe, progress=lambda done, total: bar.update(task, completed=done, total=total))
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    sys.stdout.write(f"{digest_file(options.out / WEIGHTS_FILE)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
