"""How a teacher writes training data: what it is asked, and which answers are kept."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kdgov.declarations.data_parts.data_use import Columns
from kdgov.declarations.data_parts.hub_data import checked_address
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import Declared

LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "he", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "th", "tr", "uk", "zh")
"""ISO 639-1 codes that the language filter tells apart."""
_NUMBER = "{answer}"


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}\nCorrect it, or escape its special characters.") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class ReasoningTraces(Declared):
    """What becomes of the thoughts that a reasoning teacher writes before its answer."""

    traces: Literal["cut", "keep"] = "cut"
    """``cut``: the student learns the answer alone; ``keep``: thoughts too, between the marks."""
    start: str = Field(default="<think>", min_length=1)
    """Mark before the thoughts."""
    end: str = Field(default="</think>", min_length=1)
    """Mark behind them."""


class FinishReason(Declared):
    """Keeps answers that ended as they should; answers of which nobody says how they ended are kept and counted."""

    kind: Literal["finish_reason"]
    """Tag."""
    keep: list[str] = Field(default_factory=lambda: ["stop"], min_length=1)
    """Reasons that are kept: ``stop``, ``length`` (cut; learnt without an end), ``tool_calls`` …"""


class Duplicates(Declared):
    """Keeps the first of equal answers to equal prompts."""

    kind: Literal["duplicates"]
    """Tag."""
    of: Literal["prompt_and_answer", "answer"] = "prompt_and_answer"
    """``answer``: an answer is kept once whatever was asked."""


class Refusals(Declared):
    """Drops answers that refuse, by the rules of the refusal suite. Not a default: a student without refusals is less safe."""

    kind: Literal["refusals"]
    """Tag."""
    partial: Literal["keep", "drop"] = "keep"
    """What becomes of answers that refuse and then give part of what was asked."""


class Length(Declared):
    """Keeps answers between two lengths."""

    kind: Literal["length"]
    """Tag."""
    min_characters: int | None = Field(default=None, ge=0)
    """Shortest answer."""
    max_characters: int | None = Field(default=None, ge=1)
    """Longest answer."""
    min_words: int | None = Field(default=None, ge=0)
    """Fewest words, split at blanks."""
    max_words: int | None = Field(default=None, ge=1)
    """Most words."""

    @model_validator(mode="after")
    def _says_something(self) -> Length:
        if all(value is None for value in (self.min_characters, self.max_characters, self.min_words, self.max_words)):
            raise ValueError("is a length filter without a length\nWrite min_characters, max_characters, min_words or max_words.")
        return self


class PatternFilter(Declared):
    """Keeps answers in which a pattern is found, or is not."""

    kind: Literal["pattern"]
    """Tag."""
    must_match: Pattern | None = None
    """Regular expression that has to be found in the answer."""
    must_not_match: Pattern | None = None
    """Regular expression that may not be found in it."""

    @model_validator(mode="after")
    def _says_something(self) -> PatternFilter:
        if self.must_match is None and self.must_not_match is None:
            raise ValueError("is a pattern filter without a pattern\nWrite must_match, must_not_match or both.")
        return self


class Language(Declared):
    """Keeps answers in some languages; an answer too short to tell is kept and counted."""

    kind: Literal["language"]
    """Tag."""
    keep: list[str] = Field(min_length=1)
    """ISO 639-1 codes, such as ``en``."""

    @model_validator(mode="after")
    def _knows_them(self) -> Language:
        if unknown := sorted(set(self.keep) - set(LANGUAGES)):
            raise ValueError(f"names {', '.join(unknown)}, which it cannot tell apart\nUse among: {', '.join(LANGUAGES)}.")
        return self


class Judge(Declared):
    """A model rates each answer; its rating is the first number in what it says (after its thoughts)."""

    kind: Literal["judge"]
    """Tag."""
    endpoint: Endpoint
    """Who is asked."""
    prompt: str = (
        "Rate from 1 to 10 how correct and helpful the answer is. Reply with the number only.\n\nQuestion:\n{prompt}\n\nAnswer:\n{answer}"
    )
    """What it is asked: ``{prompt}`` (of a conversation: all its turns) and ``{answer}`` are filled in."""
    at_least: float | None = None
    """Least rating that is kept; absent: it only rates, for ``best_of``."""
    max_tokens: int | None = Field(default=16, ge=1)
    """Longest reply, in tokens; a judge that thinks needs more."""
    on_no_rating: Literal["drop", "stop"] = "drop"
    """What becomes of an answer for which the judge says no number: dropped and counted, or the command stops."""

    @model_validator(mode="after")
    def _shows_the_answer(self) -> Judge:
        if _NUMBER not in self.prompt:
            raise ValueError("has a prompt that does not show the answer\nWrite {answer} where it belongs, and {prompt} for the question.")
        return self


class Verifier(Declared):
    """A command decides on each answer: exit code 0 keeps it. For code and maths.

    It reads one JSON object from standard input (``id``, ``prompt`` or ``messages``, ``answer``, ``reference``: the data's own
    completion, if any). A number on its last line is a rating for ``best_of``. It runs confined: in an empty folder, without network,
    secrets or write access elsewhere where the kernel allows that, within time, memory and file limits.
    """

    kind: Literal["verifier"]
    """Tag."""
    command: list[str] = Field(min_length=1)
    """Program and arguments; an argument that names a file beside the release is passed as its whole path."""
    time_limit_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds for one answer; the answer is dropped when they are over."""
    memory_mb: int = Field(default=1024, ge=64)
    """Address space it may have."""
    must_be_isolated: bool = False
    """Stop where this machine cannot keep it from the network and from writing elsewhere."""


