"""The suite declaration (``schema: kdgov.suite/1``): which items both models answer, and what every number means.

A suite is a folder with ``suite.yaml``, task files in lm-eval's own format and, where it ships them, the items. kdgov owns
direction, ideal value, chance level, cluster and groups, because a task's own ``higher_is_better`` is often wrong for a gate.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, model_validator

from kdgov.declarations.load import Declared, load, resolve
from kdgov.declarations.suite_judge import DEFAULT_JUDGE, JudgeInSuite
from kdgov.declarations.suite_parts.expanded_groups import SuiteGroup, expanded
from kdgov.declarations.suite_parts.suite_metric import Name
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.resources import data_folder

SUITE_FILE = "suite.yaml"


class Suite(Declared):
    """One suite with every default filled in."""

    schema_: Literal["kdgov.suite/1"] = Field(alias="schema")
    """Must be ``kdgov.suite/1``."""
    name: Name
    """Name in releases, policies and item tables."""
    title: str = ""
    """One line."""
    description: str = ""
    """Plain words for the risk team: what it measures and what it does not."""
    license: str = "NOASSERTION"
    """SPDX expression of the suite's own files."""
    judges: dict[str, JudgeInSuite] = Field(default_factory=dict)
    """Judges by name; ``refusal-strings`` exists without being declared."""
    tasks: list[TaskInSuite] = Field(min_length=1)
    """Its tasks; once read, groups and tags stand here as their tasks."""
    _groups: tuple[SuiteGroup, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _is_consistent(self) -> Suite:
        names = [t.task for t in self.tasks]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"names the task {', '.join(twice)} twice\nTask names are unique within a suite.")
        known = {DEFAULT_JUDGE, *self.judges}
        asked = {m.judge for t in self.tasks for m in t.metrics if m.judge}
        if unknown := sorted(asked - known):
            raise ValueError(
                f"uses the judge {', '.join(unknown)}, which is not declared\nDeclare it under `judges:`; known: {sorted(known)}."
            )
        return self

    @property
    def task_groups(self) -> tuple[SuiteGroup, ...]:
        """The groups and tags that the file names, and those below them."""
        return self._groups

    def with_groups(self, tasks: Sequence[TaskInSuite], groups: Sequence[SuiteGroup]) -> Suite:
        """The suite with groups as their tasks."""
        changed = self.model_copy(update={"tasks": list(tasks)})
        changed._groups = tuple(groups)  # noqa: SLF001 - its own; pydantic keeps private fields out of what a file may say
        return changed


def find_suite(name: str, *, beside: Path | None = None) -> Path:
    """The ``suite.yaml`` of a suite named by a release: a folder, a file, or the name of a shipped suite.

    Raises:
        InputError: if there is none of that name; the message lists those that are shipped.
    """
    given = resolve(name, beside=beside) if beside is not None else Path(name)
    for candidate in (given / SUITE_FILE, given, data_folder("evalsuites") / name.removeprefix("evalsuites/") / SUITE_FILE):
        if candidate.is_file():
            return candidate
    raise InputError(
        f"suites: there is no suite {name!r}",
        where=str(beside) if beside else "",
        mend=f"Name a folder that holds {SUITE_FILE}, or a shipped suite: {', '.join(shipped_suites())}.",
    )


def shipped_suites() -> tuple[str, ...]:
    """Names of the suites that come with kdgov, sorted."""
    return tuple(sorted(p.parent.name for p in data_folder("evalsuites").glob(f"*/{SUITE_FILE}")))


def load_suite(path: Path) -> Suite:
    """Read a suite, check that the files it names are there, and put the tasks of groups and tags in their place.

    Raises:
        DeclarationError: naming every fault at once.
        InputError: if a group is at fault.
    """
    suite = load(path, Suite)
    if faults := [fault for fault in _missing_files(suite, path) if fault]:
        raise DeclarationError(faults)
    tasks, groups = expanded(suite.tasks, path)
    return suite.with_groups(tasks, groups) if groups else suite


_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PRIVATE", re.IGNORECASE)


def named_path(path: str, *, suite_file: Path, key: str) -> Path:
    """Where a file or folder that a suite names lies, with ``${NAME}`` filled in from the environment.

    Raises:
        InputError: if the environment variable is not set.
    """
    missing: list[str] = []

    def fill(match: re.Match[str]) -> str:
        if _SECRET_NAME.search(match[1]):
            raise InputError(
                f"{key}: {path!r} names a variable that reads like a secret",
                where=str(suite_file),
                mend="A path takes variables that hold folders, such as ${KDGOV_DATA}.",
            )
        value = os.environ.get(match[1])
        if value is None:
            missing.append(match[1])
        return value or ""

    filled = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", fill, path)
    if missing:
        raise InputError(
            f"{key}: {path!r} needs the environment variable {missing[0]}",
            where=str(suite_file),
            mend=f"Set {missing[0]} to the folder that holds your copy of the data.",
        )
    return resolve(filled, beside=suite_file)


def _missing_files(suite: Suite, path: Path) -> list[Fault]:
    faults = []
    for index, task in enumerate(suite.tasks):
        if task.file is not None and not (path.parent / task.file).is_file():
            faults.append(_absent(path, f"tasks[{index}].file", task.file))
        for key, data in (("data", task.data), ("fewshot_data", task.fewshot_data)):
            # A user's own copy (with a variable) may be absent here: listing the suite must still work.
            if data is not None and data.path and "${" not in data.path and not resolve(data.path, beside=path).exists():
                faults.append(_absent(path, f"tasks[{index}].{key}.path", data.path))
    return faults


def _absent(path: Path, key: str, name: str) -> Fault:
    return Fault(
        file=str(path),
        key=key,
        what=f"names {name!r}, which does not exist",
        mend="Correct the path: it is relative to the suite file.",
    )
