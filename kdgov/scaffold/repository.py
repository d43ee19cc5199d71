"""Writing a scaffold into a repository: all of it or nothing, and never over a file that is there unless told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kdgov.declarations.policy_file import find_policy
from kdgov.digest import write_atomic
from kdgov.errors import DeclarationError, Fault
from kdgov.scaffold.ci_jobs import GITHUB_FILE, GITLAB_FILE, GITLAB_ROOT, INCLUDE, OUTPUT, JobSettings, github_job, gitlab_job

_IGNORED = (f"{OUTPUT}/", "registry/store/", "*.key")


def gate_files(folder: Path, settings: JobSettings) -> dict[str, str]:
    """A policy to own and the CI jobs that gate results lying in the repository: path → text.

    A policy that is the repository's own already is used as it lies there.

    Raises:
        InputError: if there is no such policy.
    """
    source = find_policy(settings.policy)
    owned = f"policies/{source.stem}.yaml"
    own = {} if source.resolve() == (folder / owned).resolve() else {owned: source.read_text(encoding="utf-8")}
    return {**own, **ci_files(replace(settings, policy=owned))}


def ci_files(settings: JobSettings) -> dict[str, str]:
    """Both CI jobs: path → text."""
    return {GITHUB_FILE: github_job(settings), GITLAB_FILE: gitlab_job(settings)}


def write_files(folder: Path, files: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write the files, `.gitignore` lines and the GitLab include; the paths written.

    Nothing is written unless everything can be. ``.gitignore`` is only added to; ``.gitlab-ci.yml`` is written only where there is
    none.

    Raises:
        DeclarationError: naming every file that is already there.
    """
    there = [folder / name for name in files if (folder / name).exists()]
    if there and not force:
        raise DeclarationError(
            Fault(file=str(path), key="", what="is already there", mend="Move it away, or overwrite it with --force.") for path in there
        )
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    written = [folder / name for name in files]
    return [*written, *_ignore(folder / ".gitignore"), *_include(folder / GITLAB_ROOT)]


def gitlab_hint(folder: Path) -> str:
    """What to add to a ``.gitlab-ci.yml`` that does not include the job; empty where it does, or where GitLab is not used."""
    root = folder / GITLAB_ROOT
    if not root.is_file() or GITLAB_FILE in root.read_text(encoding="utf-8", errors="replace"):
        return ""
    return f"{root} does not include the job yet. Add to it:\n{INCLUDE}"


def _ignore(path: Path) -> list[Path]:
    held = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    missing = [line for line in _IGNORED if line not in held.splitlines()]
    if not missing:
        return []
    joint = "" if not held or held.endswith("\n") else "\n"
    write_atomic(path, (held + joint + "\n".join(missing) + "\n").encode())
    return [path]


def _include(root: Path) -> list[Path]:
    if root.exists():
        return []
    write_atomic(root, INCLUDE.encode())
    return [root]
