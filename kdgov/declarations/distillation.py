"""How a student is trained: a list of weighted terms, and the run that adds them up."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kdgov.declarations.load import Declared
from kdgov.declarations.named_row import NamedRow
from kdgov.declarations.release_parts.further_teachers import FurtherTeacher as FurtherTeacher
from kdgov.declarations.release_parts.held_out_split import HeldOut as HeldOut
from kdgov.declarations.release_parts.teacher_cache_options import TeacherCache as TeacherCache
from kdgov.declarations.release_parts.teacher_writing import TeacherText as TeacherText

LOSSES = ("forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "adaptive_kl")
"""kdgov's own divergences; each is a row of `kdgov.distillation.losses.divergence.DIVERGENCES` (a test holds them equal)."""
Divergence = Annotated[str, NamedRow("kdgov.losses", LOSSES)]
LayerMap = Literal["uniform", "last"] | list[tuple[int, int]]
Side = Literal["decoder", "encoder"]
Weight = Annotated[float, Field(gt=0)]
Temperature = Annotated[float, Field(gt=0, le=100)]


class SoftTargets(Declared):
    """The teacher's distribution over classes or tokens, as the student's target."""

    kind: Literal["soft_targets"]
    """Tag."""
    loss: Divergence = "forward_kl"
    """Divergence between the two distributions; ``forward_kl`` is KL(teacher || student)."""
    temperature: Temperature = 2.0
    """Softens both distributions."""
    temperature_squared: bool = True
    """Multiplies the loss by the squared temperature, so that its gradient keeps its size (Hinton et al. 2015)."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """Weight of the teacher in the mixture of ``jensen_shannon``."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class HardLabels(Declared):
    """Cross-entropy on the data's own tokens or labels."""

    kind: Literal["hard_labels"]
    """Tag."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class HiddenStates(Declared):
    """Hidden states (or feature maps) of matched layers; a learned projection bridges different widths."""

    kind: Literal["hidden_states"]
    """Tag."""
    distance: Literal["mse", "cosine"] = "mse"
    """Mean squared error, or one minus cosine similarity."""
    layers: LayerMap = "uniform"
    """Pairs ``[teacher, student]`` of layer outputs counted from 0, or ``uniform`` (spread evenly), or ``last``."""
    side: Side = "decoder"
    """Whose layers, where a model has an encoder that reads and a decoder that writes."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class Attention(Declared):
    """Attention maps of matched layers, averaged over heads: KL(teacher || student) per query."""

    kind: Literal["attention"]
    """Tag."""
    layers: LayerMap = "last"
    """Pairs ``[teacher, student]`` of layers counted from 0, or ``uniform``, or ``last``."""
    side: Side | Literal["cross"] = "decoder"
    """Whose maps, where a model has an encoder that reads and a decoder that writes; ``cross``: the decoder's over what was read."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


Relation = Literal["query", "key", "value"]


def _all_relations() -> list[Relation]:
    return ["query", "key", "value"]


class AttentionRelation(Declared):
    """Relations among queries, keys and values of one layer (MiniLMv2): works across widths and head counts."""

    kind: Literal["attention_relation"]
    """Tag."""
    relations: list[Relation] = Field(default_factory=_all_relations, min_length=1)
    """Which scaled dot-product relations are matched."""
    relation_heads: int = Field(default=4, ge=1)
    """Heads both models' vectors are split into; must divide both widths."""
    layers: LayerMap = "last"
    """Pairs ``[teacher, student]`` of layers counted from 0, or ``uniform``, or ``last``."""
    side: Side = "decoder"
    """Whose self-attention, where a model has an encoder that reads and a decoder that writes."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class OnPolicy(Declared):
    """Generalised knowledge distillation: the student's own samples, scored by the teacher."""

    kind: Literal["on_policy"]
    """Tag."""
    fraction: float = Field(default=0.5, gt=0, le=1)
    """Share of steps that train on the student's own samples (λ)."""
    loss: Divergence = "reverse_kl"
    """Divergence on the sampled tokens."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """Weight of the teacher in the mixture of ``jensen_shannon``."""
    temperature: Temperature = 1.0
    """Softens both distributions in the loss."""
    sampling_temperature: Temperature = 1.0
    """Temperature the student samples at."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Longest sample."""
    weight: Weight = 1.0
    """Factor of this term on the steps it is used."""


