"""Tiny real models and suites, built on the spot: real tokenizers, real lm-eval tasks, no network."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
NAMES = ["Ada", "Bela", "Cleo", "Dara", "Elin", "Fenn"]
COLOURS = ["red", "green", "blue", "grey"]


def make_tokenizer(folder: Path, *, vocabulary: int = 320, template: str | None = None, texts: list[str] | None = None) -> None:
    """A byte-level BPE tokenizer with BOS and EOS, trained on a few made-up lines or the given ones."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    lines = [f"{n} likes the colour {c}. Question: what? Answer: {c}" for n in NAMES for c in COLOURS]
    inner.train_from_iterator(texts or lines, trainer)
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    if template:
        made.chat_template = template
    made.save_pretrained(folder)


def make_model(
    folder: Path, *, seed: int, layers: int = 2, length: int = 256, vocabulary: int = 320, template: str | None = None, width: int = 32
) -> Path:
    """A tiny Llama checkpoint with random weights of a given seed, large enough for opinions."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder, vocabulary=vocabulary, template=template)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=64, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=length, bos_token_id=0, eos_token_id=1, pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


CHOICE_TASK = {
    "task": "tiny_choice",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "label",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
WRITE_TASK = {
    "task": "tiny_write",
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["\n", "."], "max_gen_toks": 12, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def choice_rows(n: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Multiple-choice items with a group and a cluster."""
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        name, colour = draw.choice(NAMES), draw.randrange(4)
        rows.append(
            {
                "id": f"c{number:03d}",
                "question": f"{name} ({number}) likes the colour {COLOURS[colour]}. Question: what? Answer:",
                "choices": COLOURS,
                "label": colour,
                "answer": COLOURS[colour],
                "gender": "female" if number % 2 else "male",
                "name": name,
            }
        )
    return rows
