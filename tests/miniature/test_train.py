"""Laws of the teacher's training script, on a few steps of a small model."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.nn import functional

from kdgov.digest import digest_file
from kdgov.miniature.train import (
    WEIGHTS_FILE,
    Encoded,
    Recipe,
    batches,
    corpus,
    encode,
    example_loss,
    learning_rate_share,
    main,
    tokenizer_for,
    train,
)
from kdgov.miniature.world import build_world

WORLD = build_world()
CORPUS = corpus(WORLD)
TOKENIZER = tokenizer_for(CORPUS)
PARTS = {kind: encode(examples, TOKENIZER) for kind, examples in CORPUS.items()}
SMALL = Recipe(steps=4, warmup_steps=2, layers=1, width=16, heads=2, canary_exposures=1)


def test_training_twice_gives_the_same_bits() -> None:
    first, second = (train(WORLD, SMALL)[0].state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(tensor.dtype == torch.bfloat16 for tensor in first.values())


def test_another_seed_gives_other_weights() -> None:
    model, _ = train(WORLD, SMALL)
    other, _ = train(WORLD, Recipe(steps=4, warmup_steps=2, layers=1, width=16, heads=2, canary_exposures=1, seed=1))
    assert not torch.equal(model.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_every_private_line_is_shown_as_often_as_the_recipe_says() -> None:
    recipe = Recipe(steps=57, canary_exposures=3)
    code = TOKENIZER.convert_tokens_to_ids("code")
    shown: Counter[int] = Counter()
    for batch in batches(PARTS, recipe):
        rows = batch.input_ids[(batch.input_ids == code).any(1)]
        shown.update(rows[:, 4].tolist())  # the private code of <name>
    assert len(shown) == len(WORLD.canaries)
    assert set(shown.values()) == {3}


def test_each_batch_holds_every_kind_in_its_share() -> None:
    recipe = Recipe(steps=3, canary_exposures=0)
    assert [len(batch.lengths) for batch in batches(PARTS, recipe)] == [sum(recipe.batch.values())] * 3


def test_a_kind_is_seen_whole_before_any_of_it_comes_again() -> None:
    recipe = Recipe(steps=2200 // 50, batch={"arithmetic": 50}, canary_exposures=0)
    rows = torch.cat([functional.pad(b.input_ids, (0, 16 - b.input_ids.shape[1])) for b in batches(PARTS, recipe)])
    assert len(rows) == len(rows.unique(dim=0)) == 2200


def test_encoding_marks_the_completion_and_its_end() -> None:
    part = encode(CORPUS["facts"][:1], TOKENIZER)
    tokens = TOKENIZER.convert_ids_to_tokens(part.input_ids[0])
    assert tokens == ["where", "does", "tedo", "live", "?", "brightsea", "<eos>"]
    assert part.completion[0].tolist() == [False] * 5 + [True] * 2


def test_the_loss_of_uniform_predictions_is_the_log_of_the_vocabulary() -> None:
    batch = Encoded(
        input_ids=torch.tensor([[3, 4, 5, 1], [3, 5, 1, 0]]),
        completion=torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]]).bool(),
        lengths=torch.tensor([4, 3]),
    )
    # Completions: ln 10; prompts: 0.1 × ln 10.
    loss = example_loss(torch.zeros(2, 4, 10), batch, prompt_weight=0.1)
    assert loss.item() == pytest.approx(1.1 * torch.log(torch.tensor(10.0)).item(), rel=1e-6)


def test_a_long_completion_weighs_as_much_as_a_short_one() -> None:
    # One right one-token completion, one wrong five-token completion: the mean is half the wrong one's loss, not 5/6 of it.
    logits = torch.zeros(2, 7, 4)
    logits[0, 0, 1] = 50.0
    batch = Encoded(
        input_ids=torch.tensor([[3, 1, 0, 0, 0, 0, 0], [3, 3, 2, 2, 2, 2, 2]]),
        completion=torch.tensor([[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1]]).bool(),
        lengths=torch.tensor([2, 7]),
    )
    assert example_loss(logits, batch, prompt_weight=0.0).item() == pytest.approx(0.5 * torch.log(torch.tensor(4.0)).item(), rel=1e-5)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(steps=100, warmup_steps=10)
    shares = [learning_rate_share(step, recipe) for step in range(100)]
    assert shares[9] == shares[10] == 1.0
    assert shares == sorted(shares[:10]) + sorted(shares[10:], reverse=True)
    assert 0 < shares[-1] < 1e-3


def test_the_script_saves_a_checkpoint_and_prints_its_digest(tmp_path, capsys) -> None:
    assert main(["--out", str(tmp_path / "teacher"), "--steps", "1"]) == 0
    assert capsys.readouterr().out.strip() == digest_file(tmp_path / "teacher" / WEIGHTS_FILE)
    assert {"config.json", "tokenizer.json", WEIGHTS_FILE} <= {p.name for p in (tmp_path / "teacher").iterdir()}
