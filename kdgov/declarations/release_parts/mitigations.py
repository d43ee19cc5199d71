"""Mitigations of a release: what keeps a model from doing harm, how it is applied to both, and what shows that it still works."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdgov.declarations.load import Declared

MITIGATION_KINDS = ("refusal_training", "system_prompt", "guard_model", "output_filter")
SAYS = "I can't help with that."


class Mitigation(Declared):
    """One mitigation; system prompt, guard and filter are part of what both models are asked, or of what is scored of their answers."""

    kind: Literal["refusal_training", "system_prompt", "guard_model", "output_filter"]
    """refusal_training (in the weights: distillation may lose it), system_prompt, guard_model (in front and behind), output_filter."""
    guards_against: str = Field(min_length=3)
    """What it is there for, in a few words."""
    criteria: list[str] = Field(default_factory=list)
    """Ids of the policy's criteria that show that it still works on the student; without one the release is blocked."""
    text: str | None = None
    """system_prompt: the text itself."""
    file: str | None = None
    """system_prompt: a file that holds it."""
    model: str | None = None
    """guard_model: checkpoint folder."""
    form: (
        Literal["auto", "llama_guard", "wildguard", "harmbench", "harmbench_mistral", "shieldgemma", "qwen3guard", "granite_guardian"]
        | None
    ) = None
    """guard_model: which family it is of; auto: as its chat template or its model card says."""
    prompt: str | None = None
    """guard_model: its published format, where the checkpoint has no chat template."""
    patterns: list[str] = Field(default_factory=list)
    """output_filter: regular expressions; an answer that one of them finds is withheld."""
    says: str = SAYS
    """guard_model, output_filter: what the user reads in place of a withheld answer."""

    @field_validator("patterns")
    @classmethod
    def _are_patterns(cls, values: list[str]) -> list[str]:
        for value in values:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}\nCorrect it.") from None
            if not value.strip():
                raise ValueError(f"{value!r} is a blank pattern, which finds every answer or every space\nWrite what is to be found.")
        return values

    @field_validator("text")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError(
                "is blank: a prompt that says nothing keeps a model from nothing\nWrite the prompt, or leave the mitigation out."
            )
        return value

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Mitigation:
        guards, speaks = self.model or self.form or self.prompt, self.says != SAYS
        needed = {
            "refusal_training": not (self.text or self.file or self.patterns or guards or speaks),
            "system_prompt": (self.text is None) != (self.file is None) and not (self.patterns or guards or speaks),
            "guard_model": bool(self.model and self.form) and not (self.text or self.file or self.patterns),
            "output_filter": bool(self.patterns) and not (self.text or self.file or guards),
        }
        if not needed[self.kind]:
            wanted = {
                "refusal_training": "no text, file, model, patterns or words of its own: it is in the weights",
                "system_prompt": "`text` or `file`, one of them, and nothing else",
                "guard_model": "`model` and `form` (and `prompt`, `says`), and nothing else",
                "output_filter": "`patterns` (and `says`), and nothing else",
            }[self.kind]
            raise ValueError(f"is of kind {self.kind}, which takes {wanted}\nWrite these keys alone.")
        return self
