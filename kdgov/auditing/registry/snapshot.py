"""What a registry said of one version, as plain values and a folder: everything the review needs, nothing it trusts."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kdgov.evidence.bundle_layout import BUNDLE_FOLDER
from kdgov.evidence.event_chain import LogEntry
from kdgov.evidence.release_statement import VersionFacts

ModelLink = tuple[str, str, int]
"""`input` or `output` of a run, identifier of the MLflow model, step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShown:
    """One MLflow run as the registry shows it."""

    run_id: str
    """Identifier."""
    name: str = ""
    """Name of the run; empty where it was not fetched."""
    status: str = ""
    """FINISHED, RUNNING …; empty where it was not fetched."""
    artifacts: str = ""
    """Where its files lie; empty where it was not fetched."""
    lifecycle: str = "active"
    """active or deleted."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Parameters."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Latest value per metric."""
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Every value ever logged under a metric's name, as its page draws them."""
    points: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Step and moment (milliseconds) of every value of a metric."""
    latest: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Step and moment of the latest value of a metric."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path → digest of every file in its folder, for the runs beside the release's."""
    experiment: str = ""
    """Name of its experiment; empty where it was not fetched."""
    experiment_id: str = ""
    """Its identifier."""
    started: int = 0
    """When it began, in milliseconds; 0 where unknown."""
    ended: int = 0
    """When it ended, likewise."""
    user: str = ""
    """Who is said to have made it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags, MLflow's own included."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Dataset name → digest, use and source in one line."""
    models: frozenset[ModelLink] = frozenset()
    """MLflow models that went into it or came out of it."""


LoggedNumber = tuple[str, int, float, str]
"""Metric, step, value and dataset of a logged model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModelShown:
    """The MLflow model a version points at."""

    name: str
    """Its name."""
    location: str
    """Where its files lie."""
    served_from: str
    """Where the registry sends whoever loads the version."""
    run_id: str
    """Run it says it comes from."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags, MLflow's own included."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Parameters."""
    numbers: tuple[LoggedNumber, ...] = ()
    """Metrics, as its page shows them."""
    moments: frozenset[int] = frozenset()
    """Moments of its metrics, in milliseconds."""
    metric_runs: frozenset[str] = frozenset()
    """Runs its metrics are said to come from."""
    created: int = 0
    """When it was made, in milliseconds; 0 where unknown."""
    further: Mapping[str, str] = field(default_factory=dict)
    """What else its page says of it."""
    experiment: str = ""
    """Identifier of its experiment; empty where it was not fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a recording writes beside the bundle, made again from the bundle."""

    params: Mapping[str, Mapping[str, str]]
    """Role of a run → its parameters."""
    metrics: Mapping[str, Mapping[str, float]]
    """Role of a run → its metrics."""
    tags: Mapping[str, Mapping[str, str]]
    """Role of a run → the tags its recorder sets."""
    datasets: Mapping[str, Mapping[str, str]]
    """Role of a run → its datasets."""
    curves: Mapping[str, tuple[tuple[int, float], ...]]
    """Metric of the student's run → steps and values of its training curve."""
    logged: tuple[LoggedNumber, ...]
    """Metrics of the logged model."""
    papers: Mapping[str, str]
    """Path of a card or chart → digest."""
    recording: str
    """Value of the tag that names the recording."""
    names: Mapping[str, str]
    """Role of a run → its name."""
    weights: str
    """Digest of the weights, as the logged model's parameter says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShown:
    """The log of acts as the registry shows it, whole."""

    entries: tuple[LogEntry, ...] = ()
    """From the first."""
    reason: str = ""
    """Why there is none; empty where there is."""
    broken: str = ""
    """Why it cannot be read although it is there; empty where it can."""
    faults: tuple[str, ...] = ()
    """What the guard itself found in its tables that the log's signed text contradicts."""
    free_aliases: frozenset[str] | None = None
    """Aliases the guard leaves free; None where no guard answered."""
    policies: str = ""
    """The owner's signed list of policies as the guard shows it; empty where it shows none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionShown:
    """One registered version as the registry shows it."""

    facts: VersionFacts
    """Name, number, creation time, source, run."""
    description: str = ""
    """Its card."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Version tags."""
    aliases: tuple[str, ...] = ()
    """Aliases that point at it."""
    stage: str = ""
    """MLflow stage."""
    status: str = "READY"
    """MLflow's status of the version."""
    status_message: str = ""
    """What MLflow shows beside it."""
    user: str = ""
    """Who is said to have made it: MLflow names nobody."""
    run_link: str = ""
    """Address MLflow shows for the run."""
    model_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the registered model."""
    runs: Mapping[str, RunShown] = field(default_factory=dict)
    """Role (release, teacher, student) → run."""
    files: Path | None = None
    """Folder that holds the release run's artifacts, fetched; None where they could not be."""
    model_files: Path | None = None
    """Folder that holds the logged model's own files (MLmodel), fetched."""
    logged: LoggedModelShown | None = None
    """The logged model itself; None where there is none or it could not be read."""
    expected: Expected | None = None
    """What the recording wrote beside the bundle, made again; None where the bundle is not as sealed."""
    is_partial: bool = False
    """Whether only manifest, decision and statements were fetched: what else lies there was not looked at."""
    faults: tuple[str, ...] = ()
    """What could not be fetched, and why."""

    @property
    def evidence(self) -> Path | None:
        """Folder of the bundle."""
        folder = self.files / BUNDLE_FOLDER if self.files is not None else None
        return folder if folder is not None and folder.is_dir() else None

    @property
    def registered_at(self) -> str:
        """Creation time as ISO 8601 in UTC; empty where unknown."""
        if self.facts.creation_timestamp <= 0:
            return ""
        return datetime.datetime.fromtimestamp(self.facts.creation_timestamp / 1000, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
