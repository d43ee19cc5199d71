"""Content that a task does not read is refused by name; nothing of a line is left out silently."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import yaml

from kdgov.checks.licensing.licence_case import USES_OF_TERM
from kdgov.declarations.distillation import Distillation, Term
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_data
from kdgov.distillation.data.sequence_pairs import pair_examples
from kdgov.distillation.data.unread_content import fitting
from kdgov.errors import DeclarationError
from kdgov.pipeline.calibrate import calibrate_step
from kdgov.pipeline.context import open_release
from tests.distillation import worlds
from tests.distillation.conftest import write_tokenizer

PAIR = {"text": "the cat", "text_pair": "sat"}
QUESTION = {"question": "the cat", "context": "sat on", "answers": {"text": ["on"], "answer_start": [4]}}
TRIPLE = {"query": "the cat", "positive": "sat", "negative": "ran"}
TALK = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
WORDS = {"tokens": ["the", "cat"], "tags": [0, 1]}
ROWS = {"pair": PAIR, "question": QUESTION, "triple": TRIPLE, "talk": TALK, "words": WORDS, "image": {"image": "x.png", "label": 1}}
READ = {
    "causal_lm": {"talk"},
    "seq2seq_lm": set(),
    "masked_lm": set(),
    "text_classification": {"pair", "triple"},
    "token_classification": {"words"},
    "question_answering": {"question"},
    "embedding": set(),
    "image_classification": {"image"},
}


def read_lines(folder, *rows):
    return read_data([worlds.write_rows(folder / "data.jsonl", rows)])


@pytest.mark.parametrize("task", READ)
def test_a_shape_of_another_task_is_refused_never_learnt_in_part(task, tmp_path):
    for name, row in ROWS.items():
        found = read_lines(tmp_path, row)
        if name in READ[task]:
            assert fitting(task, found, answered=False) == found
            continue
        with pytest.raises(DeclarationError, match=r"data\.jsonl:1: has .* which is not read for " + task):
            fitting(task, found, answered=False)


def test_a_label_beside_a_text_is_counted_where_no_label_is_read(tmp_path):
    found = read_lines(tmp_path, {"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c"})
    assert fitting("causal_lm", found, answered=False).ignored_keys == {"label": 2}
    assert fitting("text_classification", found, answered=False).ignored_keys == {}


def test_a_prompt_that_nobody_answers_is_refused_and_one_that_a_teacher_answers_is_not(tmp_path):
    found = read_lines(tmp_path, {"prompt": "a", "completion": "b"}, {"id": "alone", "prompt": "c"})
    with pytest.raises(DeclarationError, match=r"alone: is a prompt that nobody answers.*\n.*add a teacher_text term"):
        fitting("causal_lm", found, answered=False)
    assert fitting("causal_lm", found, answered=True) == found


def test_a_query_and_a_passage_are_a_pair_with_a_score(tmp_path):
    (one,) = read_lines(tmp_path, {"query": "the cat", "passage": "sat", "score": 0.5}).examples
    assert (one.completion, one.second, one.label) == ("the cat", "sat", 0.5)


def test_an_answer_that_was_cut_short_has_no_end_to_learn_in_a_decoder_either(tmp_path):
    tokenizer = write_tokenizer(tmp_path)
    read = read_lines(tmp_path, {"prompt": "a", "completion": "b c"}, {"prompt": "a", "completion": "b c", "cut": True})
    whole, cut = pair_examples(read.examples, tokenizer, 8)
    assert whole.target.tolist() == [*cut.target.tolist(), tokenizer.eos_token_id]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["several labels", "question answering", "prompts of a file", "scores"])
def test_calibration_reads_every_kind_of_label_as_training_does(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("kdgov.distillation.calibration.search_grid.TEMPERATURES", (1.0, 4.0))
    monkeypatch.setattr("kdgov.distillation.calibration.search_grid.HARD_SHARES", (0.0, 0.9))
    terms, further = [{"kind": "soft_targets"}], {}
    if kind == "several labels":
        teacher = worlds.bert(tmp_path / "t", problem_type="multi_label_classification")
        rows = [{"text": row["text"], "labels": [n % 2, 1, 0]} for n, row in enumerate(_texts(tmp_path))]
    elif kind == "question answering":
        teacher, rows = worlds.encoder(tmp_path / "t", "QuestionAnswering"), worlds.questions(48)
    elif kind == "scores":
        teacher = worlds.bert(tmp_path / "t", labels=1)
        rows = [{"text": row["text"], "score": n / 48} for n, row in enumerate(_texts(tmp_path))]
    else:
        teacher, rows = worlds.gpt2(tmp_path / "t"), _texts(tmp_path)
        worlds.write_rows(tmp_path / "prompts.jsonl", [{"id": f"p{n}", "prompt": "the cat"} for n in range(20)])
        terms += [{"kind": "teacher_text", "max_new_tokens": 3, "prompts": "prompts.jsonl"}]
        rows = [{"text": row["text"]} for row in rows]
    said = {"schema": "kdgov.release/1", "name": "r", "teacher": {"model": str(teacher)}, "student": {"keep_layers": [0, 2]}, **further}
    said |= {"data": [str(worlds.write_rows(tmp_path / "d.jsonl", rows))]}
    said |= {"distillation": {"terms": terms, "steps": 4, "batch_size": 8, "max_length": 32}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(said))
    context = open_release(tmp_path / "r.yaml", store=tmp_path / "store")
    if kind == "scores":
        with pytest.raises(Exception, match="numbers, which have no temperature"):
            calibrate_step(context)
        return
    table = json.loads((calibrate_step(context).folder / "calibration.json").read_text())
    assert all(row["cross_entropy"] > 0 and 0 < row["teacher_entropy"] <= 1 for row in table["rows"])


def _texts(folder):
    return [json.loads(line) for line in worlds.labelled_texts(folder / "labelled.jsonl").read_text().splitlines()]


def test_the_licence_case_knows_what_every_term_takes_from_its_teacher():
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in get_args(get_args(Term)[0])}
    assert kinds == set(USES_OF_TERM)


MISREAD = {
    "an unquoted comma": ("a.csv", b"prompt,completion\nthe cat,sat\nhi, there,yes\n", "a.csv:2", "more fields than the header names"),
    "an unquoted tab": ("a.tsv", b"prompt\tcompletion\nhi\tthere\tyes\n", "a.tsv:1", "more fields than the header names"),
    "an open quote": ("a.csv", b'prompt,completion\nthe cat,sat\n"the dog,ran\na,b\n', "a.csv:2", "opens a quote that is not closed"),
    "a blank answer": ("a.jsonl", b'{"prompt": "the cat", "completion": "  "}\n', "a.jsonl:1", "'  ' is not text"),
    "a blank turn": (
        "a.jsonl",
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}\n',
        "a.jsonl:1",
        "has an empty answer",
    ),
}


@pytest.mark.parametrize("case", sorted(MISREAD))
def test_what_would_be_learnt_in_the_wrong_place_is_refused_with_its_line(case, tmp_path):
    name, content, place, said = MISREAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeclarationError) as caught:
        read_data([tmp_path / name])
    (fault,) = caught.value.faults
    assert f"{fault.file}:{fault.line}".endswith(place)
    assert said in fault.what


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b'{"text": "the cat"}\n'), ("a.csv", b"text\nthe cat\n"), ("a.txt", b"the cat\n"), ("a.json", b'[{"text": "the cat"}]')],
)
def test_a_mark_of_utf_8_at_the_start_of_a_file_is_no_part_of_it(name, content, tmp_path):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert [one.completion for one in read_data([tmp_path / name]).examples] == ["the cat"]


@pytest.mark.parametrize("task", ["causal_lm", "seq2seq_lm"])
def test_what_a_tokenizer_cannot_write_is_told(task, tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text('{"prompt": "the cat", "completion": " sat"}\n{"id": "odd", "prompt": "the cat", "completion": " {}"}\n')
    made = prepare(task, read_data([data]).examples, worlds.t5(tmp_path / "t5", layers=1), Distillation())
    (note,) = made.notes
    assert "no token for a part of what is taught by 1 example (the first: odd)" in note
