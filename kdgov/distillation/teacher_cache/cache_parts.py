"""The parts a teacher cache is made of: plain arrays with a digest each, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgov.checkpoints.digests import remembered_digest
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import InputError

_PART = "part.json"
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
    """Size of the whole distribution: rows that may have a probability, or the highest of them where some do not."""
    holes: tuple[int, ...] = ()
    """Ids below it that are no token and have none."""
    code: str
    """Digest of the code that loads and asks the teacher: what another loader was told is no word of this one."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of all fields; holes only where there are any."""
        fields = asdict(self)
        holes = fields.pop("holes")
        return fields | ({"holes": list(holes)} if holes else {})


class PartWriter:
    """Collects the teacher's word on examples and writes it as one part."""

    def __init__(self, header: CacheHeader) -> None:
        self._header = header
        self._contents: list[tuple[str, int, int]] = []
        self._ids: list[NDArray[Any]] = []
        self._values: list[NDArray[Any]] = []
        self._tail: list[NDArray[np.float32]] = []
        self.tokens = 0

    def add(self, content: str, logits: Tensor) -> None:
        """Take in the logits (tokens, classes) of an example's kept positions, already divided by the temperature."""
        is_top = self._header.kind == "top_k"
        ids, values, tail = _top(logits, self._header.k) if is_top else _drawn(logits, self._header.k, content)
        self._contents.append((content, self.tokens, len(ids)))
        self._ids.append(ids)
        self._values.append(values)
        self._tail.append(tail)
        self.tokens += len(ids)

    def add_top(self, content: str, ids: NDArray[np.int64], log_p: NDArray[np.float32]) -> None:
        """Take in the likeliest tokens (tokens, k) of an example's positions, as a teacher elsewhere told them."""
        kept = np.exp(log_p.astype(np.float64)).sum(-1)
        self._contents.append((content, self.tokens, len(ids)))
        self._ids.append(ids)
        # A log-probability below what half precision holds is no probability at all.
        self._values.append(np.maximum(log_p, np.finfo(np.float16).min).astype(np.float16))
        self._tail.append(np.clip(1 - kept, 0, 1).astype(np.float32))
        self.tokens += len(ids)

    def finish(self, root: Path) -> Path:
        """Write the part below ``root`` and return its folder."""
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
        try:
            os.replace(partial, folder)
        except OSError:
            # Another run has put the same there, perhaps in this very moment.
            if not folder.is_dir():
                raise
            shutil.rmtree(partial)
        return folder


def is_being_written(partial: Path) -> bool:
    """Whether the process that started an unfinished part still lives."""
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


class Part:
    """One finished part: arrays mapped from disk.

    Args:
        folder: where it lies.

    Raises:
        InputError: if it is not what was written.
    """

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
        """Ids and probabilities (tokens, k) of a run of tokens."""
        ids = self._arrays["ids_low"][start:stop].astype(np.int64)
        if "ids_high" in self._arrays:
            ids |= self._arrays["ids_high"][start:stop].astype(np.int64) << 16
        values = self._arrays["values"][start:stop].astype(np.float32)
        if kind == "sampled":
            return ids, values / np.float32(k)
        kept = np.exp(values)
        kept *= ((1 - self._arrays["tail"][start:stop]) / np.maximum(kept.sum(-1), 1e-9))[:, None]
        return ids, kept
