"""How the models of one release are asked: its ``evaluation:`` section, read for one role. No torch unless a machine may have a GPU."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kdgov.declarations.effects.asked_endpoints import asked_endpoints
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.evaluation_settings import ENDPOINT_BACKENDS, RoleSettings
from kdgov.errors import UnavailableError
from kdgov.evaluation.backends.settings import BackendSettings, refuse_former_variables

BATCH_TOKENS = 4096
"""What ``batch_tokens: auto`` stands for."""
_STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_SHARDS = 2
_ACCELERATORS = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def asks_in_messages(release: Release) -> bool:
    """Whether a model of the release is asked through a chat endpoint, so that every question is put to all of them in messages."""
    return bool(asked_endpoints(release))


def asks_baseline(release: Release) -> bool:
    """Whether the untrained student is asked beside the two: what the distillation brought is the difference to it."""
    wanted = release.evaluation.baseline
    return release.distillation is not None and (release.teacher.endpoint is not None if wanted is None else wanted)


def how_for(release: Release, role: str, source: Path | Endpoint, *, stored: Collection[str] = ()) -> BackendSettings:
    """How one role is asked.

    Args:
        release: the release.
        role: teacher or student.
        source: its checkpoint folder, or the endpoint that answers for it.
        stored: types that the weights of teacher and student are stored in, such as ``BF16``; what ``dtype: auto`` goes by.

    Raises:
        InputError: if a variable is set that decided this in earlier versions.
    """
    refuse_former_variables()
    said, reask = release.evaluation.of(role), release.evaluation.reask
    if isinstance(source, Endpoint):
        asked = source if said.concurrency is None else source.model_copy(update={"concurrency": said.concurrency})
        return BackendSettings(backend=asked.api, endpoint=asked, reasoning=said.reasoning, reask=reask)
    return settings_of(said, stored=stored, proves=release.evaluation.prove)


def settings_of(said: RoleSettings, *, stored: Collection[str] = (), proves: bool = True) -> BackendSettings:
    """Declared settings of a model that is at hand, with every ``auto`` resolved.

    Raises:
        UnavailableError: where it is to be spread, and the machine has fewer than two accelerators.
    """
    refuse_few_accelerators(said)
    served: dict[str, Any] = {}
    if said.backend == "completions" and said.endpoint is not None:
        served = {"address": said.endpoint.url, "served_as": said.endpoint.model, "connection": _connection(said, said.endpoint)}
    return BackendSettings(
        # Only two models are ever served: whoever answers beside them (a root, a baseline) is asked here.
        backend={"completions": "local-completions", "chat": "hf"}.get(said.backend or "hf", said.backend or "hf"),
        device=resolved_device(said.device or "auto") if not served else "cpu",
        dtype=resolved_dtype(said.dtype or "auto", stored),
        devices=said.devices or "auto",
        batch_tokens=said.batch_tokens if isinstance(said.batch_tokens, int) else BATCH_TOKENS,
        proves=proves,
        reasoning=said.reasoning,
        **served,
    )


def _connection(said: RoleSettings, endpoint: Endpoint) -> Endpoint:
    # One request carries many prompts: several at a time only where somebody says so.
    stated = endpoint.concurrency if "concurrency" in endpoint.model_fields_set else 1
    return endpoint.model_copy(update={"concurrency": said.concurrency or stated})


def refuse_few_accelerators(*models: RoleSettings) -> None:
    """Nothing, unless a model is to be spread over accelerators that this machine does not have.

    Raises:
        UnavailableError: saying how many there are.
    """
    if not any(said.devices == "shard" and said.backend not in ENDPOINT_BACKENDS for said in models):
        return
    if (found := accelerators()) < _SHARDS:
        raise UnavailableError(
            f"evaluation.devices: shard spreads one model over at least two accelerators, and this machine has {found or 'none'}",
            where="evaluation",
            mend="Leave it out (`--set evaluation.devices=auto`), or serve the model and name its address.",
        )


def accelerators() -> int:
    """How many accelerators this machine has; torch is only asked where there may be one."""
    if not any(Path(device).exists() for device in _ACCELERATORS):
        return 0
    return int(importlib.import_module("torch").cuda.device_count())


def resolved_dtype(asked: str, stored: Collection[str]) -> str:
    """The type weights are computed in. ``auto``: as stored; where two models are stored in two types, float32 for both.

    >>> resolved_dtype("auto", {"BF16"}), resolved_dtype("auto", {"BF16", "F32"}), resolved_dtype("auto", {"I8"})
    ('bfloat16', 'float32', 'float32')
    """
    if asked != "auto":
        return asked
    return _STORED.get(next(iter(stored)), "float32") if len(set(stored)) == 1 else "float32"


def resolved_device(asked: str) -> str:
    """The torch device. ``auto``: the accelerator where there is one; torch is only asked on machines that may have one."""
    if asked != "auto":
        return asked
    is_mac = platform.system() == "Darwin" and platform.machine() == "arm64"
    if not is_mac and not any(Path(device).exists() for device in _ACCELERATORS):
        return "cpu"
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if is_mac and torch.backends.mps.is_available() else "cpu"


def cost_line(usage: Mapping[str, Any]) -> str:
    """What an endpoint was asked and what it cost, in one line."""
    about = "" if usage["is_counted"] else "about "
    told = f"{usage['answers']:,} answers, {about}{usage['input_tokens']:,} tokens read and {usage['output_tokens']:,} written"
    return f"{told}, {usage['usd']:.4f} USD" if usage.get("is_priced", bool(usage["usd"])) else f"{told}, no price declared"
