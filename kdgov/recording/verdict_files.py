"""What `kdgov verify` found, as signed files that others read: see `kdgov.evidence.derivation.verdict_statements`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.evidence.derivation.verdict_statements import verification_result, verification_summary
from kdgov.evidence.signing import seal_statement
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.verify import VersionReport


def write_verdicts(report: VersionReport, target: RegistryTarget, *, svr: Path | None, vsa: Path | None) -> None:
    """Sign and write the answer; a version that does not hold, or did not pass, is written as that.

    Args:
        report: what was verified.
        target: whose store holds the key, where KDGOV_SIGNING_KEY names none.
        svr: file of the Simple Verification Result; None: not written.
        vsa: file of the Verification Summary; None: not written.

    Raises:
        InputError: if no signed decision covers the version, so that there is nothing to speak of.
    """
    if not report.predicate:
        what = f"no signed decision covers {report.name} version {report.version}, so nothing names what was judged"
        raise InputError(what, mend="Record its release with `kdgov record`.")
    now = datetime.datetime.now(datetime.UTC)
    holds = report.holds and report.verdict == "pass"
    signers = signing_for(target.store).signers
    for path, made in ((svr, verification_result), (vsa, verification_summary)):
        if path is not None:
            envelope = seal_statement(made(report.predicate, holds=holds, at=now), signers)
            write_atomic(path, (json.dumps(envelope, indent=1, sort_keys=True) + "\n").encode())
