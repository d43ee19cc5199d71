"""Distillation over several stages in one release: teacher assistants, self-distillation, a student taught twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from kdgov.declarations.distillation import Distillation
from kdgov.declarations.load import Declared
from kdgov.declarations.release_parts.parts_kept import KeptLayers, refuse_mismatch

Previous = Literal["teacher", "student"]
_STARTS = ("keep_layers", "config", "model")


class StageStart(Declared):
    """Where the model of a stage starts; exactly one key."""

    keep_layers: KeptLayers | None = None
    """Layers of the model that teaches this stage."""
    config: str | None = None
    """A transformers ``config.json``."""
    model: str | None = None
    """A checkpoint folder; its licence is part of the release's case."""
    license: str | None = None
    """Licence of ``model``."""

    @model_validator(mode="after")
    def _has_one_start(self) -> StageStart:
        if sum(getattr(self, key) is not None for key in _STARTS) != 1:
            raise ValueError(f"needs exactly one of {', '.join(_STARTS)}\nKeep one: it says where this stage's model starts.")
        refuse_mismatch(None, self.keep_layers)
        if (self.model is None) != (self.license is None):
            raise ValueError("needs `model` and `license` together\nWrite the licence of the model that this stage starts from.")
        return self


class Stage(Declared):
    """One distillation before the last."""

    name: str = ""
    """Name in records; default its number."""
    previous: Previous = "teacher"
    """What the model of the stage before does here: it teaches, or it is where this stage's model starts. Means nothing in the first."""
    student: StageStart | None = None
    """Where this stage's model starts; absent: as the release's ``student`` says, from the model that teaches here."""
    distillation: Distillation
    """How it is trained, on the release's data."""

    @model_validator(mode="after")
    def _learns_from_weights(self) -> Stage:
        if any(term.kind == "teacher_text" for term in self.distillation.terms):
            raise ValueError("has a stage with teacher_text\nLet the teacher write in the last stage, or before with `kdgov generate`.")
        if self.previous == "student" and self.student is not None:
            raise ValueError("starts from the model before, and names another start\nRemove `student:`, or write `previous: teacher`.")
        return self


class Staged(Declared):
    """The keys of a release that tell of stages."""

    stages: list[Stage] = Field(default_factory=list)
    """Distillations before the one under ``distillation``, in order; without that key the last entry is it."""
    previous: Previous = "teacher"
    """What the last stage's model does in ``distillation``: it teaches (assistant, self-distillation), or the student starts from it."""


def last_stage_is_the_recipe(value: Any) -> Any:
    """A release whose distillations all stand under ``stages``: the last of them is its ``distillation``, as every reader expects.

    A stage that starts from a model of its own brings that model's licence into the release's case.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("stages"), list) or not value["stages"]:
        return value
    found, stages = dict(value), list(value["stages"])
    if found.get("distillation") is None and isinstance(stages[-1], Mapping):
        last = dict(stages.pop())
        found |= {"stages": stages, "distillation": last.get("distillation")}
        found |= {"previous": last["previous"]} if "previous" in last else {}
        if isinstance(last.get("student"), Mapping) and isinstance(found.get("student"), Mapping):
            others = {key: entry for key, entry in found["student"].items() if key not in _STARTS}
            found["student"] = others | {key: last["student"][key] for key in _STARTS if last["student"].get(key) is not None}
    starts = [stage.get("student") for stage in stages if isinstance(stage, Mapping)]
    known = [use for use in found.get("uses") or [] if isinstance(use, Mapping)]
    brought = [
        {"use": "weights_init", "name": str(start["model"]), "license": str(start["license"])}
        for start in starts
        if isinstance(start, Mapping) and start.get("model") and start.get("license")
    ]
    further = [use for use in brought if use not in known]
    return {**found, "uses": [*(found.get("uses") or []), *further]} if further else found
