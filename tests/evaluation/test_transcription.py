"""Suites of kind transcription: word and character error rates, frozen, answered by speech models, judged as the rate of the whole set."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
import yaml

from kdgov.errors import InputError, KdgovError
from kdgov.evaluation.edit_counts import edits, normalised
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.evaluation_run import evaluate
from tests.distillation import worlds

METRICS = [
    {"metric": "wer", "direction": "lower", "range": [0, 20]},
    {"metric": "cer", "direction": "lower", "range": [0, 20]},
    {"metric": "exact", "direction": "higher"},
]


def suite(folder, rows, **options):
    worlds.write_rows(folder / "sounds.jsonl", rows)
    task = {"task": "said", "kind": "transcription", "data": {"path": "sounds.jsonl"}, "metrics": METRICS, "options": options}
    said = {"schema": "kdgov.suite/1", "name": "spoken", "license": "CC0-1.0", "description": "Tones.", "tasks": [task]}
    (folder / "suite.yaml").write_text(yaml.safe_dump(said))
    return folder


def planned(folder):
    return build_plan(read_suites([str(folder)], beside=folder))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transcription")
    torch.set_num_threads(1)
    worlds.ctc(folder / "ctc", conv_stride=(10, 8))
    worlds.whisper(folder / "whisper")
    return folder


def _table(reference, written):
    row = list(range(len(written) + 1))
    for i, one in enumerate(reference, 1):
        last, row = row, [i]
        for j, other in enumerate(written, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one != other)))
    return row[-1]


def test_edits_are_those_of_the_whole_table():
    rng = random.Random(0)
    for _ in range(400):
        one, other = ([rng.choice("abcd") for _ in range(rng.randint(0, size))] for size in (9, 80))
        assert edits(one, other) == _table(one, other), (one, other)
        assert edits(other, one) == _table(other, one)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It's  'quoted' — 3.5 €!", "it's quoted 3 5"),
        ("ﬁne Ǆ", "fine dž"),
        ("हिन्दी में", "हिन्दी में"),
        ("Straße\u2019s", "strasse's"),
        ("…", ""),
    ],
)
def test_words_are_compared_without_case_and_punctuation(text, plain):
    assert normalised(text, "basic") == plain
    assert normalised(f" {text} ", "none") == " ".join(text.split())


@pytest.mark.parametrize("model", ["ctc", "whisper"])
def test_a_model_is_heard_and_each_item_counts_for_its_words(model, world, tmp_path):
    folder = tmp_path / "suite"
    folder.mkdir()
    rows = []
    for n, text in enumerate(["a", "a b c a b c", "c b"]):
        worlds.write_wav(folder / f"{n}.wav", worlds.tone(text.split(), seed=n))
        rows.append({"id": f"s{n}", "audio": f"{n}.wav", "text": text, "speaker": "x" if n else "y"})
    plan = planned(suite(folder, rows, max_gen_toks=6))
    found = evaluate(plan, world / model, tmp_path / "out", cache=tmp_path / "cache")
    table = {(row["item_id"], row["metric"]): row for row in found.table.to_rows()}
    wrong = 0
    for row in rows:
        said, one = table[row["id"], "wer"], table[row["id"], "cer"]
        words = row["text"].split()
        assert (said["weight"], one["weight"]) == (len(words), len(row["text"]))
        assert said["score"] * len(words) == pytest.approx(_table(words, normalised(said["prediction"], "basic").split()))
        wrong += said["score"] * len(words)
    (task,) = found.document["tasks"]
    assert task["aggregates"]["wer,none"] == pytest.approx(wrong / 9)
    assert evaluate(plan, world / model, tmp_path / "again", cache=tmp_path / "cache").table.content_digest == found.table.content_digest


BAD = {
    "no-words": ({"text": "…!"}, "has a reference without a word"),
    "no-reference": ({"text": None}, "an item has no 'text'"),
    "absent": ({"audio": "gone.wav"}, "names the file 'gone.wav', which is not there"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_item_that_proves_nothing_is_told_before_any_model_is_loaded(name, tmp_path):
    changed, message = BAD[name]
    worlds.write_wav(tmp_path / "0.wav", np.zeros(800))
    with pytest.raises(KdgovError, match=message):
        planned(suite(tmp_path, [{"id": "s", "audio": "0.wav", "text": "a", **changed}]))


def test_a_sound_of_another_rate_and_a_language_model_are_told(world, tmp_path):
    worlds.write_wav(tmp_path / "0.wav", np.zeros(800), rate=16000)
    plan = planned(suite(tmp_path, [{"id": "s", "audio": "0.wav", "text": "a"}]))
    with pytest.raises(InputError, match="at 16000 Hz; the model wants 16-bit PCM at 8000 Hz"):
        evaluate(plan, world / "ctc", tmp_path / "out", cache=tmp_path / "cache")
    with pytest.raises(InputError, match="is a model for causal_lm, and the suite has sounds transcribed"):
        evaluate(plan, worlds.gpt2(tmp_path / "gpt2"), tmp_path / "out", cache=tmp_path / "cache")


def test_options_are_those_that_are_read(tmp_path):
    worlds.write_wav(tmp_path / "0.wav", np.zeros(800))
    with pytest.raises(KdgovError, match="normalize: 'english' is no way to compare words"):
        planned(suite(tmp_path, [{"id": "s", "audio": "0.wav", "text": "a"}], normalize="english"))


def _release(folder, name, student, **further):
    said = {
        "schema": "kdgov.release/1", "name": name, "teacher": {"model": str(folder / name)},
        "student": student,
        "data": [str(folder / "train" / "spoken.jsonl")], "suites": [str(folder / "suite")], "policy": str(folder / "policy.yaml"),
        "threads": 1, **further,
    }  # fmt: skip
    path = folder / f"{name}-{len(list(folder.glob('*.yaml')))}.yaml"
    path.write_text(json.dumps(said))
    return path


@pytest.mark.nightly
@pytest.mark.parametrize("name", [pytest.param("ctc", marks=pytest.mark.ci), "whisper"])
def test_a_release_is_distilled_heard_and_judged_by_its_error_rate(name, tmp_path):
    """A student that learnt holds the teacher's error rate; one with random weights is stopped by it."""
    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.run import resolve

    is_ctc = name == "ctc"
    task, separator = ("ctc", "") if is_ctc else ("speech_to_text", " ")
    make = worlds.ctc if is_ctc else worlds.whisper
    make(tmp_path / name, **({"conv_stride": (10, 8)} if is_ctc else {}))
    data = worlds.spoken(tmp_path / "train", 32, separator=separator)
    worlds.taught(tmp_path / name, task, data, steps=150)
    worlds.spoken(tmp_path / "sounds", 80, seed=5, separator=separator)
    rows = [json.loads(line) for line in (tmp_path / "sounds" / "spoken.jsonl").read_text().splitlines()]
    (tmp_path / "suite").mkdir()
    for row in rows:
        (tmp_path / "sounds" / row["audio"]).rename(tmp_path / "suite" / row["audio"])
    suite(tmp_path / "suite", rows, max_gen_toks=8)
    kept = {"kind": "non_inferiority", "suite": "spoken", "tasks": ["*"], "metric": "cer", "statistic": "weighted_mean", "margin": 0.3}
    # Of a handful of words some sounds come twice: nothing that is judged here hangs on it.
    allowed = {"contamination.verbatim": "warn"}
    policy = {"schema": "kdgov.policy/1", "name": "speech", "version": "1", "findings": allowed}
    criterion = {"id": "cer-kept", "range": [0, 2], "confidence": 0.95, "min_items": 30, **kept}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({**policy, "criteria": [criterion]}))
    terms = [{"kind": "soft_targets", "temperature": 2.0}, {"kind": "hard_labels"}, {"kind": "hidden_states", "layers": "last"}]
    recipe = {"terms": terms, "steps": 150, "batch_size": 16, "learning_rate": 0.01}
    good = _release(tmp_path, name, {"keep_layers": [1]}, distillation=recipe)

    def judged(path):
        gated = resolve(open_release(path, store=tmp_path / "store"), until="gate").result_of("gate")
        (result,) = json.loads((gated.folder / "decision.json").read_bytes())["criteria"]
        return result

    result = judged(good)
    assert result["verdict"] == "pass", result["reason"]
    assert result["details"]["statistic"] == "weighted_mean"
    make(tmp_path / "random", seed=3, **({"conv_stride": (10, 8)} if is_ctc else {}))
    bad = _release(tmp_path, name, {"model": str(tmp_path / "random")})
    assert judged(bad)["verdict"] == "fail"
