"""Record one release: runs, evidence, card, registered version, signed decision. Safe to repeat, to kill and to race.

What has been created is written down (``state``) before the next thing is; a repeated call goes on from there. Two jobs that
record the same decision at once both register a version, and the registry's own numbering settles it: the lower number
stands, the other job deletes its version and adopts the first.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.progress import Progress
from kdgov.recording.card.evidence_bundle import read_dossier
from kdgov.recording.client.client import RefusedByGuardError, registry_client
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.recorder import STEPS, Recorder
from kdgov.recording.recording_state import RecordingState
from kdgov.recording.run_seal import SpoiledRunError, refuse_not_uploaded

_ATTEMPTS = 3

__all__ = ["RecordedVersion", "record_release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedVersion:
    """A release as the registry now has it."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    verdict: str
    """pass, fail, inconclusive or invalid."""
    decision: str
    """Digest of decision.json."""
    run_id: str
    """Run that holds the evidence."""
    envelope: str
    """Digest of the signed statement; empty when another job had already signed."""
    is_guarded: bool
    """Whether the registry itself refuses what no passing decision covers."""
    note: str
    """What to know about the signing key; empty with a declared one."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def record_release(
    bundle: Path,
    target: RegistryTarget,
    *,
    weights: Path | None = None,
    name: str | None = None,
    upload_weights: bool = False,
    state: Path | None = None,
    progress: Progress | None = None,
    at: datetime.datetime | None = None,
) -> RecordedVersion:
    """Write a judged release into the registry, whatever its verdict.

    Args:
        bundle: folder `kdgov gate` assembled.
        target: which registry.
        weights: the student's checkpoint folder; named by path and digest, not copied.
        name: registered model; the release's name, which it must be.
        upload_weights: copy the weights into the run's artifacts as well.
        state: file that remembers what has been created, for resuming after a kill.
        progress: called as ``progress(label, done, total)``.
        at: time of recording; now by default.

    Raises:
        InputError: if the bundle is not whole, its name cannot be registered, or weights are to be uploaded to a version that
            was decided without them.
        UnavailableError: if the registry or its artifact store fails; the same call goes on later.
        RefusedByGuardError: if the registry does not accept the signature.
    """
    dossier = read_dossier(bundle)
    model = name or dossier.name
    if re.search(r"[/:%\"'<>`\x00-\x1f]", model):
        raise InputError(f"{model!r} cannot be a registered model's name", mend="Leave out / : % quotes and control characters.")
    if model != dossier.name:
        what = f"the evidence is about {dossier.name}, and no other name can be given to what was judged"
        raise InputError(what, where=model, mend="Change `name:` of the release, judge it again, and record that.")
    key = digest_json({"name": model, "decision": dossier.decision_digest, "bundle": dossier.digest})
    remembered = RecordingState.read(state, key)
    moment = at or datetime.datetime.now(datetime.UTC)
    signing = signing_for(target.store)
    tell = progress or (lambda label, done, total: None)
    tell("record", 0, STEPS)
    with registry_client(target) as client:
        recorder = Recorder(client=client, target=target, dossier=dossier, model=model, key=key, state=remembered, at=moment)
        version, (envelope, is_guarded) = _unspoiled(
            recorder, lambda found: recorder.decide(found, signing.signers, weights, upload_weights, tell), tell
        )
        if upload_weights:
            refuse_not_uploaded(client, version, weights)
    return RecordedVersion(
        name=model,
        version=int(version.version),
        verdict=dossier.verdict,
        decision=dossier.decision_digest,
        run_id=str(version.run_id),
        envelope=envelope,
        is_guarded=is_guarded,
        note=signing.note,
    )


def _unspoiled(
    recorder: Recorder, decide: Callable[[ModelVersion], tuple[str, bool]], tell: Progress
) -> tuple[ModelVersion, tuple[str, bool]]:
    """The version and what came of deciding it, in runs that hold nothing of anybody else's.

    Raises:
        RefusedByGuardError: if somebody spoils every attempt.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            version = recorder.find_or_register(tell)
            return version, decide(version)
        except SpoiledRunError as error:
            recorder.abandon()
            if attempt == _ATTEMPTS:
                mend = "Somebody writes into the runs while they are recorded: see the server's access log, then record again."
                raise RefusedByGuardError(str(error), mend=mend) from error
    raise AssertionError("an attempt answers or raises")
