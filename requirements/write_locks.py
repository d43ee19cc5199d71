"""Write one lock file per extra: the part of `requirements.lock` that the extra's own requirements reach.

    .venv/bin/python requirements/write_locks.py           # writes requirements/core.lock, distill.lock …
    pip install -r requirements/core.lock && pip install --no-deps kdgov
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("core", "check", "distill", "evaluate", "registry")


def name_of(text: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def locked() -> dict[str, str]:
    """Distribution → its line of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {name_of(re.split(r"[=\[ ;@]", line, maxsplit=1)[0]): line for line in lines if line and not line.startswith("#")}


def reached(requirements: Iterable[Requirement], declared: dict[str, list[str]]) -> Iterator[str]:
    """Every distribution that some requirements need, kdgov's own extras resolved."""
    seen: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        one = waiting.pop()
        for extra in one.extras or {""}:
            key = (name_of(one.name), extra)
            if key in seen:
                continue
            seen.add(key)
            if key[0] == "kdgov":
                waiting += [Requirement(text) for text in declared[extra]]
                continue
            yield key[0]
            environment = default_environment() | {"extra": extra}
            further = [Requirement(text) for text in metadata.requires(one.name) or []]
            waiting += [r for r in further if r.marker is None or r.marker.evaluate(environment) or r.marker.evaluate(environment | {"extra": ""})]


def lock_of(extra: str) -> str:
    """The lock file of one extra, the core's distributions among it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    if extra != "core":
        wanted.append(Requirement(f"kdgov[{extra}]"))
    known = locked()
    names = sorted({name for name in reached(wanted, project["optional-dependencies"]) if name in known})
    return "".join(f"{known[name]}\n" for name in names)


def main() -> None:
    """Write them all."""
    for extra in EXTRAS:
        (ROOT / "requirements" / f"{extra}.lock").write_text(lock_of(extra), encoding="utf-8")


if __name__ == "__main__":
    main()
