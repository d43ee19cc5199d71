"""On-disk cache of teacher logits, keyed by example content.

A cache belongs to one teacher, tokenizer, kind and temperature: its header names them, and a cache whose header says
otherwise is refused, never read. Inside, every example is found by the digest of its own token ids (as they were cut), so
order, epochs, accumulation and other data sets make no difference. Parts are plain arrays with a digest each; nothing is
unpickled.

    header.json
    part-<digest>/part.json  ids_low.npy  [ids_high.npy]  values.npy  [tail.npy]
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdgov.checkpoints.identity import ModelIdentity
from kdgov.checkpoints.tokenizer_mapping import KnownIds
from kdgov.declarations.distillation import Distillation, SoftTargets, TeacherCache
from kdgov.digest import digest_json, write_atomic
from kdgov.distillation.data.tokenization import TokenCollator, TokenExample
from kdgov.distillation.losses.forward import Pass, Wanted
from kdgov.distillation.teacher_cache.cache_parts import CacheHeader, Part, PartWriter, is_being_written
from kdgov.distillation.teacher_cache.told_logits import ToldExample
from kdgov.errors import InputError
from kdgov.progress import Progress
from kdgov.source_digest import source_digest

SCHEMA = "kdgov.teacher_cache/1"
_HEADER = "header.json"
_PART_TOKENS = 200_000
_BATCH_TOKENS = 4096
# Small: what an engine told may have been paid for, and a kill loses no more than one part.
_TOLD_PART_TOKENS = 20_000


def header_of(recipe: Distillation, cache: TeacherCache, teacher: ModelIdentity, known: KnownIds | None = None) -> CacheHeader:
    """The header a cache for this recipe and teacher must have; ``known`` are the ids its probabilities are over, None: all."""
    soft = next(term for term in recipe.terms if isinstance(term, SoftTargets))
    size = teacher.vocab_size if known is None else known.size
    return CacheHeader(
        schema=SCHEMA,
        teacher=teacher.weights,
        teacher_config=teacher.config,
        tokenizer=teacher.tokenizer,
        kind=cache.kind,
        k=min(cache.k, size if known is None else known.count) if cache.kind == "top_k" else cache.k,
        temperature=soft.temperature,
        vocab_size=size,
        holes=() if known is None else known.holes,
        code=source_digest(__name__),
    )


Collated = Callable[[Sequence[tuple[int, TokenExample]]], dict[str, Any]]
"""Makes a batch of (row, example) pairs."""


class LogitCache:
    """One cache folder.

    Args:
        folder: where it lies; made if it is not there.
        header: what it must hold.

    Raises:
        InputError: if the folder holds another teacher's word, or a damaged part.
    """

    def __init__(self, folder: Path, header: CacheHeader) -> None:
        self.folder, self.header = folder, header
        self._parts: list[Part] = []
        self._places: dict[str, tuple[Part, int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        for part in sorted(folder.glob("part-*")):
            if part.suffix != ".partial":
                self._open(part)
            elif not is_being_written(part):
                shutil.rmtree(part, ignore_errors=True)

    @classmethod
    def shared(cls, root: Path, header: CacheHeader) -> LogitCache:
        """The cache of a header among many under one root."""
        return cls(root / digest_json(header.as_json()).removeprefix("sha256:")[:24], header)

    def __contains__(self, content: str) -> bool:
        return content in self._places

    def missing(self, examples: Sequence[TokenExample]) -> list[TokenExample]:
        """Examples it has no word on, each content once."""
        seen: dict[str, TokenExample] = {}
        for example in examples:
            if example.content not in self._places:
                seen.setdefault(example.content, example)
        return list(seen.values())

    def word_on(self, content: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Token ids and probabilities (tokens, k) of an example's kept positions."""
        part, start, count = self._places[content]
        return part.read(start, start + count, self.header.kind, self.header.k)

    @property
    def has_tail(self) -> bool:
        """Whether what is missing to one is the mass of all other tokens."""
        return self.header.kind == "top_k"

    def facts(self) -> dict[str, Any]:
        """Header, size, and the probability mass the kept tokens hold on average."""
        tokens = sum(part.tokens for part in self._parts)
        size = sum(part.size_bytes for part in self._parts)
        mass = sum(part.mass for part in self._parts) / tokens if tokens and self.has_tail else 1.0
        return {
            **self.header.as_json(),
            "tokens": tokens,
            "bytes_per_token": round(size / tokens, 1) if tokens else 0.0,
            "mass_kept": round(mass, 6),
        }

    def fill(
        self,
        examples: Sequence[TokenExample],
        teacher: Any,
        collate: TokenCollator,
        progress: Progress,
        *,
        known: KnownIds | None = None,
    ) -> int:
        """Ask the teacher about every example the cache lacks; finished parts survive a kill. Returns how many were asked."""
        lacking = sorted(self.missing(examples), key=lambda example: len(example.ids))
        run = Pass(teacher, fused=True, known=known)
        done, part = 0, PartWriter(self.header)
        for batch in _batches(lacking):
            self._ask(run, batch, collate, part)
            done += len(batch)
            progress("asking the teacher", done, len(lacking))
            if part.tokens >= _PART_TOKENS or done == len(lacking):
                self._open(part.finish(self.folder))
                part = PartWriter(self.header)
        return len(lacking)

    def take_in(self, told: Iterable[ToldExample]) -> int:
        """Keep what a teacher elsewhere tells, each content once; returns how many. What was told before an error is kept."""
        part, taken = PartWriter(self.header), 0
        seen: set[str] = set()
        try:
            for one in told:
                content = one.example.content
                if content in seen or content in self._places:
                    continue
                seen.add(content)
                part.add_top(content, one.ids, one.log_p)
                taken += 1
                if part.tokens >= _TOLD_PART_TOKENS:
                    self._open(part.finish(self.folder))
                    part = PartWriter(self.header)
        finally:
            if part.tokens:
                self._open(part.finish(self.folder))
        return taken

    def _ask(self, run: Pass, batch: Sequence[TokenExample], collate: TokenCollator, part: PartWriter) -> None:
        device = next(run.model.parameters()).device
        made = collate([(0, example) for example in batch])
        with torch.no_grad():
            answer = run({name: tensor.to(device) for name, tensor in made["inputs"].items()}, Wanted()).answer
            for row, example in enumerate(batch):
                logits = run.logits(answer[row, example.first_target - 1 : len(example.ids) - 1])
                part.add(example.content, (logits.float() / self.header.temperature).cpu())

    def _claim(self) -> None:
        file = self.folder / _HEADER
        if not file.exists():
            if any(self.folder.glob("part-*")):
                raise InputError("has parts but no header", where=str(self.folder), mend="Remove the folder; it will be made again.")
            write_atomic(file, json.dumps(self.header.as_json(), indent=2, sort_keys=True).encode())
            return
        found = json.loads(file.read_bytes())
        wanted = self.header.as_json()
        differing = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        if differing:
            said = "; ".join(f"{key} is {found.get(key)!r}, needed {wanted.get(key)!r}" for key in differing)
            raise InputError(f"holds another cache: {said}", where=str(self.folder), mend="Name another `cache.folder`, or remove it.")

    def _open(self, folder: Path) -> None:
        part = Part(folder)
        self._parts.append(part)
        for content, start, count in part.contents:
            self._places[content] = (part, start, count)


