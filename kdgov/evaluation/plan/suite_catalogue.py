"""What a suite holds and whether it can be run here, read without lm-eval, a model or the network."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.checkpoints.digests import remembered_digest
from kdgov.declarations.suite import SUITE_FILE, Suite, find_suite, load_suite
from kdgov.declarations.suite_parts.expanded_groups import SuiteGroup
from kdgov.declarations.suite_parts.lm_eval_config import task_file_of
from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import write_atomic
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.plan.item_data import read_data
from kdgov.evaluation.plan.sources import hub_commit
from kdgov.hub.suite_data_path import data_path

_INCLUDE = re.compile(rb"^[\"']?include[\"']?:[ \t]*[\"']?([\w./-]+)", re.MULTILINE)
_MOST_INCLUDES = 5


def suite_facts(name: str) -> dict[str, Any]:
    """A suite with, per task, items, licence, source, revision and whether its data are here.

    Raises:
        InputError: if there is no such suite.
    """
    path = find_suite(name)
    suite = load_suite(path)
    return {
        "name": suite.name,
        "title": suite.title,
        "license": suite.license,
        "description": suite.description.strip(),
        "file": str(path),
        "tasks": [_task_facts(suite, task, path) for task in suite.tasks],
        **({"groups": [_group_facts(group) for group in suite.task_groups]} if suite.task_groups else {}),
    }


def _task_facts(suite: Suite, task: TaskInSuite, path: Path) -> dict[str, Any]:
    common = {"task": task.task, "kind": task.kind, "metrics": [_metric_line(m) for m in task.metrics]}
    if task.data is not None:
        return {**common, **_file_facts(suite, task, path)}
    hub = task.hub.id if task.hub else hub_dataset(task, path)
    revision = task.hub.revision if task.hub else None
    commit = hub_commit(hub, revision)
    is_here = _in_cache(hub, commit)
    return {
        **common,
        "items": task.limit or "all",
        "rows": _rows_here(task, path, hub, commit),
        "license": (task.hub.license if task.hub else None) or "see the hub card",
        "source": f"hub {hub}",
        "revision": revision or (f"unpinned (cache: {commit[:12]})" if commit else "unpinned"),
        "available": is_here,
        "missing": "" if is_here else f"dataset {hub}; fetch it once, or set HF_ENDPOINT to a mirror",
    }


def _group_facts(group: SuiteGroup) -> dict[str, Any]:
    means = [
        f"{mean.metric}: mean of {len(mean.tasks)} tasks, each {'item' if mean.weighted else 'task'} counts alike"
        + (", of the tasks' own numbers: shown, not judged" if mean.of_numbers else "")
        for mean in group.means
    ]
    return {"group": group.name, "alias": group.alias, "tasks": list(group.tasks), "means": means}


def _file_facts(suite: Suite, task: TaskInSuite, path: Path) -> dict[str, Any]:
    assert task.data is not None  # noqa: S101 - the caller's own check
    facts: dict[str, Any] = {
        "license": task.data.license or suite.license,
        "source": f"file {task.data.called}",
        "revision": (task.data.digest or "not pinned")[:19],
    }
    try:
        rows, _ = read_data(task.data, suite_file=path)
    except InputError as error:
        return {**facts, "items": "?", "available": False, "missing": error.what}
    return {**facts, "items": min(len(rows), task.limit or len(rows)), "available": True, "missing": ""}


def _metric_line(metric: MetricInSuite) -> str:
    aim = {"higher": "higher is better", "lower": "lower is better", "target": f"best at {metric.ideal}"}[metric.direction]
    chance = "" if metric.chance is None else f", chance {metric.chance:g}"
    judge = f", judged by {metric.judge}" if metric.judge else ""
    return f"{metric.metric}: {aim}{chance}{judge}"


def hub_dataset(task: TaskInSuite, path: Path) -> str:
    """Hub id that a task file reads, following its includes."""
    return _stated(task, path, "dataset_path")


def _stated(task: TaskInSuite, path: Path, key: str) -> str:
    for written in (task.overrides, task.config or {}):
        if key in written:
            return str(written[key] or "")
    # A file's own key goes before that of the file it includes. Read as text: lm-eval's YAML runs code.
    pattern = re.compile(rf"^[\"']?{key}[\"']?:[ \t]*[\"']?([\w./-]+)".encode(), re.MULTILINE)
    file, asked = task_file_of(task, path), 0
    while file is not None and (asked := asked + 1) <= _MOST_INCLUDES:
        text = file.read_bytes()
        if found := pattern.search(text):
            return "" if found[1] in (b"null", b"None") else found[1].decode()
        included = _INCLUDE.search(text)
        file = file.parent / included[1].decode() if included else None
    return ""


def _rows_here(task: TaskInSuite, path: Path, hub: str, commit: str) -> int | None:
    """Rows of the split a task asks, as the local cache of prepared sets counts them; a task may still leave some out."""
    cache = Path(os.environ.get("HF_DATASETS_CACHE", str(_home() / "datasets"))) / hub.replace("/", "___")
    name = _stated(task, path, "dataset_name") or "default"
    split = _stated(task, path, "test_split") or _stated(task, path, "validation_split")
    try:
        info = json.loads((cache / name / "0.0.0" / commit / "dataset_info.json").read_bytes())
        return int(info["splits"][split]["num_examples"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _home() -> Path:
    return Path(os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")))


def _in_cache(hub: str, commit: str) -> bool:
    cache = Path(os.environ.get("HF_HUB_CACHE", str(_home() / "hub"))) / f"datasets--{hub.replace('/', '--')}"
    snapshot = cache / "snapshots" / commit if commit else cache / "none"
    return snapshot.is_dir() and any(snapshot.iterdir())


def pin(name: Path, *, from_hub: bool = False) -> list[dict[str, str]]:
    """Write missing or moved digests into a suite's file, changing nothing else in it; what was written.

    Args:
        name: suite name or folder.
        from_hub: ask the hub, or the mirror HF_ENDPOINT names, for the present commit of every hub dataset, and move pins to it.

    Raises:
        InputError: if the suite or one of its files is missing, or the file spells its data in a way that cannot be edited.
        UnavailableError: if the hub lacks a dataset or cannot be reached; the others are pinned all the same.
    """
    path = find_suite(str(name))
    suite = load_suite(path)
    text = path.read_text(encoding="utf-8")
    commits, absent = _commits(suite, path) if from_hub else ({}, [])
    written = []
    in_groups = {name for group in suite.task_groups for name in group.tasks}
    for task in suite.tasks:
        commit = _commit_for(task, path, commits, from_hub=from_hub)
        if task.hub is not None and commit and commit != task.hub.revision:
            pinned = _with_revision(text, task.hub.id, task.hub.revision, commit)
            if pinned == text and task.task in in_groups:
                # The tasks of a group share one line of the file.
                continue
            text = pinned
            written.append({"task": task.task, "key": "hub.revision", "value": commit})
        if task.data is None or task.data.hub is not None or "${" in task.data.path:
            continue
        digest = remembered_digest(data_path(task.data, suite_file=path))
        if digest == task.data.digest:
            continue
        text = _with_digest(text, task.data.path, task.data.digest, digest, path)
        written.append({"task": task.task, "key": "data.digest", "value": digest})
    if written:
        write_atomic(path, text.encode("utf-8"))
        load_suite(path)
    if absent:
        raise UnavailableError(
            f"the hub gives no commit of {', '.join(absent)}; {len(written)} other pins were written",
            where=str(path),
            mend="Check the connection, or point HF_ENDPOINT at a mirror that serves datasets/<id>, and run it again.",
        )
    return written


def not_pinned(name: Path) -> dict[str, list[str]]:
    """Why a task of a suite has no pin → the tasks; empty where every file and dataset is pinned.

    Raises:
        InputError: if there is no such suite.
    """
    path = find_suite(str(name))
    found: dict[str, list[str]] = {}
    for task in load_suite(path).tasks:
        if task.data is not None and task.data.hub is not None:
            if task.data.is_pinned:
                continue
            reason = f"no commit of {task.data.hub} is said, write `revision:` with 40 digits"
        elif task.data is not None and task.data.digest is None:
            variable = re.search(r"\$\{(\w+)\}", task.data.path)
            reason = f"the file is found by {variable[1]}, write its digest by hand" if variable else "the file has no digest"
        elif task.data is None and task.kind == "lm_eval" and (task.hub is None or task.hub.revision is None):
            hub = task.hub.id if task.hub else hub_dataset(task, path)
            reason = f"no commit of {hub} is known here, ask with --from-hub" if task.hub else f"{hub} is not named under `hub:`"
            if not hub:
                continue
        else:
            continue
        found.setdefault(reason, []).append(task.task)
    return found


def _commit_for(task: TaskInSuite, path: Path, commits: Mapping[str, str], *, from_hub: bool) -> str:
    if task.kind != "lm_eval" or task.data is not None:
        return ""
    if from_hub:
        return commits.get(task.hub.id if task.hub else hub_dataset(task, path), "")
    return "" if task.hub is None or task.hub.revision else hub_commit(task.hub.id, None)


def _commits(suite: Suite, path: Path) -> tuple[dict[str, str], list[str]]:
    # The one place that asks the network, and only when told to.
    from huggingface_hub import HfApi  # noqa: PLC0415

    found: dict[str, str] = {}
    absent: list[str] = []
    for hub in dict.fromkeys(t.hub.id for t in suite.tasks if t.hub is not None):
        try:
            found[hub] = str(HfApi().dataset_info(hub, timeout=20).sha)
        except Exception:  # noqa: BLE001 - the HTTP client below, and with it the classes of its errors, changes between releases
            absent.append(hub)
    return found, absent


def _with_revision(text: str, hub: str, old: str | None, commit: str) -> str:
    # Every task of one dataset is pinned to one commit.
    if old is not None:
        return re.sub(rf"(hub:[ \t]*\{{id:[ \t]*{re.escape(hub)}[^}}]*revision:[ \t]*[\"']?){re.escape(old)}", rf"\g<1>{commit}", text)
    return re.sub(rf"(hub:[ \t]*\{{id:[ \t]*{re.escape(hub)})(?![^}}]*revision:)", rf'\1, revision: "{commit}"', text)


def _with_digest(text: str, data: str, old: str | None, new: str, path: Path) -> str:
    if old is not None and text.count(old) == 1:
        return text.replace(old, new)
    # `{path: x.jsonl}` on one line: the form the shipped suites use.
    pattern = re.compile(rf"(path:[ \t]*[\"']?{re.escape(data)}[\"']?)(?=[ \t]*[,}}])")
    changed, count = pattern.subn(rf'\1, digest: "{new}"', text)
    if old is None and count == 1:
        return changed
    raise InputError(
        f"the digest of {data!r} cannot be written in place",
        where=str(path),
        mend=f'Add `digest: "{new}"` beside its path in {SUITE_FILE}.',
    )
