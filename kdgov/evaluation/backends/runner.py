"""Asking one model every request of one task: batches, progress, resume, truncation and the boundary's record."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from lm_eval import utils as lm_eval_utils

from kdgov.errors import InputError
from kdgov.evaluation.backends.distributed import barrier
from kdgov.evaluation.backends.endpoint import BATCH, Served
from kdgov.evaluation.backends.hugging_face.causality import refuse_shown_answers
from kdgov.evaluation.backends.hugging_face.generation import (
    Prompt,
    answer_length,
    decodes_here,
    is_greedy,
    prompt_batches,
    write_answers,
    write_one,
)
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, ids_digest
from kdgov.evaluation.backends.hugging_face.likelihood import Scorable, allows_packing, packed, score_packs
from kdgov.evaluation.backends.hugging_face.model_faults import named_fault
from kdgov.evaluation.backends.response_log import Answered, AnswerLog, Record, number
from kdgov.evaluation.plan.request import PlannedTask, Request
from kdgov.progress import Progress

if TYPE_CHECKING:
    from kdgov.evaluation.backends.hugging_face.lm_eval_hflm import PlainBackend

Batch = tuple[str, Callable[[], list[Answered]]]


@dataclass(slots=True, kw_only=True)
class RequestRunner:
    """One loaded model with the way it is asked."""

    asked: HuggingFaceModel
    """The model."""
    batch_tokens: int
    """Most tokens of one batch, padding included."""
    packs: bool = False
    """Whether log-likelihoods share their context."""
    why_not: str = ""
    """Why they do not."""
    plain: PlainBackend | None = field(default=None)
    """lm-eval's own model class, where packing or own decoding is not possible."""
    served: Served | None = field(default=None)
    """The engine that answers, where none is loaded here."""

    @classmethod
    def of(cls, asked: HuggingFaceModel, *, batch_tokens: int, use_lm_eval: bool = False) -> RequestRunner:
        """An asker that tried out what the model allows."""
        packs, why = _may_pack(asked, use_lm_eval)
        made = cls(asked=asked, batch_tokens=batch_tokens, packs=packs, why_not=why)
        if not packs:
            made.plain = _plain(asked)
        return made

    @property
    def way(self) -> dict[str, str]:
        """How log-likelihoods were computed, for the evidence."""
        if self.served is not None:
            return self.served.way
        return {"likelihoods": "shared prefix"} if self.packs else {"likelihoods": "lm-eval HFLM", "because": self.why_not}


def _plain(asked: HuggingFaceModel) -> PlainBackend:
    # Few models need it, and a tenth of a second goes into loading it.
    from kdgov.evaluation.backends.hugging_face.lm_eval_hflm import PlainBackend  # noqa: PLC0415

    return PlainBackend.of(asked)


def _may_pack(asked: HuggingFaceModel, use_lm_eval: bool) -> tuple[bool, str]:
    if use_lm_eval:
        return False, "asked for by name"
    return allows_packing(asked) if asked.is_causal else (False, "an encoder-decoder reads and writes apart")


def ask_task(
    task: PlannedTask, asker: RequestRunner, log: AnswerLog, *, progress: Progress | None = None, rank: int = 0, world: int = 1
) -> Record | None:
    """Every answer of one task, going on where an earlier run stopped; None on a process that is not the first.

    Args:
        task: what is asked.
        asker: the model.
        log: where answers are kept.
        progress: called as ``progress(label, done, total)``.
        rank: number of this process.
        world: processes that share the work, whole batches each, so that their number changes no answer.
    """
    requests = [r for item in task.items for r in item.requests]
    batches = batches_of(requests, asker)
    reached = log.reached()
    done = sum(name in reached for name, _ in batches)
    with log.appending() as stream, asker.asked.boundary():
        for number, (name, run) in enumerate(batches):
            if name in reached or number % world != rank:
                continue
            with named_fault(asker.asked.model, asker.asked.path, task.name):
                answers = run()
            log.append(stream, name, answers)
            reached[name] = answers
            done += 1
            if progress is not None:
                progress(task.name, done, len(batches))
    if world > 1:
        barrier()
        if rank != 0:
            return None
        reached = log.reached()
    return log.seal(joined_answers(requests, [a for name, _ in batches for a in reached.get(name, [])]))