def cached_collator(
    collate: Callable[[Sequence[tuple[int, TokenExample]]], dict[str, Any]], cache: LogitCache
) -> Callable[[Sequence[tuple[int, TokenExample]]], dict[str, Any]]:
    """Batches that carry the teacher's word on every kept token, in the order the kept tokens are read off the batch."""

    def with_word(items: Sequence[tuple[int, TokenExample]]) -> dict[str, Any]:
        batch = collate(items)
        words = [_counted(example, *cache.word_on(example.content)) for _, example in items]
        batch["kept_ids"] = torch.from_numpy(np.concatenate([ids for ids, _ in words]))
        batch["kept_probabilities"] = torch.from_numpy(np.concatenate([values for _, values in words]))
        batch["has_tail"] = torch.tensor([cache.has_tail] * len(items))
        return batch

    return with_word


def _counted(example: TokenExample, ids: NDArray[np.int64], values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The teacher's word on the tokens that count; the cache holds it on all from the first target on."""
    counted = example.counted[example.first_target :]
    return ids[counted], values[counted]


def _batches(examples: Sequence[TokenExample]) -> list[list[TokenExample]]:
    batches: list[list[TokenExample]] = []
    for example in examples:
        if not batches or (len(batches[-1]) + 1) * len(example.ids) > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(example)
    return batches
