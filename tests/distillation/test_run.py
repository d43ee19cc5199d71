"""A whole distillation of a causal language model, on files."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
import torch
import transformers
from safetensors.torch import load_file

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.distillation import Distillation
from kdgov.distillation import StudentStart, distill
from kdgov.errors import InputError

HALF = [{"kind": "soft_targets", "weight": 0.5}, {"kind": "hard_labels", "weight": 0.5}]


def recipe(**changes):
    return Distillation.model_validate(
        {"terms": HALF, "steps": 12, "batch_size": 8, "learning_rate": 3e-3, "checkpoint_every": 4, **changes}
    )


def weights(folder):
    return load_file(folder / "student" / "model.safetensors")


def same(first, second):
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def furthest(first, second):
    a, b = weights(first), weights(second)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.fixture(scope="module")
def plain(teacher, texts, tmp_path_factory):
    """One uninterrupted run."""
    output = tmp_path_factory.mktemp("plain")
    torch.set_num_threads(1)
    record = distill(recipe(), teacher, StudentStart(keep_layers=[0, 3]), [texts], output)
    return output, record


def test_the_student_loads_learns_and_keeps_the_teachers_tokenizer(plain, teacher):
    output, _ = plain
    student = transformers.AutoModelForCausalLM.from_pretrained(output / "student")
    assert student.config.num_hidden_layers == 2
    losses = json.loads((output / "losses.json").read_text())
    assert len(losses) == 12
    first, last = (sum(step["soft_targets"] for step in part) / 4 for part in (losses[:4], losses[-4:]))
    assert last < 0.85 * first
    assert (output / "student" / "tokenizer.json").read_bytes() == (teacher / "tokenizer.json").read_bytes()


def test_the_record_lies_in_the_students_own_folder_and_names_everything(plain, teacher, texts):
    output, record = plain
    written = json.loads((output / "student" / "kdgov-distillation.json").read_text())
    assert written == json.loads(json.dumps(record.as_json()))
    assert written["teacher"] == model_identity(teacher).as_json()
    assert written["student"] == model_identity(output / "student").as_json()
    assert set(written["data"]) == {texts.name}
    assert written["recipe"]["steps"] == 12
    assert written["flops"] == written["tokens"] * (6 * written["student"]["parameters"] + 2 * written["teacher"]["parameters"])
    assert written["environment"]["lock"].startswith("sha256:")
    assert written["code"]["distill"].startswith("sha256:")
    assert not (output / "checkpoints").exists()


def test_the_same_seed_gives_bit_equal_weights_and_another_seed_does_not(plain, teacher, texts, tmp_path):
    output, first = plain
    again = distill(recipe(), teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path / "again")
    assert again == first
    assert same(output, tmp_path / "again")
    other = distill(recipe(seed=1), teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path / "other")
    assert other.student["weights"] != first.student["weights"]


def test_how_a_batch_is_split_does_not_change_the_result(plain, teacher, texts, tmp_path):
    output, _ = plain
    distill(recipe(gradient_accumulation=4), teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path)
    assert furthest(output, tmp_path) < 2e-4
    losses = [json.loads((folder / "losses.json").read_text()) for folder in (output, tmp_path)]
    assert losses[0][0]["soft_targets"] == pytest.approx(losses[1][0]["soft_targets"], rel=1e-5)


def test_the_fused_head_trains_what_the_plain_one_trains(plain, teacher, texts, tmp_path):
    output, _ = plain
    distill(recipe(fused_head=False), teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path)
    assert furthest(output, tmp_path) < 2e-4


@pytest.fixture(scope="module")
def killed(teacher, texts, tmp_path_factory):
    """What a run killed without warning after step 10 leaves behind: whole checkpoints of steps 4 and 8."""
    output = tmp_path_factory.mktemp("killed")

    def die_after_ten(label, done, total):
        if label == "distilling" and done == 10:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        distill(recipe(), teacher, StudentStart(keep_layers=[0, 3]), [texts], output, progress=die_after_ten)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return output


def resume(killed, folder, teacher, texts, **changes):
    shutil.copytree(killed, folder, dirs_exist_ok=True)
    steps = []
    record = distill(
        recipe(**changes),
        teacher,
        StudentStart(keep_layers=[0, 3]),
        [texts],
        folder,
        progress=lambda label, done, total: steps.append(done) if label == "distilling" else None,
    )
    return record, min(steps)


def test_killed_without_warning_it_resumes_to_bit_equal_weights(plain, killed, teacher, texts, tmp_path):
    output, record = plain
    resumed, first_step = resume(killed, tmp_path, teacher, texts)
    assert first_step == 9
    assert same(output, tmp_path)
    assert resumed == record
    assert (output / "losses.json").read_bytes() == (tmp_path / "losses.json").read_bytes()


def test_a_torn_checkpoint_is_not_resumed_but_the_one_before_is(plain, killed, teacher, texts, tmp_path):
    torn = killed / "checkpoints" / "checkpoint-8" / "model.safetensors"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-100])
    try:
        _, first_step = resume(killed, tmp_path, teacher, texts)
    finally:
        torn.write_bytes(whole)
    assert first_step == 5
    assert same(plain[0], tmp_path)


def test_a_checkpoint_of_another_recipe_is_not_resumed(killed, teacher, texts, tmp_path):
    _, first_step = resume(killed, tmp_path, teacher, texts, learning_rate=2e-3)
    assert first_step == 1


def test_a_student_with_another_tokenizer_is_refused_with_both_digests(teacher, texts, tmp_path):
    from tests.distillation.conftest import llama, write_tokenizer

    stranger = tmp_path / "stranger"
    stranger.mkdir()
    tokenizer = write_tokenizer(stranger, words=["x", "y", "z"])
    llama(len(tokenizer), layers=1).save_pretrained(stranger)
    with pytest.raises(InputError, match="the tokenizers differ") as caught:
        distill(recipe(), teacher, StudentStart(model=stranger), [texts], tmp_path / "out")
    assert model_identity(teacher).tokenizer in str(caught.value)
    assert model_identity(stranger).tokenizer in str(caught.value)
    assert "universal_logits" in str(caught.value)


def test_rows_for_fewer_tokens_than_the_tokenizer_has_are_refused_and_more_are_padding(teacher, texts, tmp_path):
    from tests.distillation.conftest import llama

    for rows in (30, 99):
        (tmp_path / f"{rows}.json").write_text(json.dumps(llama(rows, layers=1).config.to_dict()))
    with pytest.raises(InputError, match="has 30 rows for tokens; the tokenizer has 40 ids"):
        distill(recipe(), teacher, StudentStart(config=tmp_path / "30.json"), [texts], tmp_path / "out")
    record = distill(recipe(steps=2), teacher, StudentStart(config=tmp_path / "99.json"), [texts], tmp_path / "padded")
    assert (record.vocabulary["ids"], record.vocabulary["student_rows"], record.vocabulary["teacher_rows"]) == (40, 99, 40)


def test_a_student_that_is_not_smaller_is_told_not_refused(teacher, texts, tmp_path):
    record = distill(recipe(steps=1), teacher, StudentStart(keep_layers=[0, 1, 2, 3]), [texts], tmp_path)
    assert any("not smaller" in warning for warning in record.warnings)


def test_an_empty_file_is_named(teacher, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(InputError, match=r"empty\.jsonl: holds no example"):
        distill(recipe(), teacher, StudentStart(keep_layers=[0]), [empty], tmp_path / "out")


def test_a_loss_that_is_not_finite_stops_with_step_items_and_last_checkpoint(teacher, texts, tmp_path):
    # A learning rate that no model survives; clipping would only delay it.
    wild = recipe(learning_rate=1e30, warmup_steps=0, schedule="constant", checkpoint_every=1, max_gradient_norm=1e9)
    with pytest.raises(InputError, match=r"not finite at step \d+, on the items t\d+.*last good checkpoint is step \d+"):
        distill(wild, teacher, StudentStart(keep_layers=[0, 3]), [texts], tmp_path)


def test_the_teacher_gets_no_gradient_and_stays_as_it_was(plain, teacher):
    _, record = plain
    assert model_identity(teacher, verify=True).as_json() == dict(record.teacher)


def test_only_the_completion_counts_where_there_is_one(teacher, questions, tmp_path):
    on_completion = distill(recipe(steps=2), teacher, StudentStart(keep_layers=[0]), [questions], tmp_path / "a")
    on_all = distill(recipe(steps=2, loss_on="all"), teacher, StudentStart(keep_layers=[0]), [questions], tmp_path / "b")
    assert on_completion.student["weights"] != on_all.student["weights"]


def test_bfloat16_weights_are_saved_where_declared(teacher, texts, tmp_path):
    record = distill(recipe(steps=1, save_dtype="bfloat16"), teacher, StudentStart(keep_layers=[0]), [texts], tmp_path)
    assert record.student["dtype"] == "BF16"
    assert record.student["size_bytes"] < model_identity(teacher).size_bytes / 2
