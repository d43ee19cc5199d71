"""Code that a suite's task file would run, found without running it.

An lm-eval task file may name Python: ``!function``, a task class, a metric that the `evaluate` library loads as a script. What lies in
the installed lm-eval is part of that package, whose version is in the evidence. Anything else runs only where somebody allowed its folder
(``kdgov evaluate --allow-code FOLDER``), and the evidence then names every file by digest.
"""

from __future__ import annotations

import contextvars
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kdgov.declarations.suite_parts.task_index import lm_eval_tasks_folder
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.safe_parse import guard_yaml

_ALLOWED: contextvars.ContextVar[tuple[Path, ...]] = contextvars.ContextVar("kdgov-allowed-code", default=())
_REGISTERED_METRIC = re.compile(r"@register_metric\(\s*metric=[\"']([^\"']+)[\"']")
_MOST_INCLUDES = 50
_FLAG = "--allow-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """One piece of code that a task file names."""

    name: str
    """As the task file writes it."""
    file: Path | None
    """Where it lies; None for what is not a file beside the task."""


@contextmanager
def allowed_code(folders: Sequence[Path]) -> Iterator[None]:
    """Let tasks run the code that lies in these folders while the block runs.

    Raises:
        InputError: if one is not a folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError("is not a folder", where=str(folder), mend=f"Name the folder that holds the suite's code with {_FLAG}.")
    token = _ALLOWED.set(tuple(folder.resolve() for folder in folders))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def allowed_folders() -> tuple[Path, ...]:
    """The folders that are allowed now."""
    return _ALLOWED.get()


def suite_code(file: Path | None, *, where: str, written: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Name → digest of the code outside lm-eval that a task runs; empty for most.

    Args:
        file: its task file; None where a suite or a group defines it in place.
        where: place for messages.
        written: what the suite itself writes of the task.

    Raises:
        InputError: if it runs code in a folder that nobody allowed, or the file cannot be read.
    """
    builtin = lm_eval_tasks_folder().resolve()
    parts: list[Mapping[str, Any]] = [written or {}]
    named: list[CodeFile] = []
    if file is not None and builtin not in file.resolve().parents:
        files, named = _named(file, where)
        parts += files
    named += _scripts(parts)
    foreign = [code for code in named if not _is_builtin(code, builtin)]
    allowed = _ALLOWED.get()
    refused = [c for c in foreign if c.file is None or not any(folder in c.file.parents for folder in allowed)]
    if refused:
        mend = f"Write the prompt as a template, or read that code and allow its folder: {_FLAG} {file.parent if file else 'FOLDER'}"
        if any(code.name.startswith("metric ") for code in refused):
            mend += "; a metric that lm-eval does not have is computed by the task's own `process_results`, in such a folder"
        raise InputError(f"its task file runs code: {', '.join(sorted({code.name for code in refused}))}", where=where, mend=mend)
    folders = {code.file.parent for code in foreign if code.file is not None}
    # A function may import its neighbours: all of the folder's code is named.
    return {path.name: digest_file(path) for folder in sorted(folders) for path in sorted(folder.rglob("*.py"))}


def _is_builtin(code: CodeFile, builtin: Path) -> bool:
    if code.file is not None:
        return builtin in code.file.parents
    return code.name.startswith("lm_eval.tasks.")


def _named(file: Path, where: str) -> tuple[list[Mapping[str, Any]], list[CodeFile]]:
    """What a task file and those that it includes say, and the functions that they name."""
    found: list[CodeFile] = []
    files: list[Mapping[str, Any]] = []
    seen: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if len(seen) > _MOST_INCLUDES:
            raise InputError(f"includes more than {_MOST_INCLUDES} files", where=where, mend="Include fewer.")
        config = _read(path, found, where)
        includes = config.get("include") or []
        waiting += [(path.parent / str(one)).resolve() for one in (includes if isinstance(includes, list) else [includes])]
        files.append(config)
    return files, found


def _scripts(parts: Sequence[Mapping[str, Any]]) -> Iterator[CodeFile]:
    """Metrics that are no words of lm-eval's: the `evaluate` library would load each as a script, from the hub or a folder.

    A task that computes its metrics itself (``process_results``) merely names them.
    """
    computed = [part["process_results"] for part in parts if "process_results" in part]
    for config in parts:
        metrics = [] if computed and all(computed) else config.get("metric_list") or []
        for row in metrics if isinstance(metrics, list) else []:
            name = row.get("metric") if isinstance(row, Mapping) else None
            if isinstance(name, str) and (row.get("hf_evaluate") or not _is_known_metric(name)):
                yield CodeFile(name=f"metric {name}", file=None)
        if isinstance(config.get("class"), str):
            yield CodeFile(name=f"class {config['class']}", file=None)


def _is_known_metric(name: str) -> bool:
    return name in known_metrics()


@functools.cache
def known_metrics() -> frozenset[str]:
    """Names of lm-eval's own metrics, read from its source: loading lm-eval to learn them would take seconds on every rerun."""
    source = lm_eval_tasks_folder().parent / "api" / "metrics.py"
    return frozenset(_REGISTERED_METRIC.findall(source.read_text(encoding="utf-8")))


def _read(path: Path, found: list[CodeFile], where: str) -> Mapping[str, Any]:
    class Loader(yaml.SafeLoader):
        """Plain YAML in which a function is a name."""

    def named(loader: yaml.SafeLoader, node: yaml.Node) -> str:
        name = str(getattr(node, "value", ""))
        place = path.parent / f"{name.rpartition('.')[0].replace('.', '/')}.py"
        found.append(CodeFile(name=name, file=place.resolve() if place.exists() else None))
        return name

    Loader.add_constructor("!function", named)
    try:
        text = path.read_text(encoding="utf-8")
        guard_yaml(text, file=str(path))
        value = yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader with one more tag, which makes a text
    except (OSError, yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
        raise InputError(f"its task file {path.name} cannot be read: {error}", where=where, mend="Correct the file.") from error
    return value if isinstance(value, Mapping) else {}
