"""What decides a plan, read without lm-eval: digests of suite files, task files, data files and pins.

The key of a finished evaluation is built from these, so that an unchanged rerun starts in the time of a few file reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdgov.checkpoints.digests import remembered_digest
from kdgov.declarations.suite import Suite, find_suite, load_suite
from kdgov.declarations.suite_parts.judging_models import measured_metrics
from kdgov.declarations.suite_parts.lm_eval_config import task_file_of
from kdgov.declarations.suite_parts.task_index import lm_eval_version
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError
from kdgov.hub.suite_data_path import data_path


def suites_digest(names: Sequence[str], *, beside: Path | None) -> str:
    """Digest of everything a release's suites are made of.

    Raises:
        InputError: if a suite, a task file or a data file is missing or not the pinned one.
    """
    return digest_json([_suite_facts(find_suite(name, beside=beside)) for name in names])


def _suite_facts(path: Path) -> dict[str, Any]:
    suite = load_suite(path)
    files = {p.relative_to(path.parent).as_posix(): remembered_digest(p) for p in sorted(path.parent.rglob("*")) if _counts(p)}
    return {"files": files, "outside": _outside(suite, path), "lm_eval": lm_eval_version()}


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")


def _outside(suite: Suite, path: Path) -> list[Any]:
    # A group's own files may lie with lm-eval: what they say of means and tasks is told here, what of a task below it.
    facts: list[Any] = [[group.name, digest_json(asdict(group))] for group in suite.task_groups]
    for task in suite.tasks:
        for key, data in (("data", task.data), ("fewshot_data", task.fewshot_data)):
            if data is None:
                continue
            file = data_path(data, suite_file=path, key=f"tasks.{task.task}.{key}.path")
            if not file.is_file():
                raise InputError(
                    f"tasks.{task.task}.{key}.path: {data.called!r} does not exist",
                    where=str(path),
                    mend=f"Put your copy of the data at {file}.",
                )
            facts.append([task.task, key, remembered_digest(file)])
            if data.beside is not None:
                second = data_path(data.model_copy(update={"path": data.beside}), suite_file=path, key=f"tasks.{task.task}.{key}.beside")
                facts.append([task.task, f"{key}.beside", remembered_digest(second) if second.is_file() else ""])
        needed = sorted({m.needs for m in measured_metrics(task) if m.needs})
        if needed:
            facts.append([task.task, "needs", needed])
        if task.kind == "lm_eval" and task.file is None:
            definition = task_file_of(task, path)
            defined = digest_json(task.config) if definition is None else digest_file(definition)
            facts.append([task.task, defined, hub_commit(task.hub.id, task.hub.revision) if task.hub else ""])
            facts += [[task.task, "overrides", digest_json(task.overrides)]] if task.overrides else []
    return facts


def hub_commit(dataset: str, revision: str | None) -> str:
    """Commit a hub dataset stands for here: the pinned one, else the one in the local cache, else nothing."""
    if revision:
        return revision
    home = Path(os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")))
    cache = Path(os.environ.get("HF_HUB_CACHE", str(home / "hub")))
    reference = cache / f"datasets--{dataset.replace('/', '--')}" / "refs" / "main"
    try:
        return reference.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
