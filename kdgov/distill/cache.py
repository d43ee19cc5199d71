"""The teacher's word on every token, asked once and kept on disk by the content of the example.

A cache belongs to one teacher, tokenizer, kind and temperature: its header names them, and a cache whose header says
otherwise is refused, never read. Inside, every example is found by the digest of its own token ids (as they were cut), so
order, epochs, accumulation and other data sets make no difference. Parts are plain arrays with a digest each; nothing is
unpickled.

    header.json
    part-<digest>/part.json  ids_low.npy  [ids_high.npy]  values.npy  [tail.npy]
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checkpoints.identity import ModelIdentity
from kdgov.declare.distillation import Distillation, SoftTargets, TeacherCache
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.distill.passes import Pass, Wanted
from kdgov.distill.progress import Progress
from kdgov.distill.tokens import TokenCollator, TokenExample
from kdgov.errors import InputError

SCHEMA = "kdgov.teacher_cache/1"
_HEADER, _PART = "header.json", "part.json"
_PART_TOKENS = 200_000
_BATCH_TOKENS = 4096
_DRAW_SEED = 0x6B6467


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHeader:
    """Whose word a cache holds, and in which form."""

    schema: str
    """``kdgov.teacher_cache/1``."""
    teacher: str
    """Digest of the teacher's weights."""
    teacher_config: str
    """Digest of the teacher's configuration."""
    tokenizer: str
    """Digest of the tokenizer the ids come from."""
    kind: str
    """``top_k`` or ``sampled``."""
    k: int
    """Tokens kept, or draws taken, per position."""
    temperature: float
    """Temperature the probabilities are at."""
    vocab_size: int
    """Size of the whole distribution."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of all fields."""
        return asdict(self)


