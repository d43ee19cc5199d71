"""What was trained, from what, how: the record that lies in the student's own folder. No clock, no host name."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kdgov import __version__
from kdgov.digest import digest_json, write_atomic
from kdgov.source_digest import source_digest

SCHEMA = "kdgov.distillation/1"
RECORD = "kdgov-distillation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationRecord:
    """One finished distillation."""

    schema: str
    """``kdgov.distillation/1``."""
    run: str
    """Digest of everything that decided the result."""
    task: str
    """What the models do."""
    teacher: Mapping[str, Any]
    """The teacher's identity, verified again after training."""
    student_start: Mapping[str, Any]
    """Where the student started."""
    student: Mapping[str, Any]
    """The student's identity."""
    data: Mapping[str, str]
    """File name → digest."""
    examples: Mapping[str, Any]
    """How many were learnt from, left out and cut short; digest of the training order."""
    recipe: Mapping[str, Any]
    """The recipe with every default filled in."""
    teacher_text: tuple[Mapping[str, Any], ...]
    """Provenance of teacher-written shards; empty where there are none."""
    cache: Mapping[str, Any]
    """Header of the teacher cache and the mass it kept; empty where the teacher ran."""
    vocabulary: Mapping[str, Any]
    """Ids compared: how many, below which one, what shows that text becomes the same ids for both, rows of both output matrices."""
    held_out: Mapping[str, Any]
    """Examples kept out, every measurement on them, the step the student is of, and whether it stopped early; empty where none were."""
    warnings: tuple[str, ...]
    """What is unusual about this run, in plain sentences."""
    seed: int
    """Seed of initialisation, order and dropout."""
    steps: int
    """Optimiser steps taken."""
    tokens: int
    """Tokens (or examples of a classifier) trained on, repeats included."""
    flops: int
    """Operations of the training, estimated: 6 per token and student parameter, 2 per token and teacher parameter where the
    teacher ran beside it; 0 where examples are no tokens (images, sound)."""
    contributions: Mapping[str, Mapping[str, float]]
    """Term → what it contributed to the loss, as it was measured: see `kdgov.distillation.loop.loss_contributions`."""
    environment: Mapping[str, Any]
    """Versions, their digest, threads, device and processes."""
    code: Mapping[str, str]
    """kdgov's version and the digest of the code that trained."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary of all fields."""
        return asdict(self)


@functools.cache
def code_version() -> Mapping[str, str]:
    """Kdgov's version, and the digest of all code that training can reach."""
    return {"kdgov": __version__, "distill": source_digest("kdgov.distillation.distillation_run")}


def environment(*, threads: int, device: str, processes: int, sharding: str = "none") -> dict[str, Any]:
    """What the run stood on: the digest of all installed versions, the main ones by name, and the machine's kind."""
    versions = {str(d.metadata["Name"]).lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}
    main = {name: versions[name] for name in ("torch", "transformers", "accelerate", "tokenizers", "safetensors") if name in versions}
    return {
        "lock": digest_json(versions),
        "versions": main,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": threads,
        "device": device,
        "processes": processes,
        "sharding": sharding,
    }


def write_record(record: DistillationRecord, *folders: Path) -> None:
    """Put the record into each folder."""
    data = json.dumps(record.as_json(), indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    for folder in folders:
        write_atomic(folder / RECORD, data)
