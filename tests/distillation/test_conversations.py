"""What of a conversation is learnt: golden files a person can read, and laws that no template may break."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdgov.checkpoints.encoding import encode_batch
from kdgov.declarations.distillation import Distillation, TeacherText
from kdgov.distillation.data.conversation import opened_when_asked, render
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.data.row_shapes import RowError, content_of
from kdgov.distillation.data.tokenization import TokenCollator, tokenized
from kdgov.distillation.generation.journal import Journal
from kdgov.distillation.generation.local_writer import write_locally
from kdgov.distillation.generation.prompts import asks_of
from kdgov.errors import InputError
from kdgov.progress import silent
from kdgov.recording.flavors.pyfunc_loader import VerifiedPredictor
from tests.distillation.chat_templates import CONVERSATIONS, TEMPLATES, chat_tokenizer
from tests.distillation.conftest import llama

GOLDEN = Path(__file__).with_name("golden")


def _example(name: str) -> Example:
    return Example(item_id=name, **content_of(CONVERSATIONS[name]).fields)


def _shown(name: str, tokenizer, loss_on: str) -> str:
    """The text with what is learnt between ⟦ and ⟧, by tokens; or why it is refused."""
    try:
        (made,) = tokenized([_example(name)], tokenizer, Distillation(loss_on=loss_on, max_length=4096)).examples
    except InputError as error:
        return "refused: " + "; ".join(fault.what for fault in error.faults)
    out, open_ = "", False
    for token, counted in zip(made.ids.tolist(), made.counted.tolist(), strict=True):
        if counted != open_:
            out, open_ = out + ("⟦" if counted else "⟧"), counted
        out += tokenizer.decode([token])
    return (out + ("⟧" if open_ else "")).replace("\n", "⏎")


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_learnt_is_what_the_golden_file_shows(template):
    """Six conversations, the last answer and all assistant turns; a change here changes what students learn."""
    tokenizer = chat_tokenizer(TEMPLATES[template])
    lines = [f"{name} / {on}: {_shown(name, tokenizer, on)}" for name in CONVERSATIONS for on in ("last", "assistant_turns")]
    file = GOLDEN / f"{template}.txt"
    assert "\n".join(lines) + "\n" == file.read_text(encoding="utf-8"), "\n".join(lines)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_user_turn_is_never_a_target_and_every_answer_is_whole(template):
    tokenizer = chat_tokenizer(TEMPLATES[template])
    for name in CONVERSATIONS:
        try:
            made = render(_example(name), tokenizer, loss_on="assistant_turns")
        except InputError:
            continue
        learnt = "".join(made.text[a:b] for a, b in made.spans)
        for message in _example(name).messages:
            if message["role"] in ("user", "system", "tool"):
                assert message["content"] not in learnt
            else:
                assert str(message["content"]).split("</think>")[-1].strip() in learnt


def test_one_beginning_of_text_in_training_and_in_evaluation():
    tokenizer = chat_tokenizer(TEMPLATES["bos-twice"])
    (made,) = tokenized([_example("one")], tokenizer, Distillation()).examples
    assert made.ids.tolist().count(tokenizer.bos_token_id) == 1
    asked = tokenizer.apply_chat_template(list(_example("one").messages)[:1], tokenize=False, add_generation_prompt=True)
    (prompt,) = encode_batch(tokenizer, [asked])
    assert made.ids.tolist()[: len(prompt)] == prompt


# Three templates that write a beginning of text themselves, and one that leaves it to the tokenizer.
@pytest.mark.parametrize("template", ["bos-twice", "llama-3", "gemma-3", "chatml"])
@pytest.mark.parametrize("is_rendered", [False, True])
def test_a_teacher_writes_and_a_released_student_answers_after_the_ids_that_are_trained(template, is_rendered, tmp_path):
    """The same prompt as a conversation, and as a text that somebody rendered: one beginning in training, writing and serving."""
    tokenizer = chat_tokenizer(TEMPLATES[template])
    turns = [{"role": "user", "content": "Name a tree."}, {"role": "assistant", "content": "Oak."}]
    asked = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    example = Example(item_id="e", prompt=asked, completion="Oak.") if is_rendered else Example(item_id="e", messages=tuple(turns))
    (learnt,) = tokenized([example], tokenizer, Distillation(max_length=4096)).examples
    (expected,) = encode_batch(tokenizer, [asked])
    trained = learnt.ids.tolist()[: learnt.counted.tolist().index(True)]
    # Blanks at the end of a prompt count as the answer's, as in lm-eval.
    assert expected[: len(trained)] == trained
    assert not tokenizer.decode(expected[len(trained) :]).strip()
    assert expected.count(tokenizer.bos_token_id) == 1
    tokenizer.save_pretrained(tmp_path)
    model = llama(len(tokenizer))
    model.save_pretrained(tmp_path)
    seen = []
    kept = Journal(tmp_path / "journal")
    term = TeacherText(kind="teacher_text", max_new_tokens=2)
    asks = asks_of(term, [Example(item_id="e", prompt=asked) if is_rendered else Example(item_id="e", messages=tuple(turns[:1]))], seed=0)
    write_locally(term, asks, tmp_path, kept, seed=0, progress=silent)
    assert kept[asks[0].key].input_tokens == len(expected)
    loaded = SimpleNamespace(model=model, tokenizer=tokenizer, processor=None, report=None)
    model.generate = lambda **given: seen.append(given["input_ids"][0].tolist()) or given["input_ids"]
    VerifiedPredictor(loaded).predict([asked], {"max_new_tokens": 2})
    assert seen == [expected]


def test_a_template_that_strips_reasoning_is_refused_with_the_items_name():
    with pytest.raises(InputError, match="leaves out part of the answer in message 2 of example thought"):
        render(_example("thought"), chat_tokenizer(TEMPLATES["deepseek-r1"]), loss_on="last")


def test_a_template_that_refuses_a_role_is_one_fault():
    with pytest.raises(InputError, match="refuses example system .*System role not supported"):
        render(_example("system"), chat_tokenizer(TEMPLATES["gemma-3"]), loss_on="last")


def test_tools_reach_the_text_and_a_call_without_content_is_learnt():
    made = render(_example("call"), chat_tokenizer(TEMPLATES["chatml-tools"]), loss_on="assistant_turns")
    assert made.text.startswith("<|im_start|>system\nTools: weather")
    first = made.text[slice(*made.spans[0])]
    assert first == '<tool_call>weather {"city": "Oslo"}</tool_call><|im_end|>'


def test_a_template_that_opens_a_thought_when_it_asks_is_told():
    """A student trained on answers without it is asked with it."""
    opened = {name: opened_when_asked(_example("one"), chat_tokenizer(text)) for name, text in TEMPLATES.items()}
    assert opened == {name: "<think>\n" if name == "deepseek-r1" else "" for name in TEMPLATES}


def test_two_turns_weigh_as_two_spans():
    tokenizer = chat_tokenizer(TEMPLATES["chatml"])
    recipe = Distillation(loss_on="assistant_turns", weighting="example")
    (made,) = tokenized([_example("turns")], tokenizer, recipe).examples
    batch = TokenCollator(pad_id=0, by_example=True)([(0, made)])
    assert batch["weights"].sum().item() == pytest.approx(1.0)
    assert (batch["weights"][0] > 0).sum().item() == made.counted.sum()


ROWS = [
    ({"text": "a"}, {"completion": "a"}),
    ({"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b"}),
    ({"instruction": "do", "input": "x", "output": "y"}, {"prompt": "do\n\nx\n\n", "completion": "y"}),
    ({"instruction": "do", "input": "", "output": "y"}, {"prompt": "do\n\n", "completion": "y"}),
    ({"text": "a", "text_pair": "b", "label": 0.5}, {"completion": "a", "second": "b", "label": 0.5}),
    ({"text": "a", "labels": [0, 1, 1]}, {"completion": "a", "label": (0.0, 1.0, 1.0)}),
    ({"text": "a", "label": "dog"}, {"completion": "a", "label": "dog"}),
]


@pytest.mark.parametrize(("row", "fields"), ROWS)
def test_the_shapes_people_keep_their_data_in(row, fields):
    assert dict(content_of(row).fields) == {"weight": 1.0, **fields}


def test_conversations_of_other_tools_come_to_messages():
    expected = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    for row in (
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
        {"prompt": "a", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ):
        assert content_of(row).fields["messages"] == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a", "tools": []}, "`tools`"),
        ({"prompt": "a", "completion": "b", "system": "s"}, "`system`"),
        ({"prompt": "a", "completion": "b", "reasoning": "r"}, "`reasoning`"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "`chosen`, `rejected`"),
        ({"messages": [{"role": "user", "content": "a"}]}, "ends in an assistant's answer"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}, "empty answer"),
        ({"text": "a", "prompt": "b"}, "both `text` and a pair"),
        ({"label": 1}, "needs `text`"),
        ([1], "not a JSON object"),
    ],
)
def test_content_that_would_not_be_learnt_from_is_refused(row, said):
    from kdgov.distillation.data.row_shapes import RowError

    with pytest.raises(RowError, match=said.replace("`", "`")):
        content_of(row)


def test_a_key_that_nobody_learns_from_is_counted_not_refused():
    assert list(content_of({"text": "a", "source": "web", "date": "2026"}).ignored) == ["date", "source"]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".csv", ".json"])
def test_every_format_gives_the_same_examples(suffix, tmp_path):
    import gzip

    import pandas as pd

    rows = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(3)]
    path = tmp_path / f"data{suffix}"
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    match suffix:
        case ".jsonl":
            path.write_text(lines)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case ".parquet":
            pd.DataFrame(rows).to_parquet(path)
        case ".csv":
            pd.DataFrame(rows).to_csv(path, index=False)
        case _:
            path.write_text(json.dumps(rows))
    assert [(e.prompt, e.completion) for e in read_examples([path])] == [(f"p{n}", f"c{n}") for n in range(3)]


def _marked(shape, *learnt):
    """Three answers, marked in one tool's way."""
    marks = {"openai": lambda m: {"weight": int(m)}, "axolotl": lambda m: {"train": m}, "swift": lambda m: {"loss": m}}
    if shape == "sharegpt":
        pairs = [
            ({"from": "human", "value": f"ask {n}"}, {"from": "gpt", "value": f"say {n}", "weight": int(m)}) for n, m in enumerate(learnt)
        ]
        return {"conversations": [turn for pair in pairs for turn in pair]}
    pairs = [
        ({"role": "user", "content": f"ask {n}"}, {"role": "assistant", "content": f"say {n}", **marks[shape](m)})
        for n, m in enumerate(learnt)
    ]
    return {"messages": [turn for pair in pairs for turn in pair]}