class UniversalLogits(Declared):
    """Across tokenizers: the teacher's distribution where both end a token; what the two share is compared directly."""

    kind: Literal["universal_logits"]
    """Tag."""
    temperature: Temperature = 1.0
    """Softens both distributions."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class Embeddings(Declared):
    """The teacher's embedding of a text; a learned projection bridges different widths and stays behind."""

    kind: Literal["embeddings"]
    """Tag."""
    distance: Literal["cosine", "mse"] = "cosine"
    """One minus cosine similarity, or mean squared error."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


class MarginError(Declared):
    """How much higher the teacher scores a passage than another one to the same query (margin-MSE, arXiv:2010.02666)."""

    kind: Literal["margin_mse"]
    """Tag."""
    weight: Weight = 1.0
    """Factor of this term in the sum."""


Term = Annotated[
    SoftTargets
    | HardLabels
    | HiddenStates
    | Attention
    | AttentionRelation
    | TeacherText
    | OnPolicy
    | UniversalLogits
    | Embeddings
    | MarginError,
    Field(discriminator="kind"),
]


def _default_terms() -> list[Term]:
    return [SoftTargets(kind="soft_targets", weight=0.5), HardLabels(kind="hard_labels", weight=0.5)]


class Distillation(Declared):
    """One training run: what is added up, over which steps."""

    terms: list[Term] = Field(default_factory=_default_terms, min_length=1)
    """Weighted terms of the loss."""
    task: Literal[
        "auto", "causal_lm", "seq2seq_lm", "masked_lm", "text_classification", "token_classification", "question_answering", "embedding",
        "image_classification", "audio_classification", "speech_to_text", "ctc",
    ] = "auto"  # fmt: skip
    """What the models do; ``auto`` reads it from the teacher's architecture."""
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps: fixed, so that a run can be repeated."""
    batch_size: int = Field(default=16, ge=1)
    """Examples per optimiser step over all processes, before ``gradient_accumulation`` splits it."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """Parts each batch is worked through in; changes memory, not the result."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; absent: 5 % of ``steps``."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Learning rate after warm-up."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Gradient clipping."""
    max_length: int = Field(default=512, ge=2)
    """Tokens kept of each example."""
    language: str | None = None
    """Language that a speech model of several (Whisper) is told to write, such as ``en``; absent: what its tokenizer is set to."""
    loss_on: Literal["auto", "completion", "last", "assistant_turns", "all"] = "auto"
    """Tokens learnt: ``auto``, ``completion``, ``last``: a completion, a conversation's last answer, else all; or all assistant turns."""
    weighting: Literal["token", "example"] = "token"
    """What weighs equally: every kept token, or every example however long."""
    length_bucketing: bool = True
    """Batches of similar length: less padding, order still shuffled by the seed."""
    packing: bool = False
    """Several examples of a batch in one row, without attention across them and with the same loss: no padding is computed."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type the student computes in (autocast, on CPU and accelerator alike); its weights stay in float32 while it learns."""
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the saved weights; absent: ``dtype``."""
    fused_head: bool = True
    """Fuses output head and loss per chunk of tokens: less memory, less time, same numbers."""
    chunk_tokens: int = Field(default=512, ge=16)
    """Tokens per chunk of the fused loss, at most; on a CPU no more than have 16 MB of logits."""
    further_teachers: list[FurtherTeacher] = Field(default_factory=list)
    """Teachers beside the release's own (weight 1), mixed by weight; layers and embeddings are compared with the first alone."""
    cache: TeacherCache | None = None
    """Keep the teacher's distributions instead of running it every step."""
    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints a killed run resumes from."""
    held_out: HeldOut | None = None
    """Watch the loss on examples kept out of training; absent: all examples are learnt from."""
    report_to: list[str] = Field(default_factory=list)
    """Trackers of transformers that are told every step, such as ``mlflow``, ``tensorboard``, ``wandb``; no decision reads them."""
    calibration: str | None = None
    """Digest (or path) of the table that proposed temperature, weights and learning rate; `kdgov distill --calibrate` prints it. It is
    looked up and compared with the recipe."""
    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, order and dropout."""
    trainer: dict[str, Any] = Field(default_factory=dict)
    """Further `transformers.TrainingArguments`, such as ``fsdp`` or ``deepspeed``; keys set above may not be repeated here."""

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Distillation:
        kinds = [term.kind for term in self.terms]
        # Maps of encoder and decoder are two terms.
        named = [(term.kind, getattr(term, "side", "")) for term in self.terms]
        repeated = sorted({kind for kind, side in named if named.count((kind, side)) > 1} - {"hidden_states", "teacher_text"})
        if repeated:
            raise ValueError(f"repeats the term {', '.join(repeated)}\nWrite each of them once; add up their weights.")
        if self.cache is not None and not {"soft_targets"} & set(kinds):
            raise ValueError("has a cache but no soft_targets to fill it\nRemove `cache:` or add a soft_targets term.")
        needs_teacher = set(kinds) - {"soft_targets", "hard_labels", "teacher_text"}
        if self.cache is not None and needs_teacher:
            raise ValueError(
                f"has a cache, but {', '.join(sorted(needs_teacher))} needs the teacher itself at every step\n"
                "Remove `cache:` or those terms."
            )
        if self.cache is not None and (wrong := self._uncacheable()):
            raise ValueError(f"has a cache, which cannot serve {wrong}\nUse `loss: forward_kl` with a cache, or remove `cache:`.")
        if self.packing and (wrong := self._unpackable()):
            raise ValueError(f"packs examples, which {wrong} cannot take apart again\nRemove `packing:` or that term.")
        if self.further_teachers and (wrong := self._unmixable()):
            raise ValueError(f"mixes teachers, {wrong}\nRemove `further_teachers:` or that.")
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"has batch_size {self.batch_size}, which gradient_accumulation {self.gradient_accumulation} does not divide\n"
                "Choose a divisor of the batch size."
            )
        return self

    def _uncacheable(self) -> str:
        # Other divergences need the student's mass on tokens the cache left out.
        for term in self.terms:
            if isinstance(term, SoftTargets) and term.loss != "forward_kl":
                return term.loss
            if isinstance(term, SoftTargets) and self.cache is not None and self.cache.kind == "sampled" and term.temperature != 1.0:
                return "a temperature other than 1 from sampled logits"
        return ""

    def _unmixable(self) -> str:
        kinds = {term.kind for term in self.terms}
        if self.cache is not None:
            return "and a cache holds the distribution of one"
        if not kinds & {"soft_targets", "on_policy"}:
            return "and has no soft_targets or on_policy term that learns their distribution"
        single = sorted(kinds & {"universal_logits", "embeddings", "margin_mse"})
        return f"which {single[0]} cannot" if single else ""

    def _unpackable(self) -> str:
        return ", ".join(term.kind for term in self.terms if term.kind not in ("soft_targets", "hard_labels", "teacher_text"))

    @property
    def needs_weights(self) -> list[str]:
        """Kinds of terms that need the teacher's logits or layers: what an endpoint does not give, unless it or a file tells them."""
        told = {"soft_targets"} if self.cache is not None and self.cache.source != "weights" else set()
        return sorted({term.kind for term in self.terms} - {"teacher_text", "hard_labels"} - told)

    @property
    def warmup(self) -> int:
        """Steps of linear warm-up, with the default filled in."""
        return self.warmup_steps if self.warmup_steps is not None else self.steps // 20