def header_of(recipe: Distillation, cache: TeacherCache, teacher: ModelIdentity) -> CacheHeader:
    """The header a cache for this recipe and teacher must have."""
    soft = next(term for term in recipe.terms if isinstance(term, SoftTargets))
    return CacheHeader(
        schema=SCHEMA,
        teacher=teacher.weights,
        teacher_config=teacher.config,
        tokenizer=teacher.tokenizer,
        kind=cache.kind,
        k=min(cache.k, teacher.vocab_size) if cache.kind == "top_k" else cache.k,
        temperature=soft.temperature,
        vocab_size=teacher.vocab_size,
    )


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
        self._parts: list[_Part] = []
        self._places: dict[str, tuple[_Part, int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        for part in sorted(folder.glob("part-*")):
            if part.suffix != ".partial":
                self._open(part)
            elif not _is_being_written(part):
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

    def fill(self, examples: Sequence[TokenExample], teacher: Any, collate: TokenCollator, progress: Progress) -> int:
        """Ask the teacher about every example the cache lacks; finished parts survive a kill. Returns how many were asked."""
        lacking = sorted(self.missing(examples), key=lambda example: len(example.ids))
        run = Pass(teacher, fused=True)
        done, part = 0, _PartWriter(self.header)
        for batch in _batches(lacking):
            self._ask(run, batch, collate, part)
            done += len(batch)
            progress("asking the teacher", done, len(lacking))
            if part.tokens >= _PART_TOKENS or done == len(lacking):
                self._open(part.finish(self.folder))
                part = _PartWriter(self.header)
        return len(lacking)

    def _ask(self, run: Pass, batch: Sequence[TokenExample], collate: TokenCollator, part: _PartWriter) -> None:
        device = next(run.model.parameters()).device
        made = collate([(0, example) for example in batch])
        with torch.no_grad():
            answer = run({name: tensor.to(device) for name, tensor in made["inputs"].items()}, Wanted()).answer
            for row, example in enumerate(batch):
                rows = answer[row, example.first_target - 1 : len(example.ids) - 1]
                logits = rows if run.head is None else run.head(rows)
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
        differing = [key for key in wanted if found.get(key) != wanted[key]]
        if differing:
            said = "; ".join(f"{key} is {found.get(key)!r}, needed {wanted[key]!r}" for key in differing)
            raise InputError(f"holds another cache: {said}", where=str(self.folder), mend="Name another `cache.folder`, or remove it.")

    def _open(self, folder: Path) -> None:
        part = _Part(folder)
        self._parts.append(part)
        for content, start, count in part.contents:
            self._places[content] = (part, start, count)


def cached_collator(collate: TokenCollator, cache: LogitCache) -> Callable[[Sequence[tuple[int, TokenExample]]], dict[str, Any]]:
    """Batches that carry the teacher's word on every kept token, in the order the kept tokens are read off the batch."""

    def with_word(items: Sequence[tuple[int, TokenExample]]) -> dict[str, Any]:
        batch = collate(items)
        words = [cache.word_on(example.content) for _, example in items]
        batch["kept_ids"] = torch.from_numpy(np.concatenate([ids for ids, _ in words]))
        batch["kept_probabilities"] = torch.from_numpy(np.concatenate([values for _, values in words]))
        batch["has_tail"] = torch.tensor([cache.has_tail] * len(items))
        return batch

    return with_word


def _batches(examples: Sequence[TokenExample]) -> list[list[TokenExample]]:
    batches: list[list[TokenExample]] = []
    for example in examples:
        if not batches or (len(batches[-1]) + 1) * len(example.ids) > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(example)
    return batches


class _PartWriter:
    def __init__(self, header: CacheHeader) -> None:
        self._header = header
        self._contents: list[tuple[str, int, int]] = []
        self._ids: list[NDArray[Any]] = []
        self._values: list[NDArray[Any]] = []
        self._tail: list[NDArray[np.float32]] = []
        self.tokens = 0

    def add(self, content: str, logits: Tensor) -> None:
        is_top = self._header.kind == "top_k"
        ids, values, tail = _top(logits, self._header.k) if is_top else _drawn(logits, self._header.k, content)
        self._contents.append((content, self.tokens, len(ids)))
        self._ids.append(ids)
        self._values.append(values)
        self._tail.append(tail)
        self.tokens += len(ids)

    def finish(self, root: Path) -> Path:
        # Named by what it holds and written under the process's own name: two runs may fill one cache at a time.
        folder = root / f"part-{digest_json(self._contents).removeprefix('sha256:')[:16]}"
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        partial.mkdir()
        ids = np.concatenate(self._ids)
        arrays: dict[str, NDArray[Any]] = {"ids_low": (ids & 0xFFFF).astype(np.uint16), "values": np.concatenate(self._values)}
        if self._header.vocab_size > 0x10000:
            arrays["ids_high"] = (ids >> 16).astype(np.uint8)
        tail = np.concatenate(self._tail)
        if self._header.kind == "top_k":
            arrays["tail"] = tail
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array, allow_pickle=False)
        files = {f"{name}.npy": digest_file(partial / f"{name}.npy") for name in arrays}
        record = {"contents": self._contents, "files": files, "tokens": self.tokens, "mass": float((1 - tail.astype(np.float64)).sum())}
        write_atomic(partial / _PART, json.dumps(record).encode())
        if folder.exists():
            shutil.rmtree(partial)
        else:
            os.replace(partial, folder)
        return folder


def _is_being_written(partial: Path) -> bool:
    number = partial.name.split(".")[-2]
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _top(logits: Tensor, k: int) -> tuple[NDArray[Any], NDArray[np.float16], NDArray[np.float32]]:
    log_p = torch.log_softmax(logits, dim=-1)
    top = log_p.topk(k, dim=-1)
    # The tail is summed in float64 and kept apart: rounding the kept values must not move mass into or out of it.
    tail = (1 - top.values.double().exp().sum(-1)).clamp_(0, 1)
    return top.indices.numpy(), top.values.half().numpy(), tail.float().numpy()


def _drawn(logits: Tensor, draws: int, content: str) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.float32]]:
    # The draw depends on the example alone, so that a cache can be rebuilt to the byte.
    rng = torch.Generator().manual_seed(int(content[:12], 16) ^ _DRAW_SEED)
    drawn = torch.multinomial(torch.softmax(logits, dim=-1), draws, replacement=True, generator=rng).sort(dim=-1).values
    is_first = torch.ones_like(drawn, dtype=torch.bool)
    is_first[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    place = is_first.cumsum(-1) - 1
    counts = torch.zeros_like(drawn).scatter_add_(-1, place, torch.ones_like(drawn))
    ids = torch.zeros_like(drawn).scatter_(-1, place, drawn)
    return ids.numpy(), counts.numpy().astype(np.uint8), np.zeros(len(drawn), dtype=np.float32)


class _Part:
    """One finished part: arrays mapped from disk."""

    def __init__(self, folder: Path) -> None:
        try:
            record: Mapping[str, Any] = json.loads((folder / _PART).read_bytes())
            damaged = [name for name, digest in record["files"].items() if remembered_digest(folder / name) != digest]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"is a damaged part: {error}", where=str(folder), mend="Remove this part; it will be made again.") from error
        if damaged:
            raise InputError(
                f"is a damaged part: {', '.join(damaged)} is not what was written",
                where=str(folder),
                mend="Remove this part; it will be made again.",
            )
        self._arrays = {name.removesuffix(".npy"): np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in record["files"]}
        self.contents: list[tuple[str, int, int]] = [(str(c), int(s), int(n)) for c, s, n in record["contents"]]
        self.tokens, self.mass = int(record["tokens"]), float(record["mass"])
        self.size_bytes = sum((folder / name).stat().st_size for name in record["files"])

    def read(self, start: int, stop: int, kind: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids = self._arrays["ids_low"][start:stop].astype(np.int64)
        if "ids_high" in self._arrays:
            ids |= self._arrays["ids_high"][start:stop].astype(np.int64) << 16
        values = self._arrays["values"][start:stop].astype(np.float32)
        if kind == "sampled":
            return ids, values / np.float32(k)
        kept = np.exp(values)
        kept *= ((1 - self._arrays["tail"][start:stop]) / np.maximum(kept.sum(-1), 1e-9))[:, None]
        return ids, kept