@pytest.mark.parametrize("shape", ["openai", "axolotl", "swift", "sharegpt"])
def test_a_turn_that_is_marked_as_not_learnt_is_not(shape):
    tokenizer = chat_tokenizer(TEMPLATES["chatml"])
    example = Example(item_id="m", **content_of(_marked(shape, True, False, True)).fields)
    made = render(example, tokenizer, loss_on="assistant_turns")
    learnt = [made.text[a:b] for a, b in made.spans]
    assert ["say 0" in learnt[0], "say 2" in learnt[1], len(learnt)] == [True, True, 2]
    assert "say 1" in made.text
    plain = Example(item_id="m", **content_of(_marked(shape, True, True, True)).fields)
    assert made.text == render(plain, tokenizer, loss_on="assistant_turns").text


@pytest.mark.parametrize("loss_on", ["last", "all", "assistant_turns"])
def test_marks_that_leave_nothing_or_cannot_be_kept_are_refused(loss_on):
    tokenizer = chat_tokenizer(TEMPLATES["chatml"])
    last = (True, False) if loss_on == "all" else (False, False)
    example = Example(item_id="m7", **content_of(_marked("openai", *last)).fields)
    with pytest.raises(InputError, match="example m7 marks"):
        render(example, tokenizer, loss_on=loss_on)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"content": "yes", "weight": 0.5}, "weight: 0.5"),
        ({"content": "yes", "train_detail": [{"begin_offset": 0}]}, "marks parts of a turn"),
        ({"content": [{"type": "text", "text": "yes"}, {"type": "image_url", "image_url": "x"}]}, r"no text \(image_url\)"),
    ],
)
def test_a_turn_that_cannot_be_learnt_as_it_is_meant_is_refused(turn, said):
    with pytest.raises(RowError, match=said):
        content_of({"messages": [{"role": "user", "content": "well?"}, {"role": "assistant", **turn}]})


@pytest.mark.parametrize(
    ("kept", "template", "said"),
    [
        ({"function_call": {"name": "look_up", "arguments": "{}"}}, "chatml", ""),
        ({"function_call": {"name": "look_up", "arguments": "{}"}}, "gemma-3", "'look_up' is not in the text"),
        ({"refusal": "I will not"}, "chatml", "'I will not' is not in the text"),
    ],
)
def test_what_an_older_answer_holds_reaches_the_text_or_is_refused(kept, template, said):
    answer = {"role": "assistant", "content": "well", **kept}
    example = Example(item_id="m8", **content_of({"messages": [{"role": "user", "content": "do"}, answer]}).fields)
    tokenizer = chat_tokenizer(TEMPLATES[template])
    if not said:
        made = render(example, tokenizer, loss_on="last")
        assert "look_up {}" in made.text[slice(*made.spans[0])]
        return
    with pytest.raises(InputError, match=f"leaves out part of the answer in message 2 of example m8: {said}"):
        render(example, tokenizer, loss_on="last")
