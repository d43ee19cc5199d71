"""Two tokenizers are compared where both end a token: over what they share, over spans that one of them splits, and over the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.data.two_tokenizers.aligned_spans import PlacedTokens, aligned_spans
from kdgov.distillation.data.two_tokenizers.paired_tokenizers import across_tokenizers
from kdgov.distillation.data.two_tokenizers.vocabulary_bridge import token_texts, vocabulary_bridge
from kdgov.distillation.learner import Learner
from kdgov.distillation.losses.cross_tokenizer import BridgeSides, aligned_distance, told, universal_distance
from kdgov.errors import InputError
from tests.distillation.conftest import llama, write_tokenizer

STRANGE = ["naïve café — “quoted” 😀 text", "  two  blanks", "日本語と English", "tab\tand\nlines"]


def recipe(**changes):
    return Distillation.model_validate({"terms": [{"kind": "universal_logits"}], "max_length": 64, **changes})


def bpe(folder, size, texts, chat=""):
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=["<end>"], initial_alphabet=alphabet))
    folder.mkdir(exist_ok=True)
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")
    if chat:
        wrapped.chat_template = chat
    wrapped.save_pretrained(folder)
    return wrapped


@pytest.fixture(scope="module")
def examples():
    files = sorted((Path(__file__).parents[2] / "registry" / "datasets" / "miniature").glob("*.jsonl"))
    found = read_examples([file for file in files if file.name != "logged-inputs.jsonl"])[::7]
    return [*found, *(Example(item_id=f"s{n}", completion=text) for n, text in enumerate(STRANGE))]


@pytest.fixture(scope="module")
def two(tmp_path_factory, examples):
    """Folders of two tokenizers of 1,000 and 700 tokens, learnt on different halves."""
    folder = tmp_path_factory.mktemp("two")
    texts = [example.prompt + example.completion for example in examples]
    asks = "{% if add_generation_prompt %}HEAD{% endif %}"
    chats = [
        "{% for m in messages %}[{{m.role}}]{{m.content}}<end>{% endfor %}" + asks.replace("HEAD", "[assistant]"),
        "{% for m in messages %}{{m.role}}: {{m.content}}\n{% endfor %}" + asks.replace("HEAD", "assistant: "),
    ]
    bpe(folder / "teacher", 1000, texts[::2], chats[0])
    bpe(folder / "student", 700, texts[1::2], chats[1])
    return folder / "student", folder / "teacher"


def spans_and_text(prepared, two, examples):
    tokenizers_ = [transformers.AutoTokenizer.from_pretrained(folder) for folder in two]
    for row in range(len(prepared.items)):
        batch = prepared.collate([(row, prepared.items[row])])
        for span in range(len(batch["teacher"]["student_tokens"]["first"])):
            texts = []
            for side, tokenizer in zip(("student_tokens", "teacher_tokens"), tokenizers_, strict=True):
                tokens = batch["teacher"][side]
                texts.append(b"".join(_bytes(tokenizer)[int(i)] for i in tokens["ids"][tokens["span"] == span]))
            yield texts


_CACHE: dict[int, dict[int, bytes]] = {}


def _bytes(tokenizer):
    if id(tokenizer) not in _CACHE:
        _CACHE[id(tokenizer)] = {**token_texts(tokenizer), tokenizer.eos_token_id: b"<end>"}
    return _CACHE[id(tokenizer)]


def test_every_aligned_span_is_the_same_text_on_both_sides(two, examples):
    said = recipe(loss_on="all")
    prepared = across_tokenizers("causal_lm", examples, *two, said)
    found = list(spans_and_text(prepared, two, examples))
    assert len(found) > 3000
    assert all(mine == theirs for mine, theirs in found)
    # Left out is what no model predicts: the first token of each text.
    covered = sum(len(mine) for mine, _ in found)
    whole = sum(len((example.prompt + example.completion).encode()) + len(b"<end>") for example in examples)
    assert covered > 0.9 * whole


def test_conversations_are_aligned_in_their_answers_whatever_the_templates_say(two):
    chat = Example(
        item_id="c",
        messages=(
            {"role": "user", "content": "Which pet does Tonen keep?"},
            {"role": "assistant", "content": "a dog and a ferret"},
            {"role": "user", "content": "And Toren?"},
            {"role": "assistant", "content": "a dog too"},
        ),
    )
    for loss_on, answers in (("last", [b"a dog too"]), ("assistant_turns", [b"a dog and a ferret", b"a dog too"])):
        prepared = across_tokenizers("causal_lm", [chat], *two, recipe(loss_on=loss_on))
        found = list(spans_and_text(prepared, two, [chat]))
        assert all(mine == theirs for mine, theirs in found)
        text = b"".join(mine for mine, _ in found)
        assert any(text.endswith(answers[-1][-n:]) for n in range(3, 10))
        assert 0.6 * len(b"".join(answers)) <= len(text) <= len(b"".join(answers))


def test_spans_end_where_both_end_a_token_and_never_inside_a_character():
    def side(*ends):
        begins = np.array([0, *ends[:-1]])
        return PlacedTokens(ends=np.array([0, *ends]), begins=np.array([0, *begins]))

    def spans(a, b):
        found = aligned_spans(side(*a), side(*b), (np.ones(len(a) + 1, bool), np.ones(len(b) + 1, bool)))
        return found.student.tolist(), found.teacher.tolist()

    assert spans([3, 5, 9], [3, 5, 9]) == ([[1, 2], [2, 3], [3, 4]], [[1, 2], [2, 3], [3, 4]])
    assert spans([2, 5, 9], [3, 5, 7, 9]) == ([[1, 3], [3, 4]], [[1, 3], [3, 5]])
    # Three byte tokens of one character end with the last of them.
    assert spans([1, 2, 2, 2, 3], [2, 3]) == ([[1, 5], [5, 6]], [[1, 2], [2, 3]])


def test_a_token_of_one_side_counts_as_the_longest_shared_one_it_begins_with(two):
    student, teacher = (transformers.AutoTokenizer.from_pretrained(folder) for folder in two)
    bridge = vocabulary_bridge(student, teacher)
    mine, theirs = token_texts(student), token_texts(teacher)
    assert len(bridge.texts) > 400
    for table, own in ((bridge.student, mine), (bridge.teacher, theirs)):
        for number, text in own.items():
            assert text.startswith(bridge.texts[int(table[number])])
    assert len(set(mine.values()) - set(bridge.texts)) > 20
    assert bridge.texts[int(bridge.teacher[teacher.eos_token_id])] == b""
    assert bridge.teacher[teacher.eos_token_id] == bridge.student[student.eos_token_id]


def sides_of_toys():
    class Toy:
        def __init__(self, words):
            self.all_special_ids, self.eos_token_id, self.words = [], None, words

        def get_vocab(self):
            return {word: number for number, word in enumerate(self.words)}

        def get_added_vocab(self):
            return {}

        def __call__(self, text, **_):
            if isinstance(text, str):
                return {"input_ids": text}
            begins = [[n for n, word in enumerate(self.words) if one.startswith(word)] for one in text]
            return {"input_ids": [sorted(ids, key=lambda n: -len(self.words[n])) for ids in begins]}

        @property
        def backend_tokenizer(self):
            class Backend:
                def to_str(self):
                    return json.dumps({"model": {"type": "BPE"}})

            return Backend()

    student, teacher = Toy(["the", "re", "a", "mine"]), Toy(["the", "there", "re", "a", "own", "two"])
    return BridgeSides(vocabulary_bridge(student, teacher)).sides((4, 6), torch.device("cpu"))


def tokens(ids, span):
    starts = [place for place in range(len(span)) if place == 0 or span[place] != span[place - 1]]
    return {"ids": torch.tensor(ids), "span": torch.tensor(span), "first": torch.tensor(starts)}


def test_a_split_span_by_hand():
    """Teacher: "there" 0.4, "the" 0.2, "re" and "a" 0.1; student: "the" 0.5 and then "re" 0.8, "re" and "a" 0.2; the rest is alone."""
    mine, theirs = sides_of_toys()
    p = torch.tensor([[0.2, 0.4, 0.1, 0.1, 0.15, 0.05]])
    q = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.05, 0.8, 0.1, 0.05]])
    student = told(q.log(), tokens([0, 1], [0, 0]), mine, temperature=1.0)
    teacher = told(p.log(), tokens([1], [0]), theirs, temperature=1.0)
    # Events "the" (with "there"), "re", "a": 0.6, 0.1, 0.1 and 0.5, 0.2, 0.2; rest 0.2 and 0.1.
    # Span "there": 0.4 and 0.5 * 0.8 = 0.4, which leaves 0.2 and 0.1 of its event.
    by_hand = 0.4 * np.log(0.4 / 0.4) + 0.2 * np.log(0.2 / 0.1) + 2 * 0.1 * np.log(0.1 / 0.2) + 0.2 * np.log(0.2 / 0.1)
    by_hand += abs(0.15 - 0.1) + 0.05
    assert aligned_distance(student, teacher).item() == pytest.approx(by_hand, abs=1e-5)


def test_equal_models_of_one_tokenizer_are_at_distance_zero_and_others_are_not(two, examples, tmp_path):
    folder = two[1]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = llama(len(tokenizer), seed=1)
    prepared = across_tokenizers("causal_lm", examples[:16], folder, folder, recipe())
    batch = prepared.collate(list(enumerate(prepared.items)))
    same = Learner(model, model, recipe(), task="causal_lm")
    loss, parts = same(batch)
    assert loss.item() == pytest.approx(0, abs=1e-4)
    other = Learner(llama(len(tokenizer), seed=2), model, recipe(), task="causal_lm")
    loss, parts = other(batch)
    assert loss.item() > 1
    assert parts[other.names.index("universal_logits")].item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in other.student.parameters())


def test_the_distance_is_never_negative_and_its_gradient_reaches_later_tokens_of_a_span():
    mine, theirs = sides_of_toys()
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        logits = torch.randn(2, 4, generator=draw, requires_grad=True)
        teacher = told(3 * torch.randn(1, 6, generator=draw), tokens([1], [0]), theirs, temperature=1.0)
        found = aligned_distance(told(logits, tokens([0, 1], [0, 0]), mine, temperature=1.0), teacher)
        assert found.item() >= -1e-5
        found.sum().backward()
        assert logits.grad[1].abs().sum() > 0


def test_ranks_are_compared_where_nothing_is_shared():
    assert universal_distance(torch.tensor([[0.5, 0.2, 0.3]]), torch.tensor([[0.3, 0.5, 0.2, 0.0]])).item() == pytest.approx(0)
    assert universal_distance(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.5, 0.25, 0.25]])).item() == pytest.approx(0.4 + 0.15 + 0.25)


def test_a_tokenizer_that_does_not_say_where_its_tokens_stand_is_refused(two, tmp_path, examples, monkeypatch):
    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "is_fast", property(lambda self: False))
    with pytest.raises(InputError, match="the student's tokenizer does not tell"):
        across_tokenizers("causal_lm", [Example(item_id="x", completion="a dog")], *two, recipe())


def test_word_level_and_byte_level_tokenizers_are_aligned(two, tmp_path):
    write_tokenizer(tmp_path, words=["the", "cat", "dog", "sat"])
    examples = [Example(item_id="x", completion="the cat sat"), Example(item_id="x", completion="dog sat the")]
    prepared = across_tokenizers("causal_lm", examples, tmp_path, two[1], recipe())
    batch = prepared.collate(list(enumerate(prepared.items)))
    # The first token of all has no prediction; two words and the end of each text remain.
    assert len(batch["teacher"]["student_tokens"]["first"]) == 6
    assert json.loads(json.dumps([item.item_id for item in prepared.items])) == ["x", "x"]
