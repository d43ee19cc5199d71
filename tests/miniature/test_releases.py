"""The two shipped releases differ by one mistake."""

from __future__ import annotations

from pathlib import Path

from kdgov.declarations.effects.release_file import load_release

ROOT = Path(__file__).parents[2] / "registry/releases"


def test_the_unsafe_release_is_the_good_one_with_other_data() -> None:
    good, unsafe = (load_release(ROOT / f"{name}.yaml").model_dump() for name in ("miniature", "miniature-unsafe"))
    different = {key for key in good if good[key] != unsafe[key]}
    assert different == {"name", "description", "data", "trade_offs"}
    assert good["data"][0]["card"] == "../datasets/miniature.yaml"
    assert unsafe["data"][0]["card"] == "../datasets/miniature-unsafe.yaml"


def test_the_recipe_is_a_fixed_number_of_steps_on_one_thread() -> None:
    release = load_release(ROOT / "miniature.yaml")
    assert release.distillation is not None
    assert release.distillation.steps > 0
    assert release.threads == 1
    assert release.student.keep_layers == [0, 4]
