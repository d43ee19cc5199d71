"""Small models of every kind the step trains, written to folders as users have them."""

from __future__ import annotations

import json
import random
import sys
import wave
from pathlib import Path

import numpy as np
import torch
import transformers

from tests.distillation.conftest import WORDS, llama, sentences, write_tokenizer


def lively(model, factor=5.0):
    """Larger random weights: a teacher whose answers depend on what it reads."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name.lower():
                parameter.mul_(factor)
    return model.eval()


def bert(folder, *, layers=3, width=24, heads=4, labels=3, seed=0, **further):
    """A text classifier; ``problem_type`` makes it one of several labels or of scores."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=32,
        num_labels=labels,
        **further,
    )
    lively(transformers.BertForSequenceClassification(config)).save_pretrained(folder)
    return folder


def gpt2(folder, *, layers=3, width=24, heads=4, seed=0):
    """A causal model whose queries, keys and values come from one module."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=width, n_layer=layers, n_head=heads, n_positions=64, bos_token_id=2, eos_token_id=2
    )
    lively(transformers.GPT2LMHeadModel(config)).save_pretrained(folder)
    return folder


def t5(folder, *, layers=3, width=24, heads=4, seed=0):
    """A sequence-to-sequence model."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // heads,
        d_ff=2 * width,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=2,
    )
    lively(transformers.T5ForConditionalGeneration(config), 3.0).save_pretrained(folder)
    return folder


def vit(folder, *, layers=3, width=16, heads=2, labels=3, seed=0):
    """An image classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        image_size=16,
        patch_size=8,
        num_labels=labels,
    )
    lively(transformers.ViTForImageClassification(config)).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def wav2vec2(folder, *, layers=2, width=16, heads=2, labels=3, seed=0):
    """An audio classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = transformers.Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        num_labels=labels,
        apply_spec_augment=False,
    )
    lively(transformers.Wav2Vec2ForSequenceClassification(config), 2.0).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    return folder


def labelled_texts(path, count=48, labels=3):
    rng = random.Random(1)
    rows = [
        {"id": f"c{n}", "text": " ".join(rng.choices(WORDS, k=rng.randint(3, 9))), "label": rng.randrange(labels)} for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def labelled_images(folder, count=24, labels=3):
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(1), []
    for n in range(count):
        Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(folder / f"{n}.png")
        rows.append({"image": f"{n}.png", "label": n % labels})
    path = folder / "images.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def labelled_sounds(folder, count=16, labels=3):
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(1), []
    for n in range(count):
        with wave.open(str(folder / f"{n}.wav"), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", "none"))
            out.writeframes((rng.normal(0, 6000, 800 + 40 * n).clip(-32000, 32000)).astype("<i2").tobytes())
        rows.append({"audio": f"{n}.wav", "label": n % labels})
    path = folder / "sounds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def stranger(folder):
    """A causal model that reads and writes in other tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tokenizer(folder, words=["the", "cat", "dog", *"abcdefghijklm"])
    llama(len(tokenizer), layers=2, width=16, heads=2, seed=3).save_pretrained(folder)
    return folder


def build(folder):
    """Everything the releases beside this module name under ``world/``."""
    for make in (bert, gpt2, t5, vit, wav2vec2, stranger):
        make(folder / make.__name__)
    bert(folder / "bert-labels", labels=3, problem_type="multi_label_classification")
    bert(folder / "bert-scores", labels=1)
    labelled_texts(folder / "labelled.jsonl")
    rng = random.Random(2)
    rows = [{"text": text, "labels": [rng.randrange(2) for _ in range(3)]} for text in sentences(48, seed=3)]
    (folder / "several-labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = zip(sentences(48, seed=4), sentences(48, seed=5), strict=True)
    rows = [{"text": first, "text_pair": second, "score": rng.random()} for first, second in pairs]
    (folder / "scored-pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labelled_images(folder / "images")
    labelled_sounds(folder / "sounds")
    rows = [{"id": f"t{n}", "text": text} for n, text in enumerate(sentences(60))]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"id": f"q{n}", "prompt": f"the {a} adds to", "completion": f" {a} and {a}"} for n, a in enumerate("abcdefghijklmnopqrst")]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
