"""The bill of materials of a registered version, made from its evidence."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any, Literal

from kdgov.auditing.bom.cyclonedx import cyclonedx, in_toto
from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.auditing.review.result import Subject
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.bundle import compare_bundle
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.recording.client.target import RegistryTarget

BillKind = Literal["cyclonedx", "spdx", "in-toto"]


def bill_of_materials(name: str, version: int | str, target: RegistryTarget, *, kind: str = "cyclonedx") -> dict[str, Any]:
    """The document of one standard about one version; made only from evidence that is as it was sealed.

    Args:
        name: registered model.
        version: number or ``@alias``.
        target: which registry.
        kind: cyclonedx, spdx or in-toto.

    Raises:
        InputError: if there is no such version, or its evidence is absent or not as sealed.
        UnavailableError: if the registry cannot be reached, or the library of SPDX is not installed.
    """
    # MLflow takes seconds to load: only when a registry is asked.
    fetch = importlib.import_module("kdgov.recording.client.fetch_bundle")
    facts_of = importlib.import_module("kdgov.recording.client.version_facts").version_facts
    client_of = importlib.import_module("kdgov.recording.client.client").registry_client
    with tempfile.TemporaryDirectory(prefix="kdgov-bom-") as folder, client_of(target) as client:
        found = fetch.find_version(client, name, version)
        bundle = fetch.download_bundle(client, found, into=Path(folder))
        if difference := compare_bundle(bundle):
            raise InputError(f"the evidence is not as it was sealed: {difference}", mend=f"Ask `kdgov audit {name} {version}` why.")
        shown = VersionShown(facts=facts_of(found))
        return make_bill(BundleReader(bundle), shown, kind=kind)


def make_bill(material: BundleReader, shown: VersionShown, *, kind: str) -> dict[str, Any]:
    """The document from evidence at hand; dated by the registration, so that the same version gives the same bytes.

    Raises:
        UnavailableError: if the library of SPDX is not installed.
    """
    facts = shown.facts
    weights = str(material.identities["student"].get("weights") or "")
    subject = Subject(name=facts.name, version=facts.version, run_id=facts.run_id, source=facts.source, weights=weights)
    at = shown.registered_at or "1970-01-01T00:00:00Z"
    if kind == "spdx":
        return _spdx(material, subject, at)
    document = cyclonedx(material, subject, at=at)
    return in_toto(document, subject, material) if kind == "in-toto" else document


def _spdx(material: BundleReader, subject: Subject, at: str) -> dict[str, Any]:
    try:
        module = importlib.import_module("kdgov.auditing.bom.spdx")
    except ModuleNotFoundError as error:
        raise UnavailableError("the SPDX model is not installed", mend="pip install 'kdgov[bom]'") from error
    made: dict[str, Any] = module.spdx_document(material, subject, at=at)
    return made
