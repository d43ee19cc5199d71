"""The likeliest tokens of a teacher that runs elsewhere: asked of an engine, or read from files that somebody wrote.

Either way a distribution belongs to a token of an example, given those before it, in the student's own token ids: the teacher's tokenizer
has to be the student's. An engine is sent the ids themselves, and files are found by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdgov.checkpoints.loading import load_tokenizer
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.distillation.data.tokenization import TokenExample
from kdgov.distillation.teacher_cache.distillkit_capture import CONFIG, CaptureLayout, is_capture, layout_beside, unpacked
from kdgov.distillation.teacher_cache.generated_logits import Spelling, example_of, is_generated, spelling_of, tables_of
from kdgov.distillation.teacher_cache.told_tables import Places, Table, ranked
from kdgov.endpoints.endpoint_client import EndpointClient
from kdgov.errors import InputError
from kdgov.progress import Progress

_SUM_TOLERANCE = 1e-2
"""Low-precision engines round: their probabilities may sum to a little more than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldExample:
    """What a teacher said of one example."""

    example: TokenExample
    """The example."""
    ids: NDArray[np.int64]
    """(tokens from the first target on, k) the likeliest ids."""
    log_p: NDArray[np.float32]
    """Their log-probabilities."""


def asked_logits(
    endpoint: Endpoint, examples: Sequence[TokenExample], k: int, progress: Progress, *, known: KnownIds | None = None
) -> Iterator[ToldExample]:
    """The engine's word on each example, as its answers come.

    Args:
        endpoint: an engine whose completions tell ``prompt_logprobs``.
        examples: what is asked, as token ids.
        k: likeliest tokens per position.
        progress: told every answer.
        known: ids that are tokens of the student; None: all.

    Raises:
        InputError: if it is no such engine, or refuses.
        UnavailableError: if it cannot be reached; what it said before is handed out.
    """
    if endpoint.api != "completions":
        raise InputError(
            "the log-probabilities of a text are asked of completions",
            where="distillation.cache: endpoint.api",
            mend="Set `api: completions`; the engine has to know `prompt_logprobs`, as vLLM does.",
        )
    bodies = [{"prompt": example.ids.tolist(), "max_tokens": 1, "temperature": 0, "prompt_logprobs": k} for example in examples]
    with EndpointClient(endpoint) as client:
        for done, (place, reply) in enumerate(client.ask_all(bodies), start=1):
            choice = reply.raw["choices"][0]
            said = choice.get("prompt_logprobs", reply.raw.get("prompt_logprobs"))
            yield told_by_vllm(examples[place], said, k, where=endpoint.address, known=known)
            progress("asking the engine", done, len(bodies))


def told_by_vllm(example: TokenExample, said: Any, k: int, *, where: str, known: KnownIds | None = None) -> ToldExample:
    """VLLM's ``prompt_logprobs``: per token a mapping of id → ``{"logprob": …}``, nothing for the first.

    Raises:
        InputError: if it is something else, or another number of tokens.
    """
    if not isinstance(said, list) or len(said) < len(example.ids):
        count = len(said) if isinstance(said, list) else 0
        raise InputError(
            f"tells log-probabilities of {count} tokens where item {example.item_id} has {len(example.ids)}",
            where=where,
            mend="Use an engine that knows `prompt_logprobs`, serves the student's tokenizer and adds no token of its own.",
        )
    wanted = said[example.first_target : len(example.ids)]
    try:
        tables = [[(int(key), _value(value)) for key, value in entry.items()] for entry in wanted]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = f"has no log-probabilities for every token of {example.item_id}"
        raise InputError(told, where=where, mend="Write one mapping per token; the first may be null.") from error
    return _checked(example, ranked(tables, k, known, where=where), k, where)


def _value(value: Any) -> Any:
    return value["logprob"] if isinstance(value, Mapping) else value


def read_logits(
    files: Sequence[Path],
    examples: Sequence[TokenExample],
    k: int,
    progress: Progress,
    *,
    tokenizer_path: Path,
    recipe: Distillation,
    known: KnownIds | None = None,
) -> Iterator[ToldExample]:
    """What files say of the examples; rows about other texts are left out.

    Args:
        files: JSON lines or Parquet; a row has ``token_ids`` (or ``input_ids``), and ``top_ids`` with ``top_logprobs`` or vLLM's
            ``prompt_logprobs``: entry ``n`` is about token ``n``, the first may be empty; or it is of DistillKit's compressed capture; or
            it is a conversation (or pair) whose answer an endpoint wrote, with the endpoint's own ``logprobs``.
        examples: what is wanted.
        k: likeliest tokens per position.
        progress: told every file.
        tokenizer_path: folder of the student's tokenizer, for answers whose tokens are named by their text.
        recipe: how such answers are tokenised.
        known: ids that are tokens of the student; None: all.

    Raises:
        InputError: naming file and row: no such keys, fewer tokens than ``k``, numbers that are no log-probabilities, ids that are no
            tokens, or tables that stand one token early.
    """
    wanted, places = Wanted.of(examples, k, known), Places()
    for number, file in enumerate(files, start=1):
        layout = layout_beside(file) if (file.parent / CONFIG).is_file() else None
        spelling: Spelling | None = None
        for row in read_rows(file, Tally()):
            where = f"{file}: row {row.number}"
            if is_generated(row.value):
                spelling = spelling or spelling_of(load_tokenizer(tokenizer_path))
                yield from _of_generated(row.value, wanted, spelling, recipe, where)
            elif is_capture(row.value):
                yield from _of_capture(row.value, wanted, layout or layout_beside(file), where)
            else:
                yield from _of_row(row.value, wanted, places, where)
        progress("reading logits", number, len(files))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The examples that something has to be told of, found by their token ids."""

    by_ids: Mapping[bytes, Sequence[TokenExample]]
    """Bytes of the ids → examples."""
    lengths: Sequence[int]
    """Lengths there are, in order."""
    k: int
    """Likeliest tokens per position."""
    known: KnownIds | None = None
    """Ids that are tokens of the student; None: all."""

    @classmethod
    def of(cls, examples: Sequence[TokenExample], k: int, known: KnownIds | None = None) -> Wanted:
        """The examples, each found by its ids."""
        found: dict[bytes, list[TokenExample]] = {}
        for example in examples:
            found.setdefault(example.ids.astype(np.int64).tobytes(), []).append(example)
        return cls(by_ids=found, lengths=sorted({len(example.ids) for example in examples}), k=k, known=known)

    def beginning(self, ids: Sequence[int]) -> Iterator[TokenExample]:
        """Examples that are a text's beginning: a longer one than max_length was cut in training, and what is said of the rest holds."""
        array = np.asarray(ids, dtype=np.int64)
        for length in (n for n in self.lengths if n <= len(array)):
            yield from self.by_ids.get(array[:length].tobytes(), ())


