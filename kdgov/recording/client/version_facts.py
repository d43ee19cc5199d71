"""What a recorded version carries beside its tags, and how a decision names it."""

from __future__ import annotations

from mlflow.entities.model_registry import ModelVersion

from kdgov.evidence.release_statement import VersionFacts

RECORDING_TAG = "kdgov-recording"
"""Outside the reserved prefix: it only names which recording a version belongs to, and proves nothing."""
SEALED_TAG = "kdgov.sealed"
"""A run that carries it is sealed, and so is a logged model's folder that holds a file of this name."""


def version_facts(version: ModelVersion) -> VersionFacts:
    """What the registry says of a version, as a decision binds it."""
    return VersionFacts(
        name=version.name,
        version=int(version.version),
        creation_timestamp=int(version.creation_timestamp),
        source=version.source or "",
        workspace=getattr(version, "workspace", None) or "default",
        run_id=version.run_id or "",
    )
