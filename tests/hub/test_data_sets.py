"""A data set of the Hub in the place of a file: the same findings as for files, at every place that names data."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from kdgov.checks.cards.hub_data_card import hub_data_card
from kdgov.checks.licensing.licence_case import licence_case
from kdgov.checks.scan.suite_items import suite_items
from kdgov.declarations.cards import load_dataset_card
from kdgov.declarations.data_parts.hub_data import HubData, named_by
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_bytes, digest_file
from kdgov.distillation.data.examples import read_examples
from kdgov.errors import DeclarationError, InputError, UnavailableError
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.plan.replay_inputs import replay_inputs
from kdgov.hub.data_set import hub_files, one_file
from kdgov.pipeline.context import open_release
from kdgov.pipeline.generation.asked_terms import prompted_terms
from kdgov.pipeline.inputs.distill_inputs import distill_inputs
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from tests.checks.conftest import QUESTION, World
from tests.checks.test_violations import TODAY
from tests.hub.conftest import Hub

README = "---\nlicense: {}\nlanguage: [en, de]\npretty_name: Some facts\n---\n# Some facts\n"


def lines(count: int = 40, **last: str) -> str:
    rows: list[Any] = [{"prompt": f"How many are {n}?", "completion": f"There are {n}."} for n in range(count)]
    return "".join(json.dumps(row) + "\n" for row in (*rows, *([last] if last else [])))


@pytest.fixture
def made(tmp_path: Path, hub: Hub) -> World:
    """A release with nothing to complain of, and a cache of the Hub beside it."""
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


def stops(world: World) -> dict[str, str]:
    return {rule: finding.reason + finding.subject for rule, finding in world.rules(today=TODAY).items() if finding.verdict == "block"}


def test_a_pinned_data_set_is_checked_as_files_with_a_card_are(made: World, hub: Hub) -> None:
    commit = hub("me/facts", {"README.md": README.format("cc0-1.0"), "train.jsonl": lines(), "test.jsonl": lines(3)})
    made.release["data"] = [{"hub": "me/facts", "revision": commit}]
    assert not stops(made)
    materials = load_release_inputs(open_release(made.write(), store=made.folder / "store"))
    (body,) = materials.bodies
    assert body.dataset is not None
    assert (body.dataset.id, body.dataset.revision, body.dataset.license) == ("me/facts", commit, "cc0-1.0")
    assert body.dataset.language == ["en", "de"]
    assert [file.name for file in body.files] == ["facts/train.jsonl"]
    inputs = distill_inputs(open_release(made.write(), store=made.folder / "store"))
    assert [path.read_text() for path in inputs.data] == [lines()]


def test_the_card_is_the_same_wherever_the_cache_lies(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub("me/facts", {"README.md": README.format("mit"), "train.jsonl": lines()})
    first = hub_data_card(named_by(f"me/facts@{commit}"), where="x")
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "elsewhere"))
    second = hub_data_card(named_by(f"me/facts@{commit}"), where="x")
    assert first != second
    assert (first.name, first.read_bytes()) == (second.name, second.read_bytes())
    assert str(tmp_path) not in first.read_text()


@pytest.mark.parametrize("revision", [None, "main"])
def test_what_no_commit_pins_is_read_and_blocks(made: World, hub: Hub, revision: str | None) -> None:
    commit = hub("me/facts", {"README.md": README.format("mit"), "train.jsonl": lines()})
    made.release["data"] = [{"hub": "me/facts", **({"revision": revision} if revision else {})}]
    assert f"commit {commit}" in stops(made)["provenance.data-unpinned"]


def test_a_licence_of_the_data_set_forbids_and_no_card_of_ours_lifts_that(made: World, hub: Hub) -> None:
    commit = hub("me/facts", {"README.md": README.format("cc-by-nc-4.0"), "train.jsonl": lines()})
    made.release["data"] = [{"hub": "me/facts", "revision": commit}]
    assert "licence.deny" in stops(made)
    made.release["data"][0]["card"] = "data.yaml"
    made.data |= {"license": "MIT", "files": []}
    assert "licence.deny" in stops(made)
    assert load_dataset_card(hub_data_card(named_by(f"me/facts@{commit}"), where="x", own=made.folder / "data.yaml")).license is not None


def test_secrets_items_and_a_changed_file_are_found_in_it(made: World, hub: Hub) -> None:
    text = lines(prompt=f"Tell me this. {QUESTION}", completion="The key is AKIA" + "QZ7RTW2MNB4KXC9D.")
    commit = hub("me/facts", {"README.md": README.format("mit"), "data/train-00000-of-00001.jsonl": text})
    made.release["data"] = [{"hub": "me/facts", "revision": commit, "card": "data.yaml"}]
    made.data["files"] = [{"path": "data/train-00000-of-00001.jsonl", "digest": "sha256:" + "0" * 64}]
    found = stops(made)
    assert {"privacy.secret-found", "contamination.verbatim", "provenance.file-changed"} <= set(found)
    assert "facts/data/train-00000-of-00001.jsonl" in found["privacy.secret-found"]
    with pytest.raises(InputError, match="is not what the card pins"):
        distill_inputs(open_release(made.folder / "release.yaml", store=made.folder / "store"))


def test_a_card_beside_it_says_what_the_hubs_leaves_open(made: World, hub: Hub) -> None:
    commit = hub("me/facts", {"README.md": README.format("mit"), "LICENSE": "Some licence.", "train.jsonl": lines()})
    (made.folder / "terms.txt").write_text("Our terms.")
    made.data |= {
        "license": None,
        "license_text": "terms.txt",
        "files": [],
        "lineage": [{"use": "dataset_train", "name": "x", "card": "u.yaml"}],
    }
    (made.folder / "u.yaml").write_text(yaml.safe_dump({"schema": "kdgov.dataset_card/1", "name": "x", "license": "CC0-1.0"}))
    made.release["data"] = [{"hub": "me/facts", "revision": commit, "card": "data.yaml"}]
    path = made.write()
    materials = load_release_inputs(open_release(path, store=made.folder / "store"))
    assert {"u.yaml"} == {file.path.name for file in materials.upstream.values()}
    card = materials.bodies[0].card
    assert card is not None
    assert card.card.license == "mit"
    assert (card.path.parent / str(card.card.license_text)).read_text() == "Our terms."
    assert "personal_data" in card.path.read_text()


def test_production_inputs_prompts_and_suites_name_one_too(made: World, hub: Hub) -> None:
    logged = "".join(json.dumps({"input": f"How many are {n}?"}) + "\n" for n in range(40))
    asked = json.dumps({"id": "one", "question": QUESTION, "answer": "The eastern one"}) + "\n"
    commit = hub("me/log", {"logged.jsonl": logged, "README.md": README.format("mit")})
    judged = {"test.jsonl": asked, "train.jsonl": asked.replace("eastern", "western"), "README.md": README.format("cc-by-4.0")}
    items = hub("me/items", judged)
    secret = hub(
        "me/prompts", {"p.jsonl": json.dumps({"prompt": "My key is AKIA" + "QZ7RTW2MNB4KXC9D"}), "README.md": README.format("cc-by-nc-4.0")}
    )
    made.release["production_inputs"] = {"hub": "me/log", "revision": commit}
    made.release["distillation"]["terms"] = [{"kind": "teacher_text", "prompts": f"hf://datasets/me/prompts@{secret}"}]
    path = made.write()
    suite = yaml.safe_load((made.folder / "suite" / "suite.yaml").read_text())
    suite["tasks"][0]["data"] = {"hub": "me/items", "revision": items, "split": "test"}
    (made.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
    materials = load_release_inputs(open_release(path, store=made.folder / "store"))
    assert materials.logged is not None
    assert materials.logged.files[0].path.read_text() == logged
    found = suite_items(materials.suites)
    assert (list(found.digests.values()), found.absent) == ([digest_bytes(asked.encode())], ())
    assert {"use": "dataset_eval", "name": "suite/asked", "license": "cc-by-4.0"} in licence_case(materials, choices={})["uses"]
    assert materials.prompts[0].dataset is not None
    assert materials.prompts[0].dataset.license == "cc-by-nc-4.0"
    suite["tasks"][0]["data"].pop("split")
    (made.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
    assert "splits train, test" in suite_items(load_release_inputs(open_release(path, store=made.folder / "store")).suites).absent[0]


def test_several_files_and_splits_are_read_as_one_where_one_is_read(made: World, hub: Hub, tmp_path: Path) -> None:
    logged = [json.dumps({"input": f"How many are {n}?"}) + "\n" for n in range(40)]
    log = hub("me/log", {"train.jsonl": logged[0], "test.csv": "x\n1\n", "README.md": README.format("mit")} | {
        f"validation-{n}.jsonl": "".join(logged[1 + n :: 3]) for n in range(3)
    })  # fmt: skip
    asked = [{"id": str(n), "q": {"text": QUESTION + "?" * n}, "answer": "The eastern one"} for n in range(2)]
    for row in asked:
        pq.write_table(pa.Table.from_pylist([row | ({"more": 1} if row["id"] == "1" else {})]), tmp_path / row["id"])
    parts = {f"data/test-0000{n}-of-00002.parquet": (tmp_path / str(n)).read_bytes() for n in range(2)}
    items = hub("me/items", {**parts, "README.md": README.format("cc-by-4.0")})
    shards = {f"p-{n}.csv": f"ask,by\n{question},x\n" for n, question in enumerate(("What is it?", '"Who, then?"'))}
    prompts = hub("me/prompts", {**shards, "README.md": README.format("cc0-1.0")})
    made.release["production_inputs"] = {"hub": "me/log", "revision": log, "split": ["train", "validation"]}
    made.release["distillation"]["terms"] = [
        {"kind": "teacher_text", "prompts": f"hf://datasets/me/prompts@{prompts}/p-*.csv", "columns": {"prompt": "ask"}}
    ]
    path = made.write()
    suite = yaml.safe_load((made.folder / "suite" / "suite.yaml").read_text())
    suite["tasks"][0]["data"] = {"hub": "me/items", "revision": items, "columns": {"question": "q.text"}}
    (made.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
    context = open_release(path, store=made.folder / "store")
    materials = load_release_inputs(context)
    replayed = replay_inputs(materials, release=path, store=made.folder / "store")
    assert replayed is not None
    assert len(replayed.path.read_text().splitlines()) == 40
    assert [file.name for file in materials.logged.files] == ["log/train.jsonl", *(f"log/validation-{n}.jsonl" for n in range(3))]  # type: ignore[union-attr]
    (one,) = prompted_terms(context, [], distill_inputs(context).prompts)
    assert [example.prompt for example in one.prompts] == ["What is it?", "Who, then?"]
    assert [file.name for file in materials.prompts[0].files] == ["prompts/p-0.csv", "prompts/p-1.csv"]
    task = materials.suites[0].suite.tasks[0]
    rows, digest = read_data(task.data, suite_file=materials.suites[0].path)
    assert [(row["id"], row["question"], row["more"]) for row in rows] == [("0", QUESTION, None), ("1", QUESTION + "?", 1)]
    assert list(suite_items(materials.suites).digests.values()) == [digest], "one digest over both files"


def test_a_split_that_is_not_there_is_refused_by_name(hub: Hub) -> None:
    commit = hub("me/facts", {"train.jsonl": lines(), "test.jsonl": lines(), "README.md": "x"})
    with pytest.raises(InputError, match="has no split 'valid'"):
        one_file(HubData(hub="me/facts", revision=commit, split="train+valid"), where="suite.yaml")
    both = HubData(hub="me/facts", revision=commit, split=["train", "test"])  # type: ignore[arg-type]
    assert named_by(both.address) == both == named_by(f"hf://datasets/me/facts@{commit}?split=train+test")
    damaged = hub("me/broken", {f"data/train-0000{n}-of-00002.parquet": b"PAR1" for n in range(2)} | {"README.md": "x"})
    with pytest.raises(InputError, match="cannot be read as one"):
        one_file(HubData(hub="me/broken", revision=damaged), where="suite.yaml")


def test_a_folder_of_images_is_one_data_file(hub: Hub) -> None:
    commit = hub("me/pets", {f"train/{kind}/{n}.png": f"{kind}{n}" for kind in ("cat", "dog") for n in range(2)} | {"README.md": "x"})
    card = load_dataset_card(hub_data_card(named_by(f"me/pets@{commit}"), where="x"))
    assert [file.path for file in card.files] == ["pets/train"]


def test_images_within_parquet_are_read_as_files_beside_it(tmp_path: Path, hub: Hub) -> None:
    images = [Image.new("RGB", (4, 4), (20 * n, 0, 0)) for n in range(5)]
    packed = []
    for image in images:
        image.save(stream := io.BytesIO(), "PNG")
        packed.append({"bytes": stream.getvalue(), "path": None})
    pq.write_table(pa.table({"image": packed, "label": [0, 1, 0, 1, 0]}), tmp_path / "x.parquet")
    commit = hub("me/pets", {"data/train-00000-of-00001.parquet": (tmp_path / "x.parquet").read_bytes(), "README.md": "x"})
    (path,) = hub_files(named_by(f"me/pets@{commit}"), where="x").paths
    read = read_examples([path])
    assert [(str(one.label), Image.open(str(one.file)).getpixel((0, 0))) for one in read] == [
        (str(label), (20 * n, 0, 0)) for n, label in enumerate([0, 1, 0, 1, 0])
    ]
    (file,) = load_dataset_card(hub_data_card(named_by(f"me/pets@{commit}"), where="x")).files
    assert file.digest == digest_file(as_data_file(path))
    pq.write_table(pa.table({"image": [{"bytes": None, "path": "1.png"}, packed[0]]}), tmp_path / "far.parquet")
    with pytest.raises(InputError, match="holds a path alone"):
        as_data_file(tmp_path / "far.parquet")


def test_what_is_not_at_hand_is_one_fault(hub: Hub) -> None:
    commit = hub("me/facts", {"data/train-00000-of-00002.jsonl": lines(), "README.md": "x"})
    for item, lacking in ((named_by(f"me/facts@{commit}"), "data/train-00001-of-00002"), (named_by(f"me/other@{commit}"), "me/other")):
        with pytest.raises(UnavailableError, match=lacking) as refused:
            hub_files(item, where="release.yaml: data[0]")
        assert "hf download" in refused.value.mend
    two = hub("me/two", {"train.jsonl": lines(), "README.md": "x", "train-2.jsonl": lines()})
    assert one_file(HubData(hub="me/two", revision=two), where="suite.yaml").read_text() == lines() * 2


def test_a_name_alone_is_refused_with_what_to_write(made: World, hub: Hub) -> None:
    made.release["data"] = ["me/facts"]
    with pytest.raises(DeclarationError, match="hub: me/facts, revision: COMMIT"):
        open_release(made.write())


def test_the_library_fetches_what_the_cache_lacks(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, hub_server: Any) -> None:
    files = {"README.md": README.format("mit"), "train-a.jsonl": lines(), "train-b.jsonl": lines(5)}
    commit = hub_server("me/served", files)
    # Half of it was fetched by somebody before: names do not tell that, the hub does.
    root = tmp_path / "hf" / "hub" / "datasets--me--served" / "snapshots" / commit
    root.mkdir(parents=True)
    (root / "train-a.jsonl").write_text(lines())
    found = hub_files(named_by(f"me/served@{commit}"), where="release.yaml")
    assert [path.name for path in found.paths] == ["train-a.jsonl", "train-b.jsonl"]
    assert found.paths[1].read_text() == lines(5)
    assert hub_files(HubData(hub="me/served"), where="release.yaml").commit == commit
    with pytest.raises(InputError, match="the hub has no data set 'me/absent'"):
        hub_files(named_by(f"me/absent@{commit}"), where="release.yaml")
