"""lm-eval's task and group files read as data: functions are names, nothing is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kdgov.errors import InputError
from kdgov.safe_parse import guard_yaml

_MOST_INCLUDES = 50
_USUAL_METRICS = {
    "multiple_choice": ("acc", "acc_norm"),
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "generate_until": ("exact_match",),
}
_MEANS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em")
"""Metrics that lm-eval averages where a task names no aggregation."""
NO_FILTER = "none"


class FunctionName(str):
    """A function that a file names with ``!function``."""

    __slots__ = ()


def read_task_file(path: Path, *, where: str) -> dict[str, Any]:
    """A file with everything that it includes; its own keys go before included ones, as in lm-eval.

    Raises:
        InputError: if it cannot be read, or includes itself.
    """
    return _read(path, where, ())


def _read(path: Path, where: str, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above or len(above) > _MOST_INCLUDES:
        raise InputError(f"{path.name} includes itself", where=where, mend="Take the `include` out.")
    try:
        text = path.read_text(encoding="utf-8")
        guard_yaml(text, file=str(path))
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with one more tag, which makes a text
    except (OSError, yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
        raise InputError(f"{path.name} cannot be read: {error}", where=where, mend="Correct the file.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path.name} is no mapping", where=where, mend="Write the keys of a task or a group.")
    includes = value.pop("include", None) or []
    merged: dict[str, Any] = {}
    for one in includes if isinstance(includes, list) else [includes]:
        merged.update(_read(path.parent / str(one), where, (*above, path.resolve())))
    merged.pop("task_list", None)
    return {**merged, **value}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML in which a function is a name."""


_Loader.add_constructor("!function", lambda loader, node: FunctionName(getattr(node, "value", "")))


def functions_in(value: Any) -> list[str]:
    """Names of the functions anywhere in a value that was read."""
    match value:
        case FunctionName():
            return [str(value)]
        case Mapping():
            return [name for one in value.values() for name in functions_in(one)]
        case list() | tuple():
            return [name for one in value for name in functions_in(one)]
        case _:
            return []


def metrics_of(config: Mapping[str, Any]) -> dict[str, bool] | None:
    """A task's metrics → whether each is averaged over items; None where only its code knows them."""
    listed = config.get("metric_list")
    if listed is None:
        usual = _USUAL_METRICS.get(str(config.get("output_type", "generate_until")), ())
        return None if config.get("class") or config.get("process_results") else {name: name in _MEANS for name in usual}
    rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    return {str(row.get("metric")): _is_mean(row) for row in rows}


def _is_mean(row: Mapping[str, Any]) -> bool:
    stated = row.get("aggregation")
    return str(row.get("metric")) in _MEANS if stated is None else stated == "mean" and not isinstance(stated, FunctionName)


def filters_of(config: Mapping[str, Any]) -> Sequence[str]:
    """Names of a task's filters, in their order; one that lets everything through where it has none."""
    listed = config.get("filter_list")
    return [str(row.get("name")) for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) and listed else [NO_FILTER]
