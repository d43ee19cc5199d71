"""kdgov: governance and evaluation of distilled model releases.

The package in one line each, from the top layer down: `cli` (commands), `pipeline` (one module per step of a release),
`guard` and `record` (the MLflow registry), `distill` and `evaluate` (training and suites), `checks`, `evidence` and
`report`, `declare` (what users write), `gate` and `license` (the pure core), `items` (the item table), and the words
everything shares: `finding`, `digest`, `errors`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Read on first use: `import kdgov` alone costs nothing.
    if name == "gate":
        return importlib.import_module("kdgov.decision")
    if name == "load_model":
        return importlib.import_module("kdgov.recording").load_model
    raise AttributeError(f"module 'kdgov' has no attribute {name!r}")
