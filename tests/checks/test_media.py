"""Images and sounds of suites and data: compared byte for byte, opened before anything is spent, and never counted as clean unseen."""

from __future__ import annotations

import importlib
import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.checks.conftest import World, world_policy
from tests.checks.test_violations import TODAY

pytest.importorskip("PIL", reason="pictures take Pillow")


def picture(path: Path, seed: int, size: int = 32) -> None:
    image = importlib.import_module("PIL.Image")
    cells = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image.fromarray(np.kron(cells, np.ones((size // 8, size // 8, 1), dtype=np.uint8))).save(path)


def sound(path: Path, seed: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.random.default_rng(seed).integers(-9000, 9000, 800, dtype=np.int16).tobytes())


@pytest.fixture
def gallery(world: World) -> World:
    """Six pictures and two sounds in the suite, six others in the data."""
    (world.folder / "suite").mkdir()
    for n in range(6):
        picture(world.folder / "suite" / f"asked-{n}.png", n)
        picture(world.folder / f"taught-{n}.png", 100 + n)
    for n in range(2):
        sound(world.folder / "suite" / f"said-{n}.wav", n)
        sound(world.folder / f"heard-{n}.wav", 100 + n)
    world.rows = [{"file": f"taught-{n}.png", "label": n % 2} for n in range(6)]
    world.rows += [{"file": f"heard-{n}.wav", "label": 0} for n in range(2)]
    rows = [{"id": f"asked-{n}", "file": f"asked-{n}.png", "label": n % 2} for n in range(6)]
    rows += [{"id": f"said-{n}", "file": f"said-{n}.wav", "label": 0} for n in range(2)]
    (world.folder / "suite" / "pictures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return world


@pytest.fixture(autouse=True)
def with_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world's suite asks about the pictures beside its texts."""
    plain = World.write

    def write(self: World) -> Path:
        path = plain(self)
        if (self.folder / "suite" / "pictures.jsonl").exists():
            suite = yaml.safe_load((self.folder / "suite" / "suite.yaml").read_text())
            metrics = [{"metric": "correct", "direction": "higher"}]
            task = {"task": "seen", "kind": "classification", "data": {"path": "pictures.jsonl"}, "metrics": metrics}
            suite["tasks"].append({**task, "label": "label", "options": {"file": "file"}})
            (self.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
        return path

    monkeypatch.setattr(World, "write", write)


def test_other_pictures_are_counted_as_looked_for_and_say_what_was_not(gallery: World):
    found = {finding.rule: finding for finding in gallery.findings(today=TODAY)}
    assert found["contamination.media-compared"].details["items"] == 8
    assert "personal data, coverage" in found["contamination.media-not-compared"].reason
    assert "contamination.not-testable" not in found
    assert found["contamination.scanned"].details["items"] == 1


@pytest.mark.parametrize("name", ["asked-3.png", "said-1.wav"])
def test_a_copy_byte_for_byte_is_a_contaminated_item(gallery: World, name: str):
    shutil.copyfile(gallery.folder / "suite" / name, gallery.folder / f"renamed{Path(name).suffix}")
    gallery.rows.append({"file": f"renamed{Path(name).suffix}", "label": 1})
    found = gallery.rules(today=TODAY)["contamination.verbatim"]
    assert found.verdict == "block"
    assert found.details["items"] == [f"suite/seen/{Path(name).stem}"]
    assert found.details["row"] == 9


def test_a_resized_copy_is_found_where_the_policy_compares_looks(gallery: World):
    image = importlib.import_module("PIL.Image")
    with image.open(gallery.folder / "suite" / "asked-2.png") as opened:
        opened.resize((48, 48)).save(gallery.folder / "resized.png")
    gallery.rows.append({"file": "resized.png", "label": 1})
    assert "contamination.image-alike" not in gallery.rules(today=TODAY)
    policy = world_policy()
    (gallery.folder / "policy.yaml").write_text(yaml.safe_dump({**policy, "data": {"image_likeness": True}}))
    gallery.release["policy"] = "policy.yaml"
    found = gallery.rules(today=TODAY)["contamination.image-alike"]
    assert found.details["pairs"] == {"suite/seen/asked-2": "data.jsonl#9"}


@pytest.mark.parametrize("where", ["suite/asked-0.png", "taught-1.png", "heard-0.wav"])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_what_does_not_open_is_told_before_anything_is_spent(gallery: World, where: str, damage: str):
    file = gallery.folder / where
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:20] if damage == "cut" else b"")
    found = gallery.rules(today=TODAY)["provenance.file-unreadable"]
    assert found.verdict == "block"
    assert "1 picture or sound" in found.reason
