"""The suite declaration (``schema: kdgov.suite/1``): which items both models answer, and what every number means.

A suite is a folder with ``suite.yaml``, task files in lm-eval's own format and, where it ships them, the items. kdgov owns
direction, ideal value, chance level, cluster and groups, because a task's own ``higher_is_better`` is often wrong for a gate.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from kdgov.declarations.load import Declared, load, resolve
from kdgov.declarations.named_row import NamedRow
from kdgov.declarations.suite_data import DataInSuite, HubInSuite
from kdgov.declarations.suite_judge import DEFAULT_JUDGE, JudgeInSuite
from kdgov.declarations.suite_parts.copies_of_data import in_the_format_at_hand
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.declarations.suite_parts.suite_options import option_fault
from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.resources import data_folder

SUITE_FILE = "suite.yaml"

LM_EVAL = "lm_eval"
TASK_KINDS = (
    LM_EVAL, "canary_exposure", "pairs", "prefix_extraction", "membership", "paraphrase", "faithfulness", "replay", "classification",
    "open_answer",
    "label_text", "extraction", "tool_calls", "transcription", "retrieval", "tagging",
)  # fmt: skip
"""Kinds of task that kdgov has itself: lm-eval's, and one module of `kdgov.evaluation.task_kinds` each."""
ATTACK_NAMES = (
    "plain", "prefix", "refusal_suppression", "role_play", "override", "base64", "rot13", "leetspeak", "reversed", "payload_split", "code",
    "many_shot",
)  # fmt: skip
"""Wrappings of `kdgov.evaluation.plan.attacks` (a test holds them equal)."""
Kind = Annotated[str, NamedRow("kdgov.task_kinds", TASK_KINDS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]


class MetricInSuite(Declared):
    """One number per item, and how to read it."""

    metric: Name
    """Name in the item table."""
    source: str | None = None
    """Key the task gives it where that differs from ``metric``."""
    filter: str | None = None
    """lm-eval filter the answers pass through; default the task's first."""
    direction: Literal["higher", "lower", "target"]
    """Which way is better; ``target``: the closer to ``ideal`` the better."""
    ideal: float | None = None
    """Best possible value; needed for ``target``."""
    chance: float | None = None
    """Expected value without any skill."""
    range: tuple[float, float] | None = None
    """Least and greatest value one item can have."""
    paired: bool = True
    """Whether teacher and student answer the same items, so that differences are taken item by item."""
    needs: str | None = None
    """Environment variable without which the metric is left out, such as the folder of a guard model; a criterion on it is then invalid."""
    judge: str | None = None
    """Judge that turns an answer into a label, where the task itself has no metric."""
    counts: str | None = None
    """Label that counts as 1 (default: the metric's name)."""

    @model_validator(mode="after")
    def _is_consistent(self) -> MetricInSuite:
        if self.direction == "target" and self.ideal is None:
            raise ValueError("has direction `target` and no `ideal`\nAdd `ideal:`, such as 0.5 for a stereotype rate.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"has the range {list(self.range)}, whose first value is not below its second\nWrite [least, greatest].")
        for key in ("ideal", "chance"):
            value = getattr(self, key)
            if value is not None and self.range is not None and not self.range[0] <= value <= self.range[1]:
                raise ValueError(f"has {key} {value:g} outside its range {list(self.range)}\nCorrect one of the two.")
        return self


class TaskInSuite(Declared):
    """One task: its items, how they are asked, and its metrics."""

    task: Name
    """Name in the item table."""
    kind: Kind = LM_EVAL
    """How it is asked and scored."""
    file: str | None = None
    """lm-eval task YAML beside the suite; absent: the built-in task ``lm_eval`` (or ``task``)."""
    lm_eval: str | None = None
    """Built-in lm-eval task where its name differs from ``task``."""
    data: DataInSuite | None = None
    """Items from a file; replaces the dataset the YAML names."""
    fewshot_data: DataInSuite | None = None
    """Few-shot examples from a file of their own."""
    hub: HubInSuite | None = None
    """Pin of the hub dataset the task reads."""
    cluster: str | list[str] | None = None
    """Field or fields of the item that name its cluster (template, source, question); default the item itself."""
    groups: list[str] = Field(default_factory=list)
    """Fields of the item that become group attributes."""
    label: str | None = None
    """Field of the item that holds its reference label, where the task does not say."""
    num_fewshot: int | None = Field(default=None, ge=0)
    """Few-shot examples; default what the task file says."""
    fewshot_seed: int = 1234
    """Seed of the one draw of few-shot examples."""
    limit: int | None = Field(default=None, ge=1)
    """Number of items, drawn by hash over the whole set, never its first ones."""
    limit_seed: int = 0
    """Changes which items a ``limit`` draws."""
    attacks: list[str] = Field(default_factory=list)
    """Ask every request in these wrappings: plain, prefix, refusal_suppression, role_play, override, base64, rot13, leetspeak, reversed,
    payload_split, code, many_shot. Items then state the group ``attack``, and all wrappings of one request are a cluster."""
    attack_field: str = "prompt"
    """Field of the item that holds the request."""
    sensitive: Literal["none", "harmful", "personal"] = "none"
    """What reports must mask of this task's texts."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the kind, described in `docs/evaluation.md`."""
    metrics: list[MetricInSuite] = Field(min_length=1)
    """What is measured per item."""

    @field_validator("options")
    @classmethod
    def _are_known(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        # Without a kind that could be read there is a fault already.
        if fault := option_fault(str(info.data.get("kind", "")), value):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> TaskInSuite:
        names = [m.metric for m in self.metrics]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"declares the metric {', '.join(twice)} twice\nGive the second another `metric` and name its `source`.")
        if unknown := [name for name in self.attacks if name not in ATTACK_NAMES]:
            raise ValueError(f"names the attack {unknown[0]}, which is unknown\nChoose among {', '.join(ATTACK_NAMES)}.")
        if self.attacks and self.data is None:
            raise ValueError("has attacks and no `data` of its own\nAdd `data:`: attacks rewrite the requests of a file.")
        if self.kind != LM_EVAL and (self.file or self.lm_eval or self.num_fewshot is not None):
            raise ValueError(f"is of kind {self.kind} and names lm-eval settings\nRemove file, lm_eval and num_fewshot, or the kind.")
        if self.kind != LM_EVAL and self.data is None:
            raise ValueError(f"is of kind {self.kind} and has no `data`\nAdd `data: {{path: items.jsonl, digest: …}}`.")
        if self.data is not None and self.hub is not None:
            raise ValueError("has both `data` and `hub`\nKeep the one the items come from.")
        return self


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
    """Its tasks."""

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
    """Read a suite and check that the files it names are there.

    Raises:
        DeclarationError: naming every fault at once.
    """
    suite = load(path, Suite)
    if faults := [fault for fault in _missing_files(suite, path) if fault]:
        raise DeclarationError(faults)
    return suite


_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PRIVATE", re.IGNORECASE)


def data_path(data: DataInSuite, *, suite_file: Path, key: str = "data.path") -> Path:
    """Where a suite's data file lies, with ``${NAME}`` filled in from the environment; a folder of images or sounds as its list.

    A user's own copy may lie there as another kind of table than the suite names.

    Raises:
        InputError: if the environment variable is not set, or several copies lie there.
    """
    path = named_path(data.path, suite_file=suite_file, key=key)
    is_table = "${" in data.path and data.digest is None and data.records is None and not data.nested
    return as_data_file(in_the_format_at_hand(path, named=data.path, key=key, where=str(suite_file)) if is_table else path)


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
            if data is not None and "${" not in data.path and not resolve(data.path, beside=path).exists():
                faults.append(_absent(path, f"tasks[{index}].{key}.path", data.path))
    return faults


def _absent(path: Path, key: str, name: str) -> Fault:
    return Fault(
        file=str(path),
        key=key,
        what=f"names {name!r}, which does not exist",
        mend="Correct the path: it is relative to the suite file.",
    )
