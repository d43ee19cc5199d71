"""Log-likelihoods with a shared prefix: every context is computed once, and logits only where a continuation is scored.

All continuations of one context are packed behind it in one row. A four-dimensional mask lets each see the context and itself
only, and positions restart after the context, so each is scored exactly as if it stood alone. Whether an architecture allows
this is not assumed but tried: `allows_packing` compares both ways on the loaded model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, ids_digest

TOLERANCE = 1e-4
_ROWS_AT_ONCE = 4096
_CPU_TOKENS = 1024
"""Tokens of one forward pass on a processor: more of them leave its cache and cost a third more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorable:
    """One continuation to be scored behind its context."""

    index: int
    """Position among the task's requests (or windows)."""
    context: tuple[int, ...]
    """Ids of the context, at least one."""
    continuation: tuple[int, ...]
    """Ids to be scored, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One row of a batch: a context and some of its continuations."""

    context: tuple[int, ...]
    """Shared ids."""
    members: tuple[Scorable, ...]
    """Continuations behind it."""

    @property
    def length(self) -> int:
        """Tokens of the row; the last token of a continuation is scored but never fed."""
        return len(self.context) + sum(len(m.continuation) - 1 for m in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Score of one continuation."""

    index: int
    """Which one."""
    log_likelihood: float
    """Natural logarithm of its probability."""
    is_greedy: bool
    """Whether each of its tokens was the likeliest."""
    delivered: str
    """Digest of the ids that entered the model for it, as the model received them."""


def packed(requests: Sequence[Scorable], *, max_tokens: int, longest: int) -> list[list[Pack]]:
    """Batches of packs, longest first; they depend on the requests alone, so that a resumed run forms the same ones.

    Args:
        requests: what is to be scored.
        max_tokens: most tokens of one batch, padding included.
        longest: most tokens of one row.
    """
    groups: dict[tuple[int, ...], list[Scorable]] = {}
    for request in requests:
        groups.setdefault(request.context, []).append(request)
    packs = [pack for context, members in groups.items() for pack in _packs(context, members, longest)]
    packs.sort(key=lambda p: (-p.length, p.members[0].index))
    batches: list[list[Pack]] = []
    for pack in packs:
        if batches and (len(batches[-1]) + 1) * batches[-1][0].length <= max_tokens:
            batches[-1].append(pack)
        else:
            batches.append([pack])
    return batches


def _packs(context: tuple[int, ...], members: Sequence[Scorable], longest: int) -> Iterator[Pack]:
    room = max(longest, len(context)) - len(context)
    taken: list[Scorable] = []
    used = 0
    for member in members:
        need = len(member.continuation) - 1
        if taken and used + need > room:
            yield Pack(context=context, members=tuple(taken))
            taken, used = [], 0
        taken.append(member)
        used += need
    if taken:
        yield Pack(context=context, members=tuple(taken))


@torch.inference_mode()  # type: ignore[untyped-decorator]
def score_packs(asked: HuggingFaceModel, batch: Sequence[Pack]) -> list[Likelihood]:
    """Score one batch of packs."""
    width = max(p.length for p in batch)
    rows = max(1, _CPU_TOKENS // width) if asked.device.type == "cpu" else len(batch)
    return [s for start in range(0, len(batch), rows) for s in _score_part(asked, batch[start : start + rows])]


def _score_part(asked: HuggingFaceModel, batch: Sequence[Pack]) -> list[Likelihood]:
    width = max(p.length for p in batch)
    laid = _Laid(
        ids=np.zeros((len(batch), width), dtype=np.int64),
        positions=np.zeros((len(batch), width), dtype=np.int64),
        mask=np.zeros((len(batch), width, width), dtype=bool),
        wanted=[],
    )
    owners: list[tuple[int, Scorable, int]] = []
    for row, pack in enumerate(batch):
        owners += _lay_out(row, pack, laid)
    asked.taken()
    hidden = _hidden(asked, torch.from_numpy(laid.ids), torch.from_numpy(laid.positions), torch.from_numpy(laid.mask))
    received = asked.taken()
    at = torch.tensor(laid.wanted, device=hidden.device)
    log_probs, greedy = _at(asked, hidden[at[:, 0], at[:, 1]], at[:, 2])
    return _collect(owners, log_probs, greedy, received[0] if received else None, batch, at[:, 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Laid:
    ids: NDArray[np.int64]
    """(rows, width)."""
    positions: NDArray[np.int64]
    """(rows, width)."""
    mask: NDArray[np.bool_]
    """(rows, width, width), True where the first position sees the second."""
    wanted: list[tuple[int, int, int]]
    """Row, position and the token whose probability is wanted there."""


def _lay_out(row: int, pack: Pack, laid: _Laid) -> list[tuple[int, Scorable, int]]:
    n, at = len(pack.context), len(pack.context)
    ids, positions, mask = laid.ids[row], laid.positions[row], laid.mask[row]
    ids[:n], positions[:n], mask[:n, :n] = pack.context, np.arange(n), _triangle(n)
    owners = []
    for member in pack.members:
        fed = len(member.continuation) - 1
        end = at + fed
        ids[at:end], positions[at:end] = member.continuation[:-1], np.arange(n, n + fed)
        mask[at:end, :n], mask[at:end, at:end] = True, _triangle(fed)
        owners.append((row, member, at))
        laid.wanted.append((row, n - 1, member.continuation[0]))
        laid.wanted.extend((row, at + k, token) for k, token in enumerate(member.continuation[1:]))
        at = end
    # Padding sees itself, so that no row of the softmax is empty; nothing sees padding.
    rest = np.arange(at, len(ids))
    mask[rest, rest] = True
    return owners


@functools.lru_cache(maxsize=64)
def _triangle(n: int) -> NDArray[np.bool_]:
    return np.tri(n, dtype=bool)


def _hidden(asked: HuggingFaceModel, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    base = getattr(asked.model, asked.model.base_model_prefix)
    dtype = next(asked.model.parameters()).dtype
    additive = torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)[:, None]
    output = base(
        input_ids=ids.to(asked.device),
        attention_mask=additive.to(asked.device),
        position_ids=positions.to(asked.device),
        use_cache=False,
    )
    return output.last_hidden_state  # type: ignore[no-any-return]


def _at(asked: HuggingFaceModel, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    head = asked.model.get_output_embeddings()
    log_probs, greedy = [], []
    for start in range(0, len(targets), _ROWS_AT_ONCE):
        logits = head(hidden[start : start + _ROWS_AT_ONCE])
        wanted = targets[start : start + _ROWS_AT_ONCE].to(logits.device)
        normal = torch.logsumexp(logits.float(), dim=-1)
        log_probs.append((logits.float().gather(1, wanted[:, None])[:, 0] - normal).cpu())
        greedy.append((logits.argmax(dim=-1) == wanted).cpu())
    return torch.cat(log_probs), torch.cat(greedy)


def _collect(
    owners: Sequence[tuple[int, Scorable, int]],
    log_probs: torch.Tensor,
    greedy: torch.Tensor,
    received: torch.Tensor | None,
    batch: Sequence[Pack],
    targets: torch.Tensor,
) -> list[Likelihood]:
    values, flags, scored = log_probs.double().tolist(), greedy.tolist(), targets.tolist()
    rows = received.tolist() if received is not None else []
    found, at = [], 0
    for row, member, start in owners:
        n, fed = len(member.continuation), len(member.continuation) - 1
        seen = [*rows[row][: len(batch[row].context)], *rows[row][start : start + fed], scored[at + n - 1]] if rows else []
        found.append(
            Likelihood(
                index=member.index, log_likelihood=sum(values[at : at + n]), is_greedy=all(flags[at : at + n]), delivered=ids_digest(seen)
            )
        )
        at += n
    return found


@torch.inference_mode()  # type: ignore[untyped-decorator]
def allows_packing(asked: HuggingFaceModel) -> tuple[bool, str]:
    """Whether packing gives this model's own answers, and why not: tried on the loaded model, never assumed from its name."""
    config: Any = asked.model.config
    window = getattr(config, "sliding_window", None)
    if window is not None and getattr(config, "use_sliding_window", True) and window < asked.max_length:
        return False, f"attention is limited to a window of {window} tokens"
    vocab = int(asked.model.get_output_embeddings().weight.shape[0]) if asked.model.get_output_embeddings() is not None else 0
    if vocab == 0 or not hasattr(asked.model, getattr(asked.model, "base_model_prefix", "-")):
        return False, "the model has no output embedding over a base model"
    draw = torch.Generator().manual_seed(0)
    long = max(3, min(40, asked.max_length - 8))
    context = tuple(torch.randint(vocab, (long,), generator=draw).tolist())
    other = tuple(torch.randint(vocab, (2,), generator=draw).tolist())
    members = [
        Scorable(index=i, context=context, continuation=tuple(torch.randint(vocab, (i + 1,), generator=draw).tolist())) for i in range(4)
    ]
    members.append(Scorable(index=4, context=other, continuation=members[3].continuation))
    try:
        with asked.boundary():
            fast = {s.index: s for b in packed(members, max_tokens=10_000, longest=10_000) for s in score_packs(asked, b)}
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as error:
        return False, f"the packed forward pass fails: {str(error).splitlines()[0][:120]}"
    worst = max(abs(fast[m.index].log_likelihood - plain_log_likelihood(asked, m)) / len(m.continuation) for m in members)
    limit = TOLERANCE if next(asked.model.parameters()).dtype == torch.float32 else 0.05
    if not worst <= limit:
        return False, f"packed and plain log-likelihoods differ by {worst:.2g} per token"
    return True, ""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def plain_log_likelihood(asked: HuggingFaceModel, member: Scorable) -> float:
    """Log-likelihood of one continuation by a plain forward pass: what every other way must equal."""
    ids = torch.tensor([[*member.context, *member.continuation[:-1]]], device=asked.device)
    logits = asked.model(input_ids=ids).logits[0, len(member.context) - 1 :].float()
    wanted = torch.tensor(member.continuation, device=asked.device)
    return float(torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None]).sum())
