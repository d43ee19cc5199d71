"""Where lm-eval's own tasks lie: a name → file index built by reading text, in a second, and kept per lm-eval version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
from pathlib import Path

from kdgov.checkpoints.digests import cache_folder
from kdgov.digest import write_atomic
from kdgov.errors import InputError

_TASK_LINE = re.compile(rb"^[\"']?task[\"']?:[ \t]*[\"']?([A-Za-z0-9][^\s'\"#]*)", re.MULTILINE)


def lm_eval_version() -> str:
    """Version of the installed lm-eval, without importing it."""
    return importlib.metadata.version("lm_eval")


def builtin_task_file(name: str, *, where: str = "") -> Path:
    """YAML file of a built-in lm-eval task.

    Raises:
        InputError: if the installed lm-eval has no task of that name.
    """
    root = lm_eval_tasks_folder()
    index = _index(root)
    if name in index:
        return root / index[name]
    if (root / name).is_dir():
        inside = sorted(n for n, p in index.items() if p.startswith(f"{name}/"))[:8]
        raise InputError(
            f"{name!r} is a group of lm-eval tasks, not a task",
            where=where,
            mend=f"Name its tasks one by one, such as {', '.join(inside)}.",
        )
    raise InputError(
        f"lm-eval {lm_eval_version()} has no task {name!r}", where=where, mend="Correct the name, or put a task file beside the suite."
    )


def lm_eval_tasks_folder() -> Path:
    """Where the installed lm-eval keeps its tasks.

    Raises:
        InputError: if it is not installed.
    """
    spec = importlib.util.find_spec("lm_eval")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise InputError("lm-eval is not installed", mend="Run pip install 'kdgov[evaluate]'.")
    return Path(locations[0]) / "tasks"


def _index(root: Path) -> dict[str, str]:
    place = cache_folder() / f"lm-eval-tasks-{lm_eval_version()}.json"
    try:
        known: dict[str, str] = json.loads(place.read_bytes())
    except (OSError, ValueError):
        known = {}
    if known and (root / next(iter(known.values()))).is_file():
        return known
    built = _scan(root)
    try:
        write_atomic(place, json.dumps(built).encode())
    except OSError:
        # A read-only home costs a second per start, nothing else.
        return built
    return built


def _scan(root: Path) -> dict[str, str]:
    # lm-eval's own index parses 13,000 files as YAML (6 to 20 s); the name alone is one line of text.
    index: dict[str, str] = {}
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            if name.endswith(".yaml"):
                path = Path(folder) / name
                if found := _TASK_LINE.search(path.read_bytes()):
                    index.setdefault(found[1].decode(), path.relative_to(root).as_posix())
    return index
