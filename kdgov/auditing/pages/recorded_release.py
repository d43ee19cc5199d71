"""A version's evidence as the pages read it: in place where this machine can, fetched once and kept for a while otherwise."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException

from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import BUNDLE_FOLDER, MANIFEST
from kdgov.guard.evidence import copied_evidence, local_path
from kdgov.guard.registry_rows import VersionFound, ends
from kdgov.recording.card.evidence_bundle import EvidenceBundle, read_dossier
from kdgov.recording.card.standing_header import standing_header
from kdgov.report.verdict_header import VerdictHeader

_KEPT = 8
_FETCHED: OrderedDict[str, Path] = OrderedDict()
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A version with its evidence."""

    found: VersionFound
    """What the registry says."""
    evidence: EvidenceBundle | None
    """What was sealed; None where it is not there or not as sealed."""
    fault: str = ""
    """Why there is none."""

    def header(self, *, today: str) -> VerdictHeader:
        """May it be used, why, what is open, who decides: the sealed decision's answer, under what became of it since."""
        header = self.evidence.header if self.evidence is not None else None
        return standing_header(header, self.found.tags, end=ends(self.found.tags), today=today, fault=self.fault)


def recorded(found: VersionFound) -> Recorded:
    """A version's evidence, every file compared with its manifest."""
    try:
        return Recorded(found=found, evidence=read_dossier(_folder(found)))
    except InputError as error:
        return Recorded(found=found, evidence=None, fault=f"{Path(error.where).name} {error.what}".strip())
    except (OSError, MlflowException) as error:
        return Recorded(found=found, evidence=None, fault=f"its files cannot be read ({type(error).__name__})")


def _folder(found: VersionFound) -> Path:
    local = local_path(found.artifact_uri) if found.artifact_uri else None
    if local is not None:
        if not (local / BUNDLE_FOLDER / MANIFEST).is_file():
            raise InputError("there is no evidence beside this version")
        return local / BUNDLE_FOLDER
    if not found.artifact_uri:
        raise InputError("the version names no run, so there is no evidence")
    with _LOCK:
        if found.run_id in _FETCHED:
            _FETCHED.move_to_end(found.run_id)
            return _FETCHED[found.run_id]
        place = Path(tempfile.mkdtemp(prefix="kdgov-pages-"))
        _FETCHED[found.run_id] = copied_evidence(found.artifact_uri, place / BUNDLE_FOLDER)
        while len(_FETCHED) > _KEPT:
            shutil.rmtree(_FETCHED.popitem(last=False)[1].parent, ignore_errors=True)
        return _FETCHED[found.run_id]
