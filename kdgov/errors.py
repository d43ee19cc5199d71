"""Every exception kdgov raises on purpose, in one tree.

::

    KdgovError                     what, where, how to mend
    ├── InputError                 exit 2: usage, unreadable or contradictory input
    │   ├── BlockedError           exit 1: refused before training, where no decision can be had yet
    │   ├── DeclarationError       several faults of declared files, shown together
    │   └── EndpointRefusedError   `kdgov.endpoints`: a request that cannot succeed as it is
    └── UnavailableError         exit 3: registry down, disk full, hub offline; a retry may help
        └── EndpointUnavailableError  `kdgov.endpoints`: no answer after all retries

A refusal of a release is not an exception: it is a `Decision` whose verdict is not ``pass`` (exit 1); where nothing may be trained
that could be decided on, it is a `BlockedError`.
Exceptions are caught only at the rim, in `kdgov.cli.error_boundary`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EXIT_DONE = 0
EXIT_BLOCKED = 1
EXIT_INPUT = 2
EXIT_ENVIRONMENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in one place of one file."""

    file: str
    """Path as the user wrote it; empty where no file is involved."""
    key: str
    """Path of the key, such as ``criteria[2].margin``; empty for the whole file."""
    what: str
    """What is wrong, in the words of the user's file."""
    mend: str
    """What to write or do instead."""
    line: int = 0
    """Line of the key, counted from 1; 0 where unknown."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        where = ": ".join(part for part in (place, self.key) if part)
        head = f"{where}: {self.what}" if where else self.what
        return f"{head}\n  {self.mend}" if self.mend else head


class KdgovError(Exception):
    """Base of every deliberate error: what went wrong, where, and how to mend it."""

    exit_code = EXIT_INPUT

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The single fault as a tuple, so that every error prints alike."""
        return (Fault(file=self.where, key="", what=self.what, mend=self.mend),)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class InputError(KdgovError):
    """The input is at fault; the same call will fail again until it is mended."""

    exit_code = EXIT_INPUT


class BlockedError(InputError):
    """A release that may not go on: what its check blocks is not trained on."""

    exit_code = EXIT_BLOCKED


class DeclarationError(InputError):
    """One or several faults found while reading declared files, all at once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = tuple(faults)
        super().__init__(self._faults[0].what, where=self._faults[0].file, mend=self._faults[0].mend)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults, in the order of the file."""
        return self._faults


class UnavailableError(KdgovError):
    """The environment is at fault; a retry may help once it is mended."""

    exit_code = EXIT_ENVIRONMENT
