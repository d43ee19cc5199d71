"""Speech: sounds with transcripts, written by a decoder or labelled frame by frame, through the same terms as everything else."""

from __future__ import annotations

import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from kdgov.checkpoints.loading import freeze, load_model
from kdgov.checkpoints.media.sound_readers import frames_of, listener
from kdgov.checkpoints.media.transcribing import transcribed
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.distillation.data.spoken.transcribed_sounds import FrameCollator
from kdgov.distillation.data.teacher_text import written_examples
from kdgov.distillation.distillation_run import distill
from kdgov.distillation.learner import Learner
from kdgov.distillation.students import StudentStart
from kdgov.errors import KdgovError
from kdgov.progress import silent
from tests.distillation import worlds

SOFT, HARD = {"kind": "soft_targets", "temperature": 2.0}, {"kind": "hard_labels", "weight": 0.5}


def recipe(*terms, **further):
    return Distillation.model_validate({"terms": list(terms) or [SOFT, HARD], "steps": 3, "batch_size": 4, **further})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    torch.set_num_threads(1)
    worlds.ctc(folder / "ctc", conv_stride=(10, 8))
    worlds.whisper(folder / "whisper")
    worlds.spoken(folder / "letters", 6)
    worlds.spoken(folder / "words", 6, separator=" ")
    return folder


def test_frames_are_compared_one_by_one_and_transcripts_by_ctc(world):
    """Both terms against what they are by definition, on sounds of different lengths."""
    made = prepare("ctc", read_examples([world / "letters" / "spoken.jsonl"]), world / "ctc", recipe())
    batch = made.collate(list(enumerate(made.items)))
    teacher = freeze(load_model(world / "ctc", "ctc"))
    student = load_model(worlds.ctc(world / "other", seed=5, conv_stride=(10, 8)), "ctc").eval()
    learner = Learner(student, teacher, recipe(), task="ctc")
    loss, parts = (value.detach() for value in learner(batch))
    with torch.no_grad():
        mine, theirs = (model(**batch["inputs"]).logits for model in (student, teacher))
    kl = torch.nn.functional.kl_div((mine / 2).log_softmax(-1), (theirs / 2).log_softmax(-1), log_target=True, reduction="none").sum(-1)
    soft = sum(float(kl[row, : item.frames].sum()) for row, item in enumerate(made.items))
    hard = 0.0
    for row, item in enumerate(made.items):
        alone = mine[row, : item.frames].log_softmax(-1)[:, None]
        hard += float(torch.nn.functional.ctc_loss(alone, torch.tensor(item.ids[None]), [item.frames], [len(item.ids)], reduction="sum"))
    assert float(parts[0]) == pytest.approx(soft, rel=1e-4)
    assert float(parts[1]) == pytest.approx(hard, rel=1e-4)
    assert float(loss) == pytest.approx(4 * soft + 0.5 * hard, rel=1e-4)
    assert float(batch["weights"].sum()) == sum(item.frames for item in made.items)


def test_frames_are_those_that_the_model_answers_with(world):
    frames, model = frames_of(world / "ctc"), load_model(world / "ctc", "ctc")
    for samples in (400, 1234, 3001):
        with torch.no_grad():
            assert model(torch.zeros(1, samples)).logits.shape[1] == frames(samples)


def test_what_a_decoder_is_told_first_is_shown_and_not_learnt(world):
    made = prepare("speech_to_text", read_examples([world / "words" / "spoken.jsonl"]), world / "whisper", recipe())
    batch = made.collate(list(enumerate(made.items)))
    tokenizer = listener(world / "whisper", "speech_to_text").tokenizer
    for row, example in enumerate(read_examples([world / "words" / "spoken.jsonl"])):
        learnt = batch["labels"][row][batch["weights"][row] > 0]
        assert tokenizer.decode(learnt) == f"{example.completion}<|endoftext|>"
        told = batch["inputs"]["decoder_input_ids"][row][:3]
        assert tokenizer.convert_ids_to_tokens(told) == ["<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"]


