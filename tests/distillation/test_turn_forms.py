"""Turns in the forms people keep them in: learnt as they are meant under every template, or refused; never written as something else."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdgov.distillation.data.conversation import render
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.data.row_shapes import content_of
from kdgov.distillation.data.turns import RowError
from tests.distillation.chat_templates import TEMPLATES, chat_tokenizer

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]}
CALL = {"name": "w", "arguments": '{"city": "Oslo"}'}
ARGUMENTS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}{{ WRITTEN }}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
LISTED = (
    "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}<{{ p.text }}>{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
EITHER = LISTED.replace(
    "{% for p in m.content %}", "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}", 1
).replace("{% endfor %}</s>", "{% endfor %}{% endif %}</s>", 1)


def made(row, template=TEMPLATES["chatml"], loss_on="last"):
    example = Example(item_id="x", **content_of(row).fields)
    done = render(example, chat_tokenizer(template), loss_on=loss_on)
    return done.text, [done.text[start:end] for start, end in done.spans]


@pytest.mark.parametrize("names", [("human", "gpt"), ("User", "Assistant"), ("user", "model"), ("user ", "ASSISTANT"), ("human", "bard")])
def test_roles_by_other_names_are_the_roles_that_templates_know(names):
    usual = made({"messages": [USER, ANSWER, USER, ANSWER]}, loss_on="assistant_turns")
    turns = list(zip(names * 2, ("Hi", "Yes") * 2, strict=True))
    assert made({"messages": [{"role": role, "content": said} for role, said in turns]}, loss_on="assistant_turns") == usual
    assert made({"conversations": [{"from": role, "value": said} for role, said in turns]}, loss_on="assistant_turns") == usual


def test_a_conversation_may_begin_with_an_answer():
    text, learnt = made({"messages": [{"role": "assistant", "content": "Welcome"}, USER, ANSWER]})
    assert "Welcome" in text
    assert learnt == ["Yes<|im_end|>"]
    assert made({"messages": [{"role": "assistant", "content": "Welcome"}, USER, ANSWER]}, loss_on="assistant_turns")[1] == [
        "Welcome<|im_end|>",
        "Yes<|im_end|>",
    ]


def test_text_in_parts_is_text_where_a_template_knows_no_parts():
    for answer in (ANSWER, {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]}):
        text, learnt = made({"messages": [PARTS, answer]})
        assert "<|im_start|>user\nHi there<|im_end|>" in text
        assert learnt == ["Yes<|im_end|>"]
    one = {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]}
    assert "[user]Hi there</s>" in made({"messages": [PARTS, one]}, EITHER)[0]
    assert made({"messages": [PARTS, one]}, LISTED) == ("[user]<Hi ><there></s>[assistant]<Yes></s>", ["<Yes></s>"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("c.function.arguments | tojson", '{"city": "Oslo"}'),
        ("c.function.arguments", '{"city": "Oslo"}'),
        ('c.function.name ~ "\\n" + c.function.arguments', 'w\n{"city": "Oslo"}'),
        ("c.function.arguments.city", "Oslo"),
    ],
)
@pytest.mark.parametrize("form", [str, json.loads], ids=["text", "object"])
def test_arguments_of_a_call_are_written_once_as_json_whatever_their_form(written, said, form):
    call = {"type": "function", "function": {**CALL, "arguments": form(CALL["arguments"])}}
    row = {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "sun"}, ANSWER]}
    if written.endswith("city"):
        row["messages"][1]["content"] = "w"
    template = ARGUMENTS.replace("WRITTEN", f'"w " ~ ({written})')
    text, learnt = made(row, template, loss_on="assistant_turns")
    assert f"w {said}</s>" in text
    assert learnt[0].endswith(f"{said}</s>")


def test_calls_of_older_formats_are_calls():
    called, tool = {"role": "assistant", "content": None}, {"name": "w"}
    new = [USER, {**called, "tool_calls": [{"type": "function", "function": CALL}]}, {"role": "tool", "content": "sun"}, ANSWER]
    usual = made({"messages": new, "tools": [{"type": "function", "function": tool}]})
    old = [USER, {**called, "function_call": CALL}, {"role": "function", "content": "sun"}, ANSWER]
    assert made({"messages": old, "functions": [tool]}) == usual
    said = json.dumps({**CALL, "arguments": {"city": "Oslo"}})
    turns = [("human", "Hi"), ("function_call", said), ("observation", "sun"), ("gpt", "Yes")]
    rows = [{"from": who, "value": words} for who, words in turns]
    assert made({"conversations": rows, "tools": '[{"name": "w"}]'})[1] == usual[1]


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        ({"role": "assistant", "content": 5}, "content is 5, no text"),
        ({"role": "user", "content": {"x": 1}}, "no text"),
        ({"role": "user", "content": None}, "a user message whose content is null"),
        ({"role": "system", "content": None}, "a system message whose content is null"),
        ({"role": "user", "content": "see", "images": ["1.png"]}, "a message with `images`"),
        ({"from": "function_call", "value": "call it"}, "is text that is not JSON"),
        ({"from": "function_call", "value": "{}"}, "tool calls that are no list, or one without a name"),
        ({"role": "assistant", "content": "", "tool_calls": {"function": CALL}}, "tool calls that are no list"),
        ({"role": "assistant", "content": "", "tool_calls": [{"function": {"arguments": {}}}]}, "one without a name"),
        ({"from": "narrator", "value": "x"}, "has a turn from 'narrator'"),
    ],
)
def test_what_a_template_would_write_as_something_else_is_refused(turn, what):
    with pytest.raises(RowError, match=what):
        content_of({"messages": [turn, USER, ANSWER]})


def test_keys_that_other_rows_of_a_table_have_are_not_shown(tmp_path):
    rows = [
        {"messages": [USER, {**ANSWER, "tool_calls": [{"function": {"name": "w", "arguments": arguments}}]}],
         "tools": [{"name": "w", "parameters": {"properties": arguments}}]}
        for arguments in ({"city": "Oslo"}, {"day": "Monday"})
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    found = read_examples([tmp_path / "x.parquet"])
    assert [json.loads(json.dumps([list(one.messages), list(one.tools)])) for one in found] == [
        json.loads(json.dumps([list(Example(item_id="x", **content_of(row).fields).messages), row["tools"]])) for row in rows
    ]
