"""Numbers whose file names their classes (a Parquet file of the Hub) are learnt as those classes, whatever the model's own order."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kdgov.checkpoints.class_names import place_of
from kdgov.checks.scan.suite_labels import label_faults
from kdgov.declarations.distillation import Distillation
from kdgov.distillation.data.collation import prepare
from kdgov.distillation.data.examples import read_examples
from kdgov.errors import DeclarationError, InputError
from tests.distillation import worlds
from tests.test_media_folders import _classifier, _release, _suite

RECIPE = Distillation.model_validate({"terms": [{"kind": "hard_labels"}]})
SEEN = ("owl", "cat", "dog")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KDGOV_CACHE", str(tmp_path / "cache"))


def _class(names):
    return {"names": list(names), "_type": "ClassLabel"}


def _written(path, rows, **features):
    """A Parquet file as `datasets` writes it: its features stand in its metadata."""
    table = pa.Table.from_pylist(rows)
    said = json.dumps({"info": {"features": features}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": said}), path)
    return path


def _pictures(path, labels, *, column="image", names=SEEN, first=None):
    rows = []
    for seed, label in enumerate(labels):
        pixels = np.random.default_rng(seed).integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream := io.BytesIO(), "PNG")
        rows.append({column: {"bytes": stream.getvalue(), "path": f"{seed}.png"} | (first or {} if not seed else {}), "label": label})
    return _written(path, rows, **{column: {"_type": "Image"}, "label": _class(names)})


@pytest.mark.parametrize(
    ("named", "model", "number", "place"),
    [
        (("a", "b"), ("B", "A"), 0, 1),
        (("a", "b", "c"), ("b", "a"), 2, None),
        (("neg", "pos"), ("NEGATIVE", "POSITIVE"), 1, 1),
        (("a", "b"), ("LABEL_0", "LABEL_1"), 1, 1),
        ((), ("a", "b"), 1, 1),
        (("b", "a"), ("a", "b"), 7, 7),
    ],
)
def test_a_number_is_the_class_that_its_file_names(named, model, number, place):
    assert place_of(number, named, model) == place


def test_pictures_are_learnt_as_the_classes_that_their_file_names(tmp_path):
    model = _classifier(tmp_path / "vit")
    path = _pictures(tmp_path / "x.parquet", [0, 1, 2])
    assert [item.label for item in prepare("image_classification", read_examples([path]), model, RECIPE).items] == [2, 0, 1]
    _pictures(path, [0, 1, 1], names=("owl", "yak"))
    with pytest.raises(DeclarationError, match="has label 1, which its file calls 'yak'"):
        prepare("image_classification", read_examples([path]), model, RECIPE)


def test_words_are_tagged_as_the_classes_that_their_file_names(tmp_path):
    folder = worlds.encoder(tmp_path / "bert", "TokenClassification")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "O", "1": "PLACE", "2": "PERSON"}}))
    rows = [{"tokens": ["a", "b", "c", "d"], "ner_tags": [0, 1, 2, -100]}]
    for feature in ({"feature": _class(["O", "PERSON", "PLACE"]), "_type": "List"}, [_class(["O", "PERSON", "PLACE"])]):
        path = _written(tmp_path / "x.parquet", rows, ner_tags=feature)
        (item,) = prepare("token_classification", read_examples([path]), folder, RECIPE).items
        assert item.labels[item.asked].tolist() == [0, 2, 1]
    (tmp_path / "x.jsonl").write_text(json.dumps({"tokens": ["a", "b"], "tags": ["2", 1]}) + "\n")
    (item,) = prepare("token_classification", read_examples([tmp_path / "x.jsonl"]), folder, RECIPE).items
    assert item.labels[item.asked].tolist() == [2, 1], "a number in quotes is that number, as with labels of texts"
    path = _written(tmp_path / "x.parquet", rows, ner_tags=[_class(["O", "PERSON", "RIVER"])])
    with pytest.raises(DeclarationError, match="has the tag 2, which its file calls 'RIVER'"):
        prepare("token_classification", read_examples([path]), folder, RECIPE)


def test_a_suite_whose_numbers_mean_other_classes_is_refused(tmp_path):
    from kdgov.evaluation.plan.build import read_suites

    _pictures(tmp_path / "x.parquet", [0, 1, 2])
    suites = read_suites([_suite(tmp_path, "../x.parquet")], beside=tmp_path)
    (fault,) = label_faults(suites, {"teacher": ("cat", "dog", "owl")})
    assert "label 0 is 'owl' in ../x.parquet and 'cat' to the teacher" in str(fault)
    assert not label_faults(suites, {"teacher": SEEN})


ODD = {
    "no bytes and no file": ({"bytes": None, "path": "1.png"}, "x.parquet:1: image: holds a path alone"),
    "bytes of nothing known": ({"bytes": b"what is this", "path": None}, "x.parquet:1: image: holds bytes of an unknown kind"),
    "a picture that does not open": ({"bytes": b"\x89PNG\r\n and no more", "path": "1.png"}, "names a file that cannot be opened"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_picture_that_cannot_be_read_is_one_line(case, tmp_path):
    first, told = ODD[case]
    model = _classifier(tmp_path / "vit")
    path = _pictures(tmp_path / "x.parquet", [0, 1, 2], first=first)
    with pytest.raises(InputError) as refused:
        prepare("image_classification", read_examples([path]), model, RECIPE)
    assert str(refused.value).count(told) == 1


def test_a_file_cut_short_is_one_line(tmp_path):
    path = _pictures(tmp_path / "x.parquet", [0, 1, 2])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"x\.parquet: cannot be read as \.parquet"):
        read_examples([path])


@pytest.mark.nightly
def test_a_classifier_is_distilled_from_pictures_of_the_hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    from kdgov.pipeline.context import open_release
    from kdgov.pipeline.distill import distill_step
    from tests.hub.conftest import cached_data_set

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    _classifier(tmp_path / "vit")
    parts = {
        f"data/train-0000{n}-of-00002.parquet": _pictures(tmp_path / f"{n}.parquet", [n, 1, 2], column="img").read_bytes() for n in range(2)
    }
    commit = cached_data_set(tmp_path / "hf", "me/animals", {**parts, "README.md": "---\nlicense: cc0-1.0\n---\n"})
    path = _release(tmp_path, {"hub": "me/animals", "revision": commit, "columns": {"image": "img"}})
    made = distill_step(open_release(path, store=tmp_path / "store"))
    record = json.loads((made.folder / "distillation.json").read_text())
    assert record["examples"]["learnt_from"] == 6
    assert (made.folder / "student" / "model.safetensors").is_file()
    assert all(np.isfinite(step["hard_labels"]) for step in json.loads((made.folder / "losses.json").read_text()))