def batches_of(requests: Sequence[Request], asker: RequestRunner) -> list[Batch]:
    """Requests as named batches, each to be run; formed from the requests alone.

    Raises:
        InputError: if the model cannot answer one of them.
    """
    if unknown := {r.kind for r in requests} - {"loglikelihood", "rolling", "generate", "next_token"}:
        raise InputError(f"a causal language model cannot answer {', '.join(sorted(unknown))}", mend="Name a classifier checkpoint.")
    if asker.served is not None:
        return _served_batches(requests, asker.served)
    asked = asker.asked
    scored = [(i, r) for i, r in enumerate(requests) if r.kind in ("loglikelihood", "rolling")]
    batches: list[Batch] = []
    if scored and asker.packs:
        windows, cut = _windows(asked, scored)
        longest = max(256, min(asked.max_length, asker.batch_tokens))
        for number, batch in enumerate(packed(windows, max_tokens=asker.batch_tokens, longest=longest)):
            batches.append((f"ll{number}", functools.partial(_score, asked, batch, cut)))
    elif scored:
        assert asker.plain is not None  # noqa: S101 - set with packs False
        if not asked.is_causal:
            refuse_shown_answers(asked.model, asked.path, asked.device)
        size = 16
        for start in range(0, len(scored), size):
            batches.append((f"hf{start}", functools.partial(asker.plain.score, scored[start : start + size])))
    written = [(i, r) for i, r in enumerate(requests) if r.kind == "generate"]
    own = [(i, r) for i, r in written if is_greedy(r.generation)]
    prompts, cut = _prompts(asked, own)
    # A model without a key-value cache answers one prompt at a time.
    groups = prompt_batches(prompts, max_tokens=asker.batch_tokens) if decodes_here(asked) else [[prompt] for prompt in prompts]
    for number, group in enumerate(groups):
        batches.append((f"gen{number}", functools.partial(_write, asked, group, cut)))
    mine = {i for i, _ in own}
    if sampled := [(i, r) for i, r in written if i not in mine]:
        asker.plain = asker.plain or _plain(asked)
        for start in range(0, len(sampled), 16):
            batches.append((f"sample{start}", functools.partial(asker.plain.write, sampled[start : start + 16], seed=start)))
    following = [(i, r) for i, r in enumerate(requests) if r.kind == "next_token"]
    for start in range(0, len(following), 8):
        batches.append((f"next{start}", functools.partial(_next_tokens, asked, following[start : start + 8])))
    return batches


def _served_batches(requests: Sequence[Request], served: Served) -> list[Batch]:
    if any(r.kind == "next_token" for r in requests):
        raise InputError(
            "an endpoint does not give the whole distribution of the next token",
            mend="Ask suites of kind faithfulness with --backend hf, or leave them out.",
        )
    windows, cut = _windows(served.asked, [(i, r) for i, r in enumerate(requests) if r.kind in ("loglikelihood", "rolling")])
    written = [(i, r) for i, r in enumerate(requests) if r.kind == "generate"]
    batches: list[Batch] = [
        (f"served{n}", functools.partial(served.score, windows[n : n + BATCH], cut)) for n in range(0, len(windows), BATCH)
    ]
    for n in range(0, len(written), BATCH):
        batches.append((f"written{n}", functools.partial(served.write, written[n : n + BATCH])))
    return batches


def _windows(asked: HuggingFaceModel, scored: Sequence[tuple[int, Request]]) -> tuple[list[Scorable], Mapping[int, bool]]:
    # Rolling texts become several windows of one request; their index carries the request's number.
    windows, cut = [], {}
    shown = {index: asked.render(request.context) for index, request in scored}
    asked.pairs_ahead([(shown[i], r.continuation) for i, r in scored if r.kind == "loglikelihood"])
    asked.encode_ahead([shown[i] for i, r in scored if r.kind == "rolling"])
    for index, request in scored:
        if request.kind == "rolling":
            ids = asked.encode(shown[index])
            for context, continuation in map(
                lm_eval_utils.make_disjoint_window,
                lm_eval_utils.get_rolling_token_windows(
                    token_list=ids, prefix_token=asked.prefix_id, max_seq_len=asked.max_length, context_len=1
                ),
            ):
                windows.append(Scorable(index=index, context=tuple(context), continuation=tuple(continuation)))
            continue
        context, continuation = asked.pair(shown[index], request.continuation)
        if not continuation or len(continuation) > asked.max_length:
            raise InputError(
                f"a continuation has {len(continuation)} tokens and the model takes 1 to {asked.max_length}",
                where=str(asked.path),
                mend=f"Shorten or correct the item whose continuation is {request.continuation[:60]!r}.",
            )
        keep = asked.max_length + 1 - len(continuation)
        cut[index] = len(context) > keep
        windows.append(Scorable(index=index, context=tuple(context[-keep:]), continuation=tuple(continuation)))
    asked.known.clear()
    return windows, cut