class BestOf(Declared):
    """Keeps the best answers of each prompt."""

    kind: Literal["best_of"]
    """Tag."""
    by: Literal["judge", "verifier", "shortest", "longest"]
    """What says which is better: the rating of a filter that stands before this one, or the length."""
    keep: int = Field(default=1, ge=1)
    """Answers kept per prompt; of equals the first."""


Filter = Annotated[
    FinishReason | Duplicates | Refusals | Length | PatternFilter | Language | Judge | Verifier | BestOf, Field(discriminator="kind")
]


class TeacherText(Declared):
    """Sequence-level distillation: the teacher writes completions to the data's prompts, and the student learns them."""

    kind: Literal["teacher_text"]
    """Tag."""
    prompts: Annotated[str, AfterValidator(checked_address)] | None = None
    """File (or ``hf://datasets/owner/name@COMMIT/FILE``) with a ``prompt`` per line, or ``messages`` that end in a user's turn; absent:
    the prompts of the release's own data."""
    columns: Columns = Field(default_factory=dict)
    """Key of a line of ``prompts`` as it is read (``prompt``, ``messages``) → column of the file, as in an entry of ``data:``."""
    prompt_template: str = "{prompt}"
    """How a prompt is put to the teacher; its digest is recorded. Conversations are put as they are."""
    system: str | None = None
    """System message; the student does not see it. A conversation that has its own keeps its own."""
    endpoint: Endpoint | None = None
    """Where the teacher is served; absent: the release's own teacher writes."""
    samples_per_prompt: int = Field(default=1, ge=1)
    """Completions written per prompt."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Longest completion, in tokens of the teacher."""
    length_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What an endpoint calls the longest completion; models that think want ``max_completion_tokens``."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; absent: the likeliest token from weights, and the endpoint's own default (some refuse to be told)."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling mass; absent: 1 from weights, the endpoint's own default."""
    seed: int | None = Field(default=None, ge=0)
    """Sent to the endpoint, counted up by sample; absent: none is sent. Weights sample with the release's seed."""
    reasoning: ReasoningTraces = Field(default_factory=ReasoningTraces)
    """Thoughts before the answer: kept or cut."""
    filters: list[Filter] | None = None
    """Which answers are kept, in this order; absent: ``duplicates``, before it ``finish_reason`` for an endpoint. Empty ones never are."""
    shard_size: int = Field(default=1000, ge=1)
    """Completions per shard; each shard has its provenance record."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of a written example beside one of the release's data."""

    @model_validator(mode="after")
    def _filters_fit(self) -> TeacherText:
        if self.columns and self.prompts is None:
            raise ValueError("names columns and no prompts\nName the columns of the release's own data in its entry under `data:`.")
        seen: set[str] = set()
        for one in self.filters or ():
            if isinstance(one, BestOf) and one.by in ("judge", "verifier") and one.by not in seen:
                raise ValueError(f"keeps the best by {one.by}, and none rates before it\nPut a `kind: {one.by}` filter before `best_of`.")
            seen.add(one.kind)
        return self

    @property
    def applied_filters(self) -> list[Filter]:
        """The filters, with the default filled in."""
        if self.filters is not None:
            return self.filters
        usual: list[Filter] = [Duplicates(kind="duplicates")]
        # A cut answer that was paid for is dropped; one of weights at hand is learnt without an end.
        return [FinishReason(kind="finish_reason"), *usual] if self.endpoint is not None else usual
