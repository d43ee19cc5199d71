"""The judges a suite declares: what turns an answer into a label."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, Field, model_validator

from kdgov.declarations.endpoint_declaration import Endpoint, TokenPrice, refuse_unfit_keys
from kdgov.declarations.endpoint_fields import KeyVariable, PlainAddress
from kdgov.declarations.load import Declared
from kdgov.declarations.named_row import NamedRow
from kdgov.declarations.suite_data import DataInSuite

DEFAULT_JUDGE = "refusal-strings"
JUDGES = ("strings", "refusal", "classifier", "guard", "openai")
"""kdgov's own kinds of judge; each is a row of `kdgov.evaluation.scoring.judges.JUDGE_KINDS` (a test holds them equal)."""
GuardName = Literal[
    "auto", "llama_guard", "wildguard", "wildguard_refusal", "harmbench", "harmbench_mistral", "shieldgemma", "qwen3guard",
    "qwen3guard_refusal", "granite_guardian", "words",
]  # fmt: skip
GUARD_FORMS: tuple[str, ...] = get_args(GuardName)
"""Families of guard models; ``auto`` reads off the checkpoint which one it is, the words of ``words`` stand under ``labels``."""


_OF_ENDPOINTS = ("api", "answers_as", "requests_per_minute", "tokens_per_minute", "extra_body", "price", "budget_usd")
"""Keys that only a judge behind an address reads, named as an endpoint's own."""


class JudgeInSuite(Declared):
    """What turns an answer into a label."""

    kind: Annotated[str, NamedRow("kdgov.judges", JUDGES)] = "strings"
    """strings (phrases), refusal (kdgov's rules in 13 languages), classifier, guard (a generative guard model), openai (an endpoint), or a
    kind that a package adds."""
    form: Literal["label", "rubric", "pairwise"] | GuardName = "label"
    """openai: label, rubric (a mark on ``scale``) or pairwise (against the teacher's answer, in both orders: better, tie, worse).
    guard: which family it is of."""
    scale: tuple[int, int] | None = None
    """rubric: lowest and highest mark."""
    version: str = "1"
    """Raised whenever the meaning changes; part of the judge's digest."""
    starts_with: list[str] = Field(default_factory=list)
    """strings: an answer that begins with one of these is a refusal (case and typographic quotes do not count)."""
    contains: list[str] = Field(default_factory=list)
    """strings: an answer that holds one of these is a refusal."""
    window: int | None = Field(default=None, ge=1)
    """strings: look at the first so many characters only."""
    positive: str = "refused"
    """strings: the label given on a match."""
    negative: str = "answered"
    """strings: the label given to any other text; an empty answer is ``empty``, neither of the two."""
    model: str | None = None
    """classifier, guard: checkpoint folder, ``${NAME}`` reads an environment variable; openai: model name."""
    labels: dict[str, str] = Field(default_factory=dict)
    """classifier, openai, guard of form words: the model's word → label."""
    base_url: PlainAddress | None = None
    """openai: address of the endpoint."""
    api: Literal["chat", "completions"] = "chat"
    """openai: which of the two is asked: messages, or plain text."""
    api_key_variable: Annotated[KeyVariable | None, Field(validation_alias=AliasChoices("api_key_variable", "key_variable"))] = None
    """openai: environment variable that holds the key; ``key_variable`` is the same."""
    answers_as: list[str] = Field(default_factory=list)
    """openai: further names under which the right model may answer."""
    prompt: str | None = None
    """openai: what it is asked; ``{prompt}`` and ``{answer}`` are filled in, or ``{prompt}``, ``{first}`` and ``{second}`` where two are
    compared. guard: its published format, where the checkpoint has no chat template."""
    guideline: str | None = None
    """guard of form shieldgemma: what answers are held against; by default its four published guidelines."""
    timeout_s: float = Field(default=60.0, gt=0)
    """openai: seconds to wait for one answer."""
    concurrency: int = Field(default=8, ge=1, le=64)
    """openai: requests in flight at once."""
    retries: int = Field(default=4, ge=0)
    """openai: how often a failed request is repeated."""
    max_tokens: int = Field(default=256, ge=1)
    """openai: length of the judge's answer."""
    terms: str = ""
    """openai: terms the judge's answers come under."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """openai: most requests started in a minute."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """openai: most tokens, read and written, in a minute."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """openai: further keys of every request; a key without a value takes that key away, such as ``{temperature: null}``."""
    price: TokenPrice | None = None
    """openai: what it charges; `kdgov check` plans with it."""
    budget_usd: float | None = Field(default=None, gt=0)
    """openai: most that this judge may be paid out of one store; what it said before counts, and is never asked for again."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a kind that an installed package adds; kdgov's own kinds take none."""
    validation: DataInSuite | None = None
    """Labelled answers (``text``, ``label``, optional ``prompt``): the evidence states the agreement with them."""
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    """Agreement below which the evaluation is refused."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> JudgeInSuite:
        if self.kind == "classifier" and not self.model:
            raise ValueError("is a classifier without a `model`\nName the checkpoint folder.")
        if self.kind == "openai" and not (self.model and self.base_url and self.prompt):
            raise ValueError("is an endpoint without model, base_url or prompt\nWrite all three.")
        if (self.kind == "guard") != (self.form in GUARD_FORMS):
            raise ValueError(
                f"is of kind {self.kind} and form {self.form}\nA guard is {', '.join(GUARD_FORMS)}; other kinds are none of them."
            )
        if self.guideline is not None and self.form != "shieldgemma":
            raise ValueError("has a `guideline`, which only a guard of form shieldgemma reads\nRemove it.")
        if self.kind == "guard" and not self.model:
            raise ValueError("is a guard without a `model`\nName the checkpoint folder.")
        if self.form == "words" and not self.labels:
            raise ValueError("is a guard of form words without `labels`\nWrite its words: `labels: {BLOCK: harmful, ALLOW: harmless}`.")
        if (self.form == "rubric") != (self.scale is not None) or (self.scale is not None and self.scale[0] >= self.scale[1]):
            raise ValueError("needs `form: rubric` and a `scale` together\nWrite `scale: [1, 5]`.")
        if self.kind == "openai" and self.prompt is not None:
            wanted = ("{first}", "{second}") if self.form == "pairwise" else ("{answer}",)
            if absent := [name for name in wanted if name not in self.prompt]:
                raise ValueError(f"has a prompt without {absent[0]}\nThe judge must see what it judges.")
        if self.kind in JUDGES and self.kind != "openai" and (idle := self._idle_keys()):
            raise ValueError(f"is of kind {self.kind} and sets {idle[0]}, which only a judge of kind openai reads\nRemove it.")
        if self.kind == "openai":
            refuse_unfit_keys(self.extra_body, has_budget=self.budget_usd is not None, has_price=self.price is not None)
        if self.kind in JUDGES and self.options:
            raise ValueError(f"is of kind {self.kind} and has `options`\nRemove them: only judges of installed packages take options.")
        if self.min_agreement is not None and self.validation is None:
            raise ValueError("has min_agreement and no `validation`\nAdd the labelled answers it is measured on.")
        return self

    def _idle_keys(self) -> list[str]:
        return [
            name for name in _OF_ENDPOINTS if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True)
        ]

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked, of a judge of kind openai."""
        return Endpoint(
            base_url=str(self.base_url),
            model=str(self.model),
            terms=self.terms or "LicenseRef-unstated",
            key_variable=self.api_key_variable,
            **{name: getattr(self, name) for name in _OF_ENDPOINTS},
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            retries=self.retries,
        )
