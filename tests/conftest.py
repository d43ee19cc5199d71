"""What every test shares: where real data lies, and a project-local place for artifacts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


LONGEST_FIRST = ("release", "real", "postgres", "sqlite")  # groups that keep one worker busy for minutes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long groups first, so that no worker stands idle at the end."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    group = next((mark.args[0] for mark in item.iter_markers("xdist_group")), None)
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


def real_folder(name: str) -> Path:
    """A folder of real data beside the checkout, or a skip with the reason."""
    data = Path(os.environ.get("KDGOV_REALDATA", ROOT.parent / "shared" / "realdata"))
    folder = data / name if name not in ("models", "hub_mirror") else data.parent / name
    if not folder.exists():
        pytest.skip(f"real data {name!r} is not beside this checkout; set KDGOV_REALDATA to its folder")
    return folder


@pytest.fixture
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def artifacts() -> Path:
    """Where a test leaves pictures and tables that CI keeps."""
    folder = ROOT / "tests" / ".artifacts"
    folder.mkdir(exist_ok=True)
    return folder