@pytest.mark.parametrize("task", ["ctc", "speech_to_text"])
def test_one_recipe_trains_either_with_matched_layers_and_layer_drop(task, world, tmp_path):
    folder = {"ctc": "ctc", "speech_to_text": "whisper"}[task]
    teacher = world / folder
    if task == "ctc":
        teacher = worlds.ctc(tmp_path / "dropping", layerdrop=0.9, conv_stride=(10, 8))
    data = world / ("letters" if task == "ctc" else "words") / "spoken.jsonl"
    terms = (SOFT, HARD, {"kind": "hidden_states", "layers": "last"}, {"kind": "attention", "layers": "last"})
    record = distill(recipe(*terms), teacher, StudentStart(keep_layers=[1]), [data], tmp_path / "out")
    losses = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert record.task == task
    assert all(step[kind] > 0 for step in losses for kind in ("soft_targets", "hard_labels", "hidden_states", "attention"))
    saved = load_model(tmp_path / "out" / "student", task)
    reader = listener(tmp_path / "out" / "student", task)
    assert transcribed(saved, reader, world / "letters" / "0.wav", most_tokens=4).text is not None


def test_two_equal_letters_are_two(world):
    """A blank stands between them: a tokenizer that leaves blanks out before it joins would read one."""
    reader = listener(world / "ctc", "ctc")

    class Saying(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, input_values, attention_mask):
            labels = torch.tensor([0, 5, 5, 0, 5, 0, 6, 4, 6])
            return transformers.modeling_outputs.CausalLMOutput(logits=torch.nn.functional.one_hot(labels, 8)[None].float())

    assert transcribed(Saying(), reader, world / "letters" / "0.wav", most_tokens=9).text == "aab b"


def test_the_teacher_writes_what_is_not_transcribed(world, tmp_path):
    """Sounds of one transcript are no copies of each other; given transcripts stay; a second run listens to nothing."""
    rows = [json.loads(line) for line in (world / "words" / "spoken.jsonl").read_text().splitlines()]
    data = world / "words" / "unheard.jsonl"
    worlds.write_rows(data, [{"id": row["id"], "audio": row["audio"]} for row in rows[:4]] + rows[4:])
    term = TeacherText(kind="teacher_text", max_new_tokens=6)
    made, shards = written_examples(term, read_examples([data]), world / "whisper", tmp_path / "0", seed=0, progress=silent)
    assert [one.file for one in made] == [str(world / "words" / row["audio"]) for row in rows[:4]]
    assert {one.completion for one in made} == {"ccc"}
    assert str(world) not in (tmp_path / "0" / "shard-0000.jsonl").read_text(), "where sounds lie today is no part of a shard"
    again, same = written_examples(term, read_examples([data]), world / "whisper", tmp_path / "0", seed=0, progress=silent)
    assert (again, same) == (made, shards)


def _short(path, samples=30):
    return worlds.write_wav(path, np.zeros(samples))


def _cut_short(path):
    _short(path, 800)
    path.write_bytes(path.read_bytes()[:-400])
    return path


def _wide(path):
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 4, 8000, 0, "NONE", "none"))
        out.writeframes(struct.pack("<100i", *range(100)))


