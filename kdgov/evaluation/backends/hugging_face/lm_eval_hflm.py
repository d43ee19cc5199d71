"""lm-eval's own model class on an already loaded model: the fall-back for architectures and settings the fast way does not cover."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from kdgov.evaluation.backends.hugging_face.generation import answer_length, room_for_thoughts
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, ids_digest, observed_digest
from kdgov.evaluation.backends.response_log import Answered, number
from kdgov.evaluation.plan.request import Request


class _OwnLength(HFLM):  # type: ignore[misc]
    """lm-eval's class for pairs, whose answers have their declared length: lm-eval adds the prompt's, which no decoder of a pair writes."""

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **settings: Any) -> torch.Tensor:
        # The decoder's own first token counts as well.
        return super()._model_generate(context, max_length - context.shape[1] + 1, stop, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainBackend:
    """An lm-eval model and the model it wraps."""

    lm: Any
    """lm-eval's model object."""
    asked: HuggingFaceModel
    """The same model as the harness knows it."""

    @classmethod
    def of(cls, asked: HuggingFaceModel) -> PlainBackend:
        """lm-eval's HFLM around a loaded model."""
        # By the type of its configuration alone lm-eval would take the decoder half of BART and the like for the whole.
        backend: Any = "causal" if asked.is_causal else "seq2seq"
        made = HFLM if asked.is_causal else _OwnLength
        # A state reads the padding of a batch before it reads the prompt.
        size = 1 if getattr(asked.model, "_is_stateful", False) else 16
        lm = made(pretrained=asked.model, tokenizer=asked.tokenizer, batch_size=size, max_length=asked.max_length, backend=backend)
        return cls(lm=lm, asked=asked)

    def score(self, group: Sequence[tuple[int, Request]]) -> list[Answered]:
        """Log-likelihoods of one batch through lm-eval."""
        found = []
        paired = [(i, r) for i, r in group if r.kind == "loglikelihood"]
        if paired:
            instances = [
                Instance(request_type="loglikelihood", doc={}, arguments=(self.asked.render(r.context), r.continuation), idx=0)
                for _, r in paired
            ]
            self.asked.taken()
            answers = self.lm.loglikelihood(instances, disable_tqdm=True)
            rows = [row for entered in self.asked.taken() for row in entered.tolist()]
            for (index, request), (value, is_greedy) in zip(paired, answers, strict=True):
                context, continuation = self.asked.pair(self.asked.render(request.context), request.continuation)
                is_cut = len(context) + len(continuation) > self.asked.max_length + 1
                given = [*context, *continuation][-(self.asked.max_length + 1) :]
                # A causal model never reads the last token; an encoder reads the context alone.
                fed = given[:-1] if self.asked.is_causal else context[-self.asked.max_length :]
                delivered = observed_digest(given, rows, fed=fed)
                found.append(
                    Answered(index=index, answer=[number(float(value)), bool(is_greedy)], delivered=delivered, is_truncated=is_cut)
                )
        for index, request in group:
            if request.kind == "rolling":
                text = self.asked.render(request.context)
                made = Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
                total = self.lm.loglikelihood_rolling([made], disable_tqdm=True)[0]
                found.append(Answered(index=index, answer=[number(float(total)), False], delivered=ids_digest(self.asked.encode(text))))
        return found

    def write(self, group: Sequence[tuple[int, Request]], *, seed: int) -> list[Answered]:
        """Sampled answers of one batch; the seed depends on the batch alone, so that a resumed run writes the same ones."""
        torch.manual_seed(1234 + seed)
        instances = [
            Instance(request_type="generate_until", doc={}, arguments=(self.asked.render(r.context), self._settings(r)), idx=0)
            for _, r in group
        ]
        texts = self.lm.generate_until(instances, disable_tqdm=True)
        found = []
        for (index, request), text in zip(group, texts, strict=True):
            shown = self.asked.render(request.context)
            ids = self.asked.encode(shown)
            is_cut = len(ids) > self.asked.max_length - answer_length(request.generation) - self.asked.thought_tokens
            answer = self.asked.opened_by(shown) + str(text)
            found.append(Answered(index=index, answer=answer, delivered=ids_digest(ids), is_truncated=is_cut))
        return found

    def _settings(self, request: Request) -> dict[str, Any]:
        return room_for_thoughts(self.asked, copy.deepcopy(dict(request.generation)))
