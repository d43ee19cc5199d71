"""One task of a suite as it is declared: its items, how they are asked, and its metrics."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from kdgov.declarations.load import Declared
from kdgov.declarations.named_row import NamedRow
from kdgov.declarations.suite_data import DataInSuite, HubInSuite
from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
from kdgov.declarations.suite_parts.suite_options import option_fault

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
TaskName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(::[A-Za-z0-9_.\-]+)*$")]


class TaskInSuite(Declared):
    """One task: its items, how they are asked, and its metrics."""

    task: TaskName
    """Name in the item table; a group or tag of lm-eval stands for its tasks."""
    kind: Kind = LM_EVAL
    """How it is asked and scored."""
    file: str | None = None
    """lm-eval task YAML beside the suite; absent: the built-in task ``lm_eval`` (or ``task``)."""
    lm_eval: str | None = None
    """Built-in lm-eval task where its name differs from ``task``."""
    group: dict[str, Any] | None = None
    """A group of tasks defined here, as lm-eval's group files do: ``task: [name, …]`` and ``aggregate_metric_list``."""
    config: dict[str, Any] | None = None
    """The whole lm-eval task, in place of a file."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task file that are replaced."""
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
        named = (self.file, self.lm_eval, self.group, self.config, self.overrides or None, self.num_fewshot)
        if self.kind != LM_EVAL and any(one is not None for one in named):
            raise ValueError(f"is of kind {self.kind} and names lm-eval settings\nRemove file, lm_eval and num_fewshot, or the kind.")
        if sum(1 for one in (self.file, self.lm_eval, self.group, self.config) if one is not None) > 1:
            raise ValueError("says twice what is asked\nKeep one of file, lm_eval, group and config.")
        if self.kind != LM_EVAL and self.data is None:
            raise ValueError(f"is of kind {self.kind} and has no `data`\nAdd `data: {{path: items.jsonl, digest: …}}`.")
        if self.data is not None and self.hub is not None:
            raise ValueError("has both `data` and `hub`\nKeep the one the items come from.")
        return self