BAD = {
    "rate": (
        lambda p: worlds.write_wav(p, np.zeros(800), rate=16000),
        "a",
        "holds 16-bit sound at 16000 Hz; the model wants 16-bit PCM at 8000",
    ),
    "width": (_wide, "a", "holds 32-bit sound"),
    "no-sound": (lambda p: p.write_bytes(b"ID3 not a sound"), "a", "cannot be read as WAV"),
    "empty-file": (lambda p: p.write_bytes(b""), "a", "cannot be read as WAV"),
    "absent": (lambda p: None, "a", "cannot be read as WAV"),
    "nothing": (lambda p: _short(p, 0), "a", "holds no sound"),
    "cut-short": (_cut_short, "a", "is cut short: its header says 800 samples, and 600 are there"),
    "no-transcript": (_short, None, "has no transcript"),
    "empty-transcript": (_short, "", "is an empty transcript"),
    "blank-transcript": (_short, "  ", "is an empty transcript"),
    "characters": (_short, "aXc", "does not know: X"),
    "too-long": (lambda p: _short(p, 800), "abcabcabcabcabc", "needs 15 frames for its 15 labels, and its sound has 10"),
    "repeats": (lambda p: _short(p, 800), "aaaaaa", "needs 11 frames for its 6 labels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_learnt_from_is_told_before_any_model_is_loaded(name, world, tmp_path, monkeypatch):
    make, text, message = BAD[name]
    make(tmp_path / "x.wav")
    row = {"id": "odd", "audio": "x.wav"} | ({} if text is None else {"text": text})
    data = worlds.write_rows(tmp_path / "data.jsonl", [row])
    monkeypatch.setattr("kdgov.distillation.distillation_run.load_models", lambda material: pytest.fail("a model was loaded"))
    with pytest.raises(KdgovError, match=message):
        distill(recipe(HARD), world / "ctc", StudentStart(keep_layers=[1]), [data], tmp_path / "out")


MISFITS = {
    "short": (
        {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 90},
        "fewer than the 90 that the student's SpecAugment",
    ),
    "frames": ({"conv_stride": (5, 4)}, "the teacher cuts 160,000 samples into"),
    "labels": ({"characters": "acb"}, "label 6 is 'b' to the teacher and 'c' to the student"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_models_that_hear_differently_are_not_compared(name, world, tmp_path):
    shape, message = MISFITS[name]
    worlds.ctc(tmp_path / "student", **{"conv_stride": (10, 8), **shape})
    with pytest.raises(KdgovError, match=message):
        distill(
            recipe(SOFT), world / "ctc", StudentStart(model=tmp_path / "student"), [world / "letters" / "spoken.jsonl"], tmp_path / "out"
        )


def test_another_preprocessing_is_refused_where_frames_or_layers_are_compared(world, tmp_path):
    worlds.ctc(tmp_path / "student", conv_stride=(10, 8))
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=False).save_pretrained(tmp_path / "student")
    with pytest.raises(KdgovError, match="its processor has do_normalize false, the teacher's true"):
        distill(
            recipe(SOFT), world / "ctc", StudentStart(model=tmp_path / "student"), [world / "letters" / "spoken.jsonl"], tmp_path / "out"
        )
    worlds.vit(tmp_path / "big")
    small = worlds.vit(tmp_path / "small", layers=1, seed=1)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=[0.1, 0.1, 0.1]).save_pretrained(small)
    data = worlds.labelled_images(tmp_path / "images", 4)
    with pytest.raises(KdgovError, match="its processor has image_mean"):
        distill(recipe(SOFT, {"kind": "hidden_states"}), tmp_path / "big", StudentStart(model=small), [data], tmp_path / "out2")


def test_a_model_of_several_languages_is_told_which(world, tmp_path):
    folder = worlds.whisper(tmp_path / "several")
    own = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**own, "is_multilingual": True}))
    with pytest.raises(KdgovError, match="writes several languages, and nothing says which"):
        listener(folder, "speech_to_text")
    assert len(listener(folder, "speech_to_text", language="en").prefix) == 4
    for odd in ("xx", "fr"):
        with pytest.raises(KdgovError, match="does not know the language"):
            listener(folder, "speech_to_text", language=odd)


def test_sounds_longer_than_the_encoder_are_left_out_whole(world, tmp_path):
    worlds.write_wav(tmp_path / "long.wav", np.zeros(9000))
    worlds.write_wav(tmp_path / "fits.wav", np.zeros(800))
    rows = [{"id": name, "audio": f"{name}.wav", "text": "a b"} for name in ("long", "fits")]
    made = prepare("speech_to_text", read_examples([worlds.write_rows(tmp_path / "d.jsonl", rows)]), world / "whisper", recipe())
    assert ([item.item_id for item in made.items], made.left_out) == (["fits"], ("long",))


def test_weights_by_example_count_every_sound_alike(world):
    made = prepare("ctc", read_examples([world / "letters" / "spoken.jsonl"]), world / "ctc", recipe(weighting="example"))
    assert isinstance(made.collate, FrameCollator)
    assert made.collate(list(enumerate(made.items)))["weights"].sum(1).tolist() == pytest.approx([1.0] * len(made.items))


def test_a_recipe_that_no_speech_model_can_carry_is_refused_by_the_check(world, tmp_path):
    from kdgov.pipeline.check import check_step
    from kdgov.pipeline.context import open_release

    odd = {
        "on_policy": ("ctc", {"kind": "on_policy"}, "cannot use on_policy for ctc"),
        "samples of the student": ("whisper", {"kind": "on_policy"}, "cannot use on_policy for speech_to_text"),
        "samples": ("whisper", {"kind": "teacher_text", "temperature": 0.7}, "a sound is transcribed once"),
    }
    for name, (model, term, message) in odd.items():
        path = tmp_path / f"{name}.yaml"
        release = {
            "schema": "kdgov.release/1", "name": name, "teacher": {"model": str(world / model)}, "student": {"keep_layers": [1]},
            "data": [str(world / "letters" / "spoken.jsonl")], "distillation": {"terms": [term], "steps": 1},
        }  # fmt: skip
        path.write_text(json.dumps(release))
        with pytest.raises(KdgovError, match=message):
            check_step(open_release(path, store=tmp_path / "store"))
    assert Path(world / "letters" / "spoken.jsonl").is_file()
