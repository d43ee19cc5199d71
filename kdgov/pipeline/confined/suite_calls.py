"""Whose suites are asked where: those that come with kdgov in this process, anybody else's in one without keys.

A suite's file runs no code of its own unless its folder is allowed, and its templates are rendered in a sandbox; the process is the second
wall, for the code that somebody allowed and for what a sandbox may miss. The results are signed here, in the parent.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.declarations.endpoint_declaration import usual_key
from kdgov.declarations.release_parts.allowed_hosts import refuse_unlisted_hosts
from kdgov.declarations.suite import find_suite, load_suite
from kdgov.declarations.suite_parts.judging_models import refuse_absent_models
from kdgov.digest import PREFIX
from kdgov.errors import InputError
from kdgov.evaluation.plan.sources import suites_digest
from kdgov.evaluation.plan.suite_code import allowed_folders
from kdgov.evidence import EVALUATION_VARIABLE, PASSPHRASE_VARIABLE, SOURCE_VARIABLE
from kdgov.pipeline.confined.confined_process import ConfinedProcess, take
from kdgov.pipeline.context import ReleaseContext
from kdgov.processes import world_size
from kdgov.progress import Progress
from kdgov.resources import data_folder

_CALLS = "kdgov.pipeline.confined.confined_calls"
_LIST_IT = "List it in the release: `allowed_hosts: [HOST]`."
_KEY_FIELDS = ("key_variable", "api_key_variable")


class SuiteCalls:
    """Calls of `kdgov.pipeline.confined.confined_calls` where they belong; a process is started when the first one needs it."""

    def __init__(
        self,
        suites: Sequence[str],
        *,
        beside: Path | None,
        store: Path,
        progress: Progress,
        declared: Mapping[str, Any] | None = None,
        hosts: Sequence[str] = (),
        keys: Sequence[str] = (),
    ) -> None:
        """Look whose suites they are.

        Args:
            suites: names or folders.
            beside: file that names them.
            store: folder of finished work.
            progress: called as ``progress(label, done, total)``.
            declared: what else names endpoints and their key variables: the release.
            hosts: hosts that the suites' judges may ask, where there is no release to list them.
            keys: variables with keys of endpoints that are asked, where there is no release to name them.

        Raises:
            InputError: if a judge asks a host that nobody listed, or allowed code would run beside keys, in one of several processes.
        """
        listed = [*hosts, *(declared or {}).get("allowed_hosts", ())]
        mend = _LIST_IT if declared else "Allow it: --allow-host HOST."
        refuse_unlisted_hosts(suites, beside=beside, allowed=listed, declared=declared or {}, mend=mend)
        files = [find_suite(name, beside=beside) for name in suites]
        self._store, self._progress = store, progress
        loaded = [load_suite(file) for file in files]
        for suite, file in zip(loaded, files, strict=True):
            refuse_absent_models(suite, file)
        documents = (declared or {}, *(suite.model_dump() for suite in loaded))
        self._keys = sorted({*keys, *(key for document in documents for key in _key_variables(document))})
        self._code = allowed_folders()
        self._process: ConfinedProcess | None = None
        self._is_foreign = bool(self._code) or any(not _is_shipped(file) for file in files)
        self.answers = store / "answers"
        """Folder of recorded answers; what allowed code may write to is kept apart from what every other evaluation reads."""
        if self._code:
            named = suites_digest(suites, beside=beside).removeprefix(PREFIX)[:24]
            self.answers = store / "answers-of-code" / named
        has_keys = any(os.environ.get(name) for name in (SOURCE_VARIABLE, EVALUATION_VARIABLE, PASSPHRASE_VARIABLE))
        if self._code and world_size() > 1 and has_keys:
            raise InputError(
                "code of suites is allowed, and the processes of one launch would share their keys with it",
                mend=f"Evaluate with one process, or unset {SOURCE_VARIABLE}, {EVALUATION_VARIABLE} and {PASSPHRASE_VARIABLE}.",
            )

    def __enter__(self) -> SuiteCalls:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._process is not None:
            self._process.__exit__(*raised)

    def call(self, function: str, *, folder: Path | None = None, further: Sequence[Path] = (), **arguments: Any) -> Any:
        """Call a function by its name.

        Args:
            function: of `kdgov.pipeline.confined.confined_calls`.
            folder: where it writes files, given to it as ``folder``; links that foreign code left are not taken over.
            further: further places it writes to, beside the recorded answers.
            arguments: its own.
        """
        if not self._is_foreign or world_size() > 1:
            given = {"folder": folder} if folder is not None else {}
            # Written out, so that what asks the models is part of every key that reaches this module.
            here = importlib.import_module("kdgov.pipeline.confined.confined_calls")
            return getattr(here, function)(code=self._code, progress=self._progress, **given, **arguments)
        process = self._started(further)
        if folder is None:
            return process.call(f"{_CALLS}:{function}", code=self._code, **arguments)
        place = process.scratch / (folder.name or "results")
        done = process.call(f"{_CALLS}:{function}", code=self._code, folder=place, **arguments)
        take(place, folder)
        return done

    def trusted(self, function: str, **arguments: Any) -> Any:
        """Call a function of kdgov that needs no suite: in the process that has loaded torch already, but never beside allowed code.

        Args:
            function: of `kdgov.pipeline.confined.confined_calls`.
            arguments: its own.
        """
        if self._process is None or self._code:
            here = importlib.import_module("kdgov.pipeline.confined.confined_calls")
            return getattr(here, function)(progress=self._progress, **arguments)
        return self._process.call(f"{_CALLS}:{function}", **arguments)

    def _started(self, further: Sequence[Path]) -> ConfinedProcess:
        if self._process is None:
            self.answers.mkdir(parents=True, exist_ok=True)
            writable = (self.answers, *further)
            self._process = ConfinedProcess(self._store, writable=writable, keys=self._keys, progress=self._progress)
            if self._code and not self._process.is_confined:
                told = "this system cannot keep files from a process (no Landlock): allowed code can read the key files that you can read"
                sys.stderr.write(f"warning: {told}; see docs/security.md\n")
        return self._process


def refuse_foreign_hosts(context: ReleaseContext) -> None:
    """Refuse a release whose suites would ask a host that it does not list.

    Raises:
        InputError: naming suite, judge and host.
    """
    declared = context.release.model_dump(mode="json")
    suites, allowed = context.release.suites, context.release.allowed_hosts
    refuse_unlisted_hosts(suites, beside=context.path, allowed=allowed, declared=declared, mend=_LIST_IT)


def _is_shipped(suite: Path) -> bool:
    return data_folder("evalsuites").resolve() in suite.resolve().parents


def _key_variables(document: Any) -> Iterator[str]:
    if isinstance(document, Mapping):
        address, names_one = document.get("base_url"), any(document.get(field) for field in _KEY_FIELDS)
        if isinstance(address, str) and not names_one and (usual := usual_key(address)) is not None:
            yield usual
        for name, value in document.items():
            if name in _KEY_FIELDS and isinstance(value, str):
                yield value
            else:
                yield from _key_variables(value)
    elif isinstance(document, (list, tuple)):
        for value in document:
            yield from _key_variables(value)