def _score(asked: HuggingFaceModel, batch: Any, cut: Mapping[int, bool]) -> list[Answered]:
    return [
        Answered(index=s.index, answer=[number(s.log_likelihood), s.is_greedy], delivered=s.delivered, is_truncated=cut.get(s.index, False))
        for s in score_packs(asked, batch)
    ]


def joined_answers(requests: Sequence[Request], answers: Sequence[Answered]) -> dict[int, Answered]:
    """Request's number → its answer; the windows of a long text add up."""
    joined: dict[int, Answered] = {}
    windows: dict[int, list[Answered]] = {}
    for answer in answers:
        if requests[answer.index].kind == "rolling":
            windows.setdefault(answer.index, []).append(answer)
        else:
            joined[answer.index] = answer
    for index, parts in windows.items():
        parts.sort(key=lambda a: a.delivered)
        total = math.fsum(float(a.answer[0]) for a in parts)
        joined[index] = Answered(index=index, answer=[number(total), False], delivered=ids_digest_of(parts))
    for index, request in enumerate(requests):
        if request.kind == "rolling" and index not in joined and request.context == "":
            joined[index] = Answered(index=index, answer=[0.0, False], delivered=ids_digest([]))
    return joined


def ids_digest_of(parts: Sequence[Answered]) -> str:
    """One digest for a text that entered in several windows."""
    return parts[0].delivered if len(parts) == 1 else ids_digest([int(p.delivered, 16) for p in parts])


def _prompts(asked: HuggingFaceModel, asks: Sequence[tuple[int, Request]]) -> tuple[list[Prompt], Mapping[int, bool]]:
    prompts, cut = [], {}
    shown = {index: asked.render(request.context) for index, request in asks}
    asked.encode_ahead(shown.values())
    for index, request in asks:
        ids = asked.encode(shown[index]) or [asked.prefix_id]
        # An encoder-decoder reads apart from what it writes: the prompt has all its room.
        wrote = answer_length(request.generation) + asked.thought_tokens if asked.is_causal else 0
        keep = max(1, asked.max_length - wrote)
        cut[index] = len(ids) > keep
        prompts.append(Prompt(index=index, ids=tuple(ids[-keep:]), settings=dict(request.generation)))
    asked.known.clear()
    return prompts, cut


def _write(asked: HuggingFaceModel, batch: Sequence[Prompt], cut: Mapping[int, bool]) -> list[Answered]:
    return [
        Answered(index=w.index, answer=w.text, delivered=w.delivered, is_truncated=cut.get(w.index, False))
        for w in (write_answers(asked, batch) if decodes_here(asked) else map(functools.partial(write_one, asked), batch))
    ]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _next_tokens(asked: HuggingFaceModel, group: Sequence[tuple[int, Request]]) -> list[Answered]:
    found = []
    for index, request in group:
        ids = asked.encode(asked.render(request.context)) or [asked.prefix_id]
        kept = ids[-asked.max_length :]
        asked.taken()
        options = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(asked.model.forward).parameters else {}
        logits = asked.model(input_ids=torch.tensor([kept], device=asked.device), **options).logits[0, -1].float()
        log_probs = torch.log_softmax(logits, dim=-1)
        received = asked.taken()
        seen = received[0][0].tolist() if received else kept
        # Five digits keep the Kullback-Leibler divergence to about 1e-5 nats and the record to a third of its size.
        answer = {"top": asked.tokenizer.decode([int(log_probs.argmax())]), "log_probs": [round(v, 5) for v in log_probs.tolist()]}
        found.append(Answered(index=index, answer=answer, delivered=ids_digest(seen), is_truncated=len(ids) > len(kept)))
    return found