def _of_row(row: Any, wanted: Wanted, places: Places, where: str) -> Iterator[ToldExample]:
    ids = row.get("token_ids", row.get("input_ids")) if isinstance(row, Mapping) else None
    if ids is None or not ("prompt_logprobs" in row or ("top_ids" in row and "top_logprobs" in row)):
        raise InputError(
            "needs token_ids, and top_ids with top_logprobs or prompt_logprobs",
            where=where,
            mend="Write one entry per token; the first may be null. Answers with an endpoint's `logprobs` are read as well.",
        )
    try:
        found = list(wanted.beginning(ids))
        entries = None if "prompt_logprobs" in row else [row[name] for name in ("top_ids", "top_logprobs")]
        counts = [len(ids), *map(len, entries or [])]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "holds no lists of ids and numbers", where=where, mend="Write one whole number per token, and one list of each per token."
        ) from error
    for example in found:
        part = slice(example.first_target, len(example.ids))
        if entries is None:
            one = told_by_vllm(example, row["prompt_logprobs"], wanted.k, where=where, known=wanted.known)
        elif min(counts[1:]) < len(example.ids):
            told = f"tells of {min(counts[1:])} tokens where item {example.item_id} has {len(example.ids)}"
            raise InputError(told, where=where, mend="Write one entry per token; the first may be null.")
        else:
            tables = [_pairs(a, b) for a, b in zip(*(part_of[part] for part_of in entries), strict=True)]
            one = _checked(example, ranked(tables, wanted.k, wanted.known, where=where), wanted.k, where)
        places.add(example.ids[part].tolist(), [[(i, 0.0) for i in row_ids] for row_ids in one.ids.tolist()], where=where)
        yield one


def _pairs(ids: Any, log_p: Any) -> list[tuple[Any, Any]]:
    """Ids with their numbers; something that `ranked` refuses where they are no lists of one length."""
    are_lists = all(isinstance(one, Sequence | np.ndarray) and not isinstance(one, str) for one in (ids, log_p))
    return list(zip(ids, log_p, strict=True)) if are_lists and len(ids) == len(log_p) else [(None, None)]


def _of_capture(row: Any, wanted: Wanted, layout: CaptureLayout, where: str) -> Iterator[ToldExample]:
    found = list(wanted.beginning(row["input_ids"]))
    if not found:
        return
    ids, log_p = unpacked(row, layout, where=where)
    for example in found:
        # Its entries begin with the second token.
        part = slice(example.first_target - 1, len(example.ids) - 1)
        tables = [list(zip(a, b, strict=True)) for a, b in zip(ids[part].tolist(), log_p[part].tolist(), strict=True)]
        yield _checked(example, ranked(tables, wanted.k, wanted.known, where=where), wanted.k, where)


def _of_generated(row: Any, wanted: Wanted, spelling: Spelling, recipe: Distillation, where: str) -> Iterator[ToldExample]:
    made = example_of(row, spelling, recipe, where=where)
    for example in () if made is None else wanted.by_ids.get(made.ids.astype(np.int64).tobytes(), ()):
        yield _checked(example, tables_of(row, example, spelling, wanted.k, where=where), wanted.k, where)


def _checked(example: TokenExample, tables: Sequence[Table], k: int, where: str) -> ToldExample:
    least = min((len(table) for table in tables), default=0)
    if least < k or len(tables) != len(example.ids) - example.first_target:
        raise InputError(
            f"tells {least} tokens at some place of item {example.item_id}, fewer than cache.k, which is {k}",
            where=where,
            mend=f"Set `cache.k: {max(least, 1)}`, or have more written: vLLM tells as many as `--max-logprobs` allows.",
        )
    numbers = np.asarray([[value for _, value in table] for table in tables], dtype=np.float32)
    sums = np.exp(numbers.astype(np.float64)).sum(-1)
    if not np.isfinite(numbers).all() or numbers.max(initial=-math.inf) > _SUM_TOLERANCE or sums.max(initial=0.0) > 1 + _SUM_TOLERANCE:
        raise InputError(
            f"says of item {example.item_id} what are no log-probabilities (they sum to {sums.max():.3g})",
            where=where,
            mend="Write natural logarithms of probabilities at temperature 1.",
        )
    ids = np.asarray([[number for number, _ in table] for table in tables], dtype=np.int64)
    return ToldExample(example=example, ids=ids, log_p=np.minimum(numbers, 0.0))
