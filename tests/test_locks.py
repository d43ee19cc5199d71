"""The lock files of the extras are parts of the one lock file, and hold what each extra needs."""

from __future__ import annotations

import importlib.util

import pytest

from tests.conftest import ROOT

SPEC = importlib.util.spec_from_file_location("write_locks", ROOT / "requirements" / "write_locks.py")
write_locks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(write_locks)


@pytest.mark.parametrize("extra", write_locks.EXTRAS)
def test_each_extras_lock_is_up_to_date(extra):
    assert (ROOT / "requirements" / f"{extra}.lock").read_text() == write_locks.lock_of(extra), "run requirements/write_locks.py"


def test_the_core_brings_no_heavy_library_and_each_extra_its_own():
    names = {extra: {line.partition("==")[0] for line in write_locks.lock_of(extra).splitlines()} for extra in write_locks.EXTRAS}
    assert not names["core"] & {"torch", "transformers", "mlflow", "mlflow-skinny", "lm_eval", "pandas", "scikit-learn"}
    assert {"torch", "transformers", "accelerate"} <= names["distill"]
    assert {"torch", "lm_eval", "fairlearn"} <= names["evaluate"]
    assert "mlflow" in names["registry"]
    assert "torch" not in names["registry"]
