"""When files got their content, as far as anything honest can tell.

A file's own time says when it came to this disk: for a fresh checkout that is now, whatever the age of its content. Where
git holds the content, the commit's time counts; where git ought to know and cannot say, nobody claims to.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_LONGEST_S = 20


def written_at(files: Sequence[Path]) -> float | None:
    """The latest time, in seconds since 1970, at which one of some files got its content; None where that cannot be told.

    The commit's time for a file that git holds as it is; the file's own for one that git does not know, or that was edited
    since. None without files, and where git cannot be asked or its history is cut off (a shallow clone).
    """
    times: list[float] = []
    groups: dict[Path | None, list[Path]] = {}
    for file in files:
        groups.setdefault(_repository_of(file), []).append(file)
    for repository, held in groups.items():
        found = _own_times(held) if repository is None else _times_in(repository, held)
        if found is None:
            return None
        times += found
    return max(times, default=None)


def _repository_of(file: Path) -> Path | None:
    return next((folder for folder in file.resolve().parents if (folder / ".git").exists()), None)


def _own_times(files: Sequence[Path]) -> list[float]:
    return [file.stat().st_mtime for file in files]


def _times_in(repository: Path, files: Sequence[Path]) -> list[float] | None:
    names = {str(file.resolve().relative_to(repository.resolve())): file for file in files}
    tracked = _git(repository, "ls-files", "-z", "--", *names)
    changed = _git(repository, "diff", "--name-only", "-z", "HEAD", "--", *names)
    if tracked is None or changed is None:
        return None
    edited = set(changed.split("\0"))
    held = [name for name in tracked.split("\0") if name in names and name not in edited]
    times = _own_times([file for name, file in names.items() if name not in held])
    if not held:
        return times
    last = _git(repository, "log", "-1", "--format=%H %ct", "--", *held)
    boundary = _boundary(repository)
    if not last or boundary is None or last.split()[0] in boundary:
        return None
    return [*times, float(last.split()[1])]


def _boundary(repository: Path) -> frozenset[str] | None:
    """Commits whose parents a shallow clone left out: everything seems to have been written in them."""
    place = _git(repository, "rev-parse", "--git-path", "shallow")
    if place is None:
        return None
    file = repository / place.strip()
    return frozenset(file.read_text().split()) if file.exists() else frozenset()


def _git(repository: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(repository), "--literal-pathspecs", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
