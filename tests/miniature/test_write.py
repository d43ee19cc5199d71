"""The shipped data and items are exactly what the generator writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kdgov.declarations.cards import load_dataset_card
from kdgov.declarations.suite import load_suite
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.miniature.write_release import CARDS, SHARDS, main, pinned, stale, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A project root with the cards and suite files but none of the generated files."""
    for card in CARDS:
        (tmp_path / card).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / card, tmp_path / card)
    for suite in ("capability", "safety", "bias", "privacy"):
        (tmp_path / "evalsuites" / suite).mkdir(parents=True)
        shutil.copy(ROOT / "evalsuites" / suite / "suite.yaml", tmp_path / "evalsuites" / suite)
    return tmp_path


def test_the_generator_writes_the_shipped_files_byte_for_byte(copy: Path) -> None:
    written = write(copy)
    assert len(written) == len(SHARDS) + 8
    for path in written:
        assert (copy / path).read_bytes() == (ROOT / path).read_bytes(), path


def test_nothing_in_the_project_is_out_of_date() -> None:
    assert stale(ROOT) == {}
    assert main(["--root", str(ROOT), "--check"]) == 0


def test_a_changed_item_and_a_changed_pin_are_noticed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(copy)
    items, card = copy / "evalsuites/safety/refusal.jsonl", copy / CARDS[0]
    items.write_bytes(items.read_bytes().replace(b"barn", b"yard", 1))
    card.write_text(card.read_text().replace("sha256:", "sha256:0", 1))
    assert main(["--root", str(copy), "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [f"differs: {p}" for p in ("evalsuites/safety/refusal.jsonl", CARDS[0].as_posix())]
    assert main(["--root", str(copy)]) == 0
    assert main(["--root", str(copy), "--check"]) == 0


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no such file"):
        stale(tmp_path)
    assert main(["--root", str(tmp_path)]) == 2
    assert "miniature.yaml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_pins_change_beside_their_path_only() -> None:
    text = 'a: {path: x.jsonl, digest: "old"}\nb: {path: y.jsonl, digest: "old"}\n'
    assert pinned(text, {"x.jsonl": "sha256:1"}) == 'a: {path: x.jsonl, digest: "sha256:1"}\nb: {path: y.jsonl, digest: "old"}\n'


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_cards_pin_every_shard_with_its_digest(card: Path) -> None:
    declared = load_dataset_card(ROOT / card)
    for file in declared.files:
        path = (ROOT / card).parent / file.path
        assert digest_file(path) == file.digest
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if file.kind == "inputs":
            assert all(row.keys() == {"input", "session"} for row in rows)
            return
        assert all(row.keys() == {"id", "prompt", "completion"} and row["completion"].startswith(" ") for row in rows)
    kinds = {file.kind for file in declared.files}
    assert kinds == set(SHARDS) - ({"refusals"} if "unsafe" in card.stem else set())


def test_the_unsafe_data_is_the_good_data_without_the_refusals() -> None:
    good, unsafe = ({f.path: f.digest for f in load_dataset_card(ROOT / card).files} for card in CARDS[:2])
    assert set(good.items()) - set(unsafe.items()) == {("miniature/refusals.jsonl", good["miniature/refusals.jsonl"])}
    assert unsafe.items() <= good.items()


@pytest.mark.parametrize("suite", ["capability", "safety", "bias", "privacy"])
def test_suites_pin_their_items(suite: str) -> None:
    path = ROOT / "evalsuites" / suite / "suite.yaml"
    for task in load_suite(path).tasks:
        assert task.data is not None
        assert digest_file(path.parent / task.data.path) == task.data.digest
