"""Where lm-eval's own tasks, groups and tags lie: an index built by reading text, in a second or two, and kept per lm-eval version."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.resources import cache_folder

_LINE = rb"^[\"']?%s[\"']?:[ \t]*[\"']?([A-Za-z0-9][^\s'\"#]*)"
_TASK_LINE, _GROUP_LINE = (re.compile(_LINE % key, re.MULTILINE) for key in (b"task", b"group"))
_CLASS_LINE = re.compile(rb"^[\"']?class[\"']?:", re.MULTILINE)
_LISTED = re.compile(rb"^[\"']?(tag|include)[\"']?:[ \t]*([^\n#]*)(?:#[^\n]*)?\n?((?:[ \t]*-[^\n]*\n?)*)", re.MULTILINE)
_FORM = 2
_MOST_INCLUDES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskIndex:
    """Names of tasks, groups and tags below one folder."""

    root: Path
    """The folder."""
    tasks: Mapping[str, str]
    """Task → its file, relative to the folder."""
    groups: Mapping[str, str]
    """Group → its file."""
    tags: Mapping[str, tuple[str, ...]]
    """Tag → its tasks, sorted."""

    def knows(self, name: str) -> bool:
        """Whether it is a task, a group or a tag."""
        return name in self.tasks or name in self.groups or name in self.tags


def lm_eval_version() -> str:
    """Version of the installed lm-eval, without importing it."""
    return importlib.metadata.version("lm_eval")


def builtin_task_file(name: str, *, where: str = "") -> Path:
    """YAML file of a built-in lm-eval task.

    Raises:
        InputError: if the installed lm-eval has no task of that name.
    """
    index = builtin_index()
    if name in index.tasks:
        return index.root / index.tasks[name]
    raise unknown_name(name, where=where)


def unknown_name(name: str, *, where: str) -> InputError:
    """That lm-eval has no such name, with the nearest that it has."""
    index = builtin_index()
    near = get_close_matches(name, [*index.tasks, *index.groups, *index.tags], n=3, cutoff=0.8)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Correct the name, or put a task file beside the suite."
    return InputError(f"lm-eval {lm_eval_version()} has no task, group or tag {name!r}", where=where, mend=hint)


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


def is_installed() -> bool:
    """Whether there is an lm-eval to look tasks up in."""
    return importlib.util.find_spec("lm_eval") is not None


def builtin_index() -> TaskIndex:
    """What the installed lm-eval has.

    Raises:
        InputError: if it is not installed.
    """
    return _kept(lm_eval_tasks_folder(), lm_eval_version())


@functools.lru_cache(maxsize=4)
def _kept(root: Path, version: str) -> TaskIndex:
    # The folder's age tells two installations of one version apart, and one that was edited.
    place = cache_folder() / f"lm-eval-index-{_FORM}-{version}.json"
    try:
        known = json.loads(place.read_bytes())
        if known["root"] == str(root):
            tags = {tag: tuple(tasks) for tag, tasks in known["tags"].items()}
            return TaskIndex(root=root, tasks=known["tasks"], groups=known["groups"], tags=tags)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    built = scanned(root)
    document = {"root": str(root), "tasks": built.tasks, "groups": built.groups, "tags": built.tags}
    try:
        write_atomic(place, json.dumps(document).encode())
    except OSError:
        # A read-only home costs a second or two per start, nothing else.
        return built
    return built


def scanned(root: Path) -> TaskIndex:
    """The index of a folder, as lm-eval would build it: by kind of file, first in the order of paths, includes followed for tags."""
    # lm-eval's own index parses 13,000 files as YAML (6 to 20 s); a name alone is one line of text.
    tasks: dict[str, str] = {}
    groups: dict[str, str] = {}
    tags: dict[str, set[str]] = {}
    seen: dict[Path, bytes] = {}
    for path in sorted(_yaml_files(root), key=lambda p: p.as_posix()):
        text = path.read_bytes()
        place = path.relative_to(root).as_posix()
        task, group = _TASK_LINE.search(text), _GROUP_LINE.search(text)
        if group and not _CLASS_LINE.search(text):
            groups.setdefault(group[1].decode(), place)
        elif task and (name := task[1].decode()) not in tasks:
            tasks[name] = place
            for tag in _tags(path, text, seen, 0):
                tags.setdefault(tag, set()).add(name)
    found = {tag: tuple(sorted(names)) for tag, names in tags.items() if tag not in tasks and tag not in groups}
    return TaskIndex(root=root, tasks=tasks, groups=groups, tags=found)


def _yaml_files(root: Path) -> list[Path]:
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in ("__pycache__", ".ipynb_checkpoints")]
        found += [Path(folder) / name for name in names if name.endswith(".yaml")]
    return found


def _tags(path: Path, text: bytes, seen: dict[Path, bytes], depth: int) -> list[str]:
    """A file's own tags, or else those of the file that it includes."""
    listed = {found[1]: _entries(found[2], found[3]) for found in _LISTED.finditer(text)}
    if b"tag" in listed or depth >= _MOST_INCLUDES:
        return listed.get(b"tag", [])
    for name in reversed(listed.get(b"include", [])):
        included = path.parent / name
        if included not in seen:
            try:
                seen[included] = included.read_bytes()
            except OSError:
                seen[included] = b""
        if tags := _tags(included, seen[included], seen, depth + 1):
            return tags
    return []


def _entries(inline: bytes, below: bytes) -> list[str]:
    """What a key lists: one word, ``[a, b]``, or lines with a dash."""
    inline = inline.strip()
    rows = inline.strip(b"[]").split(b",") if inline else [line.strip().removeprefix(b"-") for line in below.splitlines()]
    words = [row.split(b" #")[0].strip().strip(b"\"'").decode("utf-8", "replace") for row in rows]
    return [word for word in words if word and word not in ("null", "~")]
