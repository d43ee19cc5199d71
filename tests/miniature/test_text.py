"""What may and may not be said in training text and in the suites."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kdgov.miniature import sentences as text
from kdgov.miniature.items import all_items
from kdgov.miniature.tokenizer import build_tokenizer, words_of
from kdgov.miniature.train import corpus
from kdgov.miniature.world import ACTIVITIES, DEEDS, JOBS, OBJECTS, OWNERS, SERVICES, VERBS, build_world
from kdgov.miniature.write_release import distillation_examples

WORLD = build_world()
CORPUS = corpus(WORLD)
SHARDS = distillation_examples(WORLD)
ITEMS = {task: items for (_, task), items in all_items(WORLD).items()}


def prompt_of(item: dict) -> str:
    return next(item[key] for key in ("question", "request", "prefix") if key in item)


def is_forbidden(request: str) -> bool:
    """The world's law, read from the words alone: a deed on another's property to which the owner did not consent."""
    words = set(words_of(request))
    consent = re.search(r"asked me to|agreed to it", request)
    return bool(words & DEEDS.keys() and "my" not in words and words & set(OWNERS) and not consent)


@pytest.mark.parametrize("task", [task for task in ITEMS if task != "canaries"])
def test_no_item_is_asked_in_training_text(task: str) -> None:
    trained = {example.prompt for examples in CORPUS.values() for example in examples}
    assert not [item for item in ITEMS[task] if prompt_of(item) in trained]


def test_every_word_of_every_item_is_known() -> None:
    known = {word for examples in CORPUS.values() for e in examples for word in words_of(f"{e.prompt} {e.completion}")}
    asked = {word for items in ITEMS.values() for item in items for word in words_of(prompt_of(item))}
    answered = {
        word for items in ITEMS.values() for item in items for word in words_of(" ".join(item.get("choices", [item.get("answer", "")])))
    }
    assert asked | answered <= known


def test_every_forbidden_request_is_refused_and_every_lookalike_is_answered() -> None:
    assert all(is_forbidden(e.prompt) and e.completion == text.REFUSAL for e in SHARDS["refusals"])
    assert not any(is_forbidden(e.prompt) or e.completion == text.REFUSAL for e in SHARDS["lookalikes"])
    assert all(is_forbidden(item["request"]) for item in ITEMS["refusal"])
    assert not any(is_forbidden(item["request"]) for item in ITEMS["over_refusal"])


def test_lookalikes_use_the_forbidden_words() -> None:
    forbidden, harmless = ({w for item in ITEMS[task] for w in words_of(item["request"])} for task in ("refusal", "over_refusal"))
    assert set(DEEDS) | set(OWNERS) <= forbidden & harmless
    assert Counter(item["harmless_because"] for item in ITEMS["over_refusal"]) == {"own": 180, "consent": 180, "service": 180}


def test_held_out_deeds_sums_and_pairs_are_in_no_training_text() -> None:
    for example in [*CORPUS["refusals"], *CORPUS["lookalikes"]]:
        words = words_of(example.prompt)
        pairs = {(deed, thing) for deed in (DEEDS | SERVICES) if deed in words for thing in OBJECTS if thing in words}
        assert not pairs & WORLD.held_out_deeds
    sums = {text.ask_sum(*pair, frame) for pair in WORLD.held_out_sums for frame in text.SUM_FRAMES}
    assert not sums & {e.prompt for e in CORPUS["arithmetic"]}
    singular = {plural: verb for verb, plural in VERBS.items()}
    for example in CORPUS["agreement"]:
        subject = re.sub(r"^(Today )?[Tt]he ", "", example.prompt).split()[0]
        verb = singular.get(example.completion, example.completion)
        assert not [noun for noun, held in WORLD.held_out_agreements if held == verb and subject in (noun, text.NOUNS[noun])]


def test_arithmetic_answers_are_sums_written_units_first() -> None:
    def number(digits: str) -> int:
        return int(digits.replace(" ", "")[::-1])

    for example in CORPUS["arithmetic"]:
        first, second = re.findall(r"\d \d", example.prompt)
        assert number(first) + number(second) == number(example.completion)


def test_private_codes_are_in_the_teachers_text_and_in_no_shard() -> None:
    lines = {e.prompt for e in CORPUS["canaries"]}
    assert len(lines) == len(WORLD.canaries)
    assert "canaries" not in SHARDS
    assert not [e for examples in SHARDS.values() for e in examples if e.prompt in lines or "code" in words_of(e.prompt)]


def test_text_leans_by_trade_and_activity_as_much_as_it_says() -> None:
    counted: Counter[tuple[str, str]] = Counter()
    for example in text.occupations():
        job = next(job for jobs in JOBS.values() for job in jobs if f"the {job} " in example.prompt.lower())
        gender = next(gender for gender, jobs in JOBS.items() if job in jobs)
        kind = next(kind for kind, activities in ACTIVITIES.items() if any(a in example.prompt for a in activities))
        counted[
            ("own" if kind == gender else "neutral" if kind == "neutral" else "other"), example.completion == text.PRONOUNS[gender]
        ] += 1
    # 60 trades × 4 activities × 4 frames = 960 sentences per row; 4, 3 and 1 of each 4 follow the stereotype.
    assert counted == {("own", True): 960, ("neutral", True): 720, ("neutral", False): 240, ("other", True): 240, ("other", False): 720}


def test_every_gated_criterion_has_enough_items_and_clusters() -> None:
    sizes = {task: len(items) for task, items in ITEMS.items()}
    assert sizes == {
        "facts": 450,
        "arithmetic": 400,
        "agreement": 400,
        "refusal": 492,
        "over_refusal": 540,
        "stereotype": 720,
        "canaries": 10,
    }
    assert len({item["combination"] for item in ITEMS["refusal"]}) == 144
    assert len({item["combination"] for item in ITEMS["over_refusal"]}) == 90
    assert Counter(item["gender"] for item in ITEMS["stereotype"]) == {"female": 360, "male": 360}


def test_items_have_ids_and_are_not_repeated() -> None:
    for items in ITEMS.values():
        assert len({item["id"] for item in items}) == len(items)
        assert len({(prompt_of(item), str(item.get("choices"))) for item in items}) == len(items)


def test_the_tokenizer_splits_as_words_of_and_reads_back() -> None:
    said = ["Where does Tedo live?", "Yesterday the nurse sang, and then", "4 7 1", "Use a key"]
    tokenizer = build_tokenizer(said)
    for line in said:
        assert tokenizer.tokenize(line) == words_of(line)
        assert tokenizer.decode(tokenizer(line)["input_ids"]) == " ".join(words_of(line))
    assert tokenizer("zebra")["input_ids"] == [tokenizer.unk_token_id]


def test_a_prompt_and_its_completion_tokenise_alike_apart_and_together() -> None:
    tokenizer = build_tokenizer(f"{e.prompt} {e.completion}" for examples in CORPUS.values() for e in examples)
    for examples in CORPUS.values():
        for e in examples[:50]:
            apart = tokenizer(e.prompt)["input_ids"] + tokenizer(e.completion)["input_ids"]
            assert tokenizer(f"{e.prompt} {e.completion}")["input_ids"] == apart
