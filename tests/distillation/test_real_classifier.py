"""A real classifier on real data: toxicity of Wikipedia comments and template sentences (Dixon et al. 2018)."""

from __future__ import annotations

import collections
import csv
import gzip
import json
import random
import re

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from tests.conftest import real_folder

pytestmark = [pytest.mark.real, pytest.mark.nightly, pytest.mark.ci]
LENGTH = 48


@pytest.fixture(scope="module")
def comments():
    """Real comments and template sentences with their labels: (text, label) to learn from and held out."""
    folder, rng = real_folder("dixon_madlibs"), random.Random(7)
    with gzip.open(folder / "toxicity_nonfuzzed_testset.csv.gz", "rt", encoding="utf-8") as stream:
        real = [(row["comment"].strip(), int(row["toxic"] == "True")) for row in csv.DictReader(stream) if row["comment"].strip()]
    with gzip.open(folder / "bias_madlibs_77k.csv.gz", "rt", encoding="utf-8") as stream:
        made = [(row["Text"], int(row["Label"] == "BAD")) for row in csv.DictReader(stream)]
    rng.shuffle(real)
    made = rng.sample(made, 2600)
    return real[:1200] + made[:2000], real[1200:3200] + made[2000:]


@pytest.fixture(scope="module")
def teacher(comments, tmp_path_factory):
    """A four-layer BERT with a vocabulary of its own, trained here."""
    folder = tmp_path_factory.mktemp("teacher")
    learnt, _ = comments
    counts = collections.Counter(word for text, _ in learnt for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    vocabulary = {word: n for n, word in enumerate(["<pad>", "<unk>", *(w for w, c in counts.most_common(6000) if c > 1)])}
    mapping = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    mapping.normalizer, mapping.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=mapping, pad_token="<pad>", unk_token="<unk>")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=LENGTH,
        num_labels=2,
        hidden_dropout_prob=0.1,
    )
    model = transformers.BertForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=300)
    rng = random.Random(1)
    for _ in range(300):
        batch = rng.sample(learnt, 32)
        made = tokenizer([text for text, _ in batch], truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        loss = model(**made, labels=torch.tensor([label for _, label in batch])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def answers(folder, pairs):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    said = []
    for start in range(0, len(pairs), 64):
        texts = [text for text, _ in pairs[start : start + 64]]
        with torch.no_grad():
            made = tokenizer(texts, truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
            said += model(**made).logits.argmax(-1).tolist()
    return torch.tensor(said)


def test_a_toxicity_classifier_is_distilled_from_a_teacher_trained_here(comments, teacher, tmp_path):
    learnt, held_out = comments
    data = tmp_path / "comments.jsonl"
    data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in learnt), encoding="utf-8")
    said = Distillation.model_validate(
        {
            "terms": [
                {"kind": "soft_targets", "temperature": 2.0, "weight": 0.6},
                {"kind": "hard_labels", "weight": 0.4},
                {"kind": "hidden_states", "layers": [[3, 1]], "weight": 0.1},
            ],
            "steps": 150,
            "batch_size": 32,
            "learning_rate": 1e-3,
            "max_length": LENGTH,
        }
    )
    record = distill(said, teacher, StudentStart(keep_layers="first_and_last"), [data], tmp_path / "out")
    assert record.task == "text_classification"
    assert record.student["parameters"] < record.teacher["parameters"]
    labels = torch.tensor([label for _, label in held_out])
    theirs, mine = answers(teacher, held_out), answers(tmp_path / "out" / "student", held_out)
    majority = float(torch.bincount(labels).max() / len(labels))
    accuracy = {name: float((said == labels).float().mean()) for name, said in (("teacher", theirs), ("student", mine))}
    assert accuracy["teacher"] > majority + 0.2, (majority, accuracy)
    assert accuracy["student"] > accuracy["teacher"] - 0.05, accuracy
    assert float((mine == theirs).float().mean()) > 0.9
