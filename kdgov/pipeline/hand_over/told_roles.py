"""Which roles signed that they were told of a release's results: what the gate takes into account and puts into the bundle."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdgov.checks.findings.accountability import after_acknowledgements
from kdgov.checks.findings.rules import Stances
from kdgov.digest import digest_file
from kdgov.evidence.bundle_layout import ACKNOWLEDGEMENTS
from kdgov.evidence.derivation.acknowledgement_statement import Acknowledgement, acknowledgements, results_digest
from kdgov.evidence.trust_store import TrustStore
from kdgov.finding import Finding
from kdgov.pipeline.context import ReleaseContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRoles:
    """Acknowledgements that count."""

    by_role: Mapping[str, Acknowledgement]
    """Role → its acknowledgement."""

    @property
    def digests(self) -> dict[str, str]:
        """Role → digest of its signed statement."""
        return {role: digest_file(found.path) for role, found in sorted(self.by_role.items()) if found.path is not None}

    def over(self, findings: Sequence[Finding], context: ReleaseContext) -> tuple[Finding, ...]:
        """Findings in which these roles count as informed."""
        days = {role: found.day for role, found in self.by_role.items()}
        return tuple(after_acknowledgements(findings, days, context.release.accountable, Stances()))

    def write(self, bundle: Path) -> None:
        """Put the statements into a bundle."""
        for role, found in self.by_role.items():
            if found.path is not None:
                (bundle / ACKNOWLEDGEMENTS).mkdir(exist_ok=True)
                shutil.copyfile(found.path, bundle / ACKNOWLEDGEMENTS / f"{role}.json")


def told_roles(context: ReleaseContext, digests: Mapping[str, str], trust: TrustStore) -> ToldRoles:
    """Acknowledgements of these results in the store; one that does not count is passed over, and its role stays uninformed."""
    name, now = context.release.name, datetime.datetime.now(datetime.UTC)
    folder = context.store.root / ACKNOWLEDGEMENTS
    found = acknowledgements(folder, trust, release=name, results=results_digest(name, digests), at=now)
    return ToldRoles(by_role={role: told for role, told in found.items() if not told.fault})
