"""Names of the classes that numbers in a Parquet file stand for, as the `datasets` library writes them into it.

A number means the class in that place of the file's own order; to a model whose classes stand in another order it is another class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ClassesOf = Mapping[str, tuple[str, ...]]
"""Column → names of its classes, in the order of their numbers."""


def classes_beside(file: Path) -> Path:
    """Where the names lie of a file of lines that was made of a Parquet file."""
    return file.with_name(f".{file.name}.classes.json")


def classes_in(path: Path) -> ClassesOf:
    """Names of the classes of a data file; empty where it does not name them."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            said = (pq.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
            features = json.loads(said).get("info", {}).get("features", {})
            found = {str(column): _names(feature) for column, feature in features.items()}
        else:
            found = {column: tuple(names) for column, names in json.loads(classes_beside(path).read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError, pa.ArrowException):
        # Whoever reads its rows says what is wrong with it.
        return {}
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Names of one feature: a class, or a list of classes."""
    if isinstance(feature, list):
        return _names(feature[0]) if feature else ()
    if not isinstance(feature, Mapping):
        return ()
    if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return tuple(str(name) for name in feature["names"])
    return _names(feature.get("feature"))
