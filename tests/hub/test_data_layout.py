"""Which files of a repository an entry means: held against the `datasets` library, and every refusal by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kdgov.declarations.data_parts.hub_data import HubData, named_by
from kdgov.errors import InputError
from kdgov.hub.data_layout import chosen_files

LAYOUTS: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "shards": (
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet", "README.md"],
        {"train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], "test": ["data/test-00000-of-00001.parquet"]},
    ),
    "own split names": (["data/easy-00000-of-00001.parquet"], {"easy": ["data/easy-00000-of-00001.parquet"]}),
    "files by name": (
        ["train.jsonl", "dev.jsonl", "test.jsonl", "LICENSE"],
        {"train": ["train.jsonl"], "validation": ["dev.jsonl"], "test": ["test.jsonl"]},
    ),
    "words within names": (
        ["my-training-set.csv.gz", "the.eval.csv.gz", "pretrained.csv.gz"],
        {"train": ["my-training-set.csv.gz"], "test": ["the.eval.csv.gz"]},
    ),
    "folders": (
        ["a/train/x.jsonl", "a/valid/y.jsonl", ".hidden/train/z.jsonl"],
        {"train": ["a/train/x.jsonl"], "validation": ["a/valid/y.jsonl"]},
    ),
    "no split": (["b.json", "c.json", "__pycache__/d.json", "dataset_infos.json"], {"train": ["b.json", "c.json"]}),
    "a licence beside it": (["LICENSE.txt", "rows.jsonl"], {"train": ["rows.jsonl"]}),
    "most common format": (["a.csv", "b.csv", "notes.txt"], {"train": ["a.csv", "b.csv"]}),
}


def entry(**keys: str) -> HubData:
    return HubData.model_validate({"hub": "me/facts", "revision": "0" * 40, **keys})


def read(names: list[str], card: Mapping[str, Any] | None = None, **keys: str) -> list[str]:
    return list(chosen_files(names, card or {}, entry(**keys), where="release.yaml").files)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_is_read_as_the_library_reads_it(name: str) -> None:
    names, splits = LAYOUTS[name]
    assert {split: read(names, split=split) for split in splits} == splits


@pytest.mark.nightly
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_library_reads_the_same_layouts_alike(name: str, tmp_path: Path) -> None:
    data_files = pytest.importorskip("datasets.data_files")
    names, splits = LAYOUTS[name]
    for file in names:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    patterns = data_files.get_data_patterns(str(tmp_path))
    assert set(patterns) == set(splits)
    kinds = [os.path.splitext(file.removesuffix(".gz"))[1] for file in splits[next(iter(splits))]]
    for split, own in patterns.items():
        found = data_files.DataFilesList.from_patterns(own, base_path=str(tmp_path), allowed_extensions=kinds)
        assert sorted(os.path.relpath(file, tmp_path) for file in found) == sorted(splits[split])


CARD = {
    "configs": [
        {"config_name": "small", "data_files": [{"split": "train", "path": ["s/*.jsonl"]}, {"split": "test", "path": "t.jsonl"}]},
        {"config_name": "large", "data_dir": "l", "default": True},
        {"config_name": "plain", "data_files": "p.csv"},
        {"config_name": "mapped", "data_files": {"train": "m/*.csv", "held": ["h.csv"]}},
    ]
}
NAMES = ["s/1.jsonl", "s/2.jsonl", "t.jsonl", "l/train.jsonl", "l/test.jsonl", "p.csv", "m/1.csv", "h.csv"]


def test_configurations_of_the_card_say_what_is_meant() -> None:
    assert read(NAMES, CARD) == ["l/train.jsonl"]
    assert read(NAMES, CARD, config="small") == ["s/1.jsonl", "s/2.jsonl"]
    assert read(NAMES, CARD, config="small", split="test") == ["t.jsonl"]
    assert read(NAMES, CARD, config="plain") == ["p.csv"]
    assert read(NAMES, CARD, config="mapped", split="held") == ["h.csv"]
    assert read(NAMES, CARD, name="small") == ["s/1.jsonl", "s/2.jsonl"]
    assert read(NAMES, CARD, files="l/*.jsonl") == ["l/test.jsonl", "l/train.jsonl"]
    assert read(NAMES, CARD, config="small", files="*/2.jsonl") == ["s/2.jsonl"]


@pytest.mark.parametrize(
    ("names", "keys", "what", "mend"),
    [
        (["facts.py", "data.jsonl"], {}, "a script of its own, facts.py; no code of a data set is run", "`files:`"),
        (["train.jsonl"], {"split": "dev"}, "no split 'dev'", "train"),
        (["train.jsonl"], {"config": "big"}, "no configuration 'big'", "`config:`"),
        (["train.jsonl"], {"files": "*.csv"}, "names no file", "pattern"),
        (["train.jsonl"], {"files": "a**b"}, "no pattern of files", "data/*.parquet"),
        (["data/train.arrow"], {}, "a format that is not read", "Parquet"),
        (["shard-000.tar"], {}, "a format that is not read", "Parquet"),
        (["README.md"], {}, "no data file", "JSON lines"),
        (["easy.jsonl"] * 0, {}, "it is empty", ""),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(names: list[str], keys: dict[str, str], what: str, mend: str) -> None:
    with pytest.raises(InputError) as refused:
        read(names, **keys)
    assert what in str(refused.value)
    assert mend in refused.value.mend


def test_several_configurations_or_splits_have_to_be_named() -> None:
    card = {"configs": [{"config_name": name, "data_files": f"{name}.csv"} for name in ("a", "b")]}
    with pytest.raises(InputError, match="configurations a, b"):
        read(["a.csv", "b.csv"], card)
    with pytest.raises(InputError, match="splits easy, hard"):
        read(["data/easy-00000-of-00001.csv", "data/hard-00000-of-00001.csv"])
    # Whoever is judged is judged on a split that somebody named.
    with pytest.raises(InputError, match="splits train, test"):
        chosen_files(["train.csv", "test.csv"], {}, entry(), where="suite.yaml", default="")


def test_a_script_is_no_hindrance_where_files_are_named() -> None:
    assert read(["facts.py", "data.jsonl"], files="data.jsonl") == ["data.jsonl"]


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"], "train"),
        (["cat/1.png", "dog/2.png"], ""),
        (["train/1.png", "train/metadata.jsonl"], "train"),
        (["data/train/cat/1.wav"], "data/train"),
    ],
)
def test_images_and_sounds_are_a_folder(names: list[str], folder: str) -> None:
    assert chosen_files(names, {}, entry(), where="x").folder == folder


def test_an_address_says_the_same_as_the_keys() -> None:
    text = f"hf://datasets/me/facts@{'0' * 40}/data/*.jsonl?config=big&split=train"
    assert named_by(text) == entry(config="big", split="train", files="data/*.jsonl")
    assert named_by(text).address == text
    assert named_by("hf://datasets/me/facts@refs%2Fconvert%2Fparquet").revision == "refs/convert/parquet"
    assert named_by(f"me/facts@{'0' * 40}") == entry()
    for wrong in ("hf://models/me/facts", "hf://datasets/me", "hf://datasets/me/facts?rows=3"):
        with pytest.raises(ValueError, match="datasets|config="):
            named_by(wrong)
