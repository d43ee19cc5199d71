"""Digest of all code that can decide a result: the modules reachable from a step through imports, and their data files.

A hand-kept list of modules forgets the one that was split off or renamed; the import graph does not. Reused work is found
under a key that holds this digest, so changed code never serves an old result.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

from kdgov.digest import digest_file, digest_json
from kdgov.extensions import added_packages

_ROOT = Path(__file__).parent
# Statements at the beginning of a line, also indented ones (imports inside functions), with names in parentheses over several lines;
# and module names handed to importlib. Read by pattern: parsing 400 files would take longer than a whole rerun.
_FROM = re.compile(r"^[ \t]*from[ \t]+(kdgov[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+(kdgov[\w.]*)", re.MULTILINE)
_BY_NAME = re.compile(r"import_module\(\s*f?[\"'](kdgov[\w.]*)")
_COMMENT = re.compile(r"#[^\n]*")
_NAME = re.compile(r"(\w+)(?:[ \t]+as[ \t]+\w+)?")


def source_digest(*modules: str) -> str:
    """Digest of the source of every module reachable from ``modules``, of the data files beside them, and of kdgov's version.

    Installed packages that add losses, task kinds, judges and the like count too, each with its version and source.

    Args:
        modules: dotted names such as ``kdgov.pipeline.evaluate``.

    Raises:
        KeyError: if a name is no module of kdgov.

    Example:
        >>> source_digest("kdgov.digest") == source_digest("kdgov.digest")
        True
        >>> source_digest("kdgov.digest") == source_digest("kdgov.finding")
        False
    """
    return _source_digest(tuple(sorted(modules)))


@functools.cache
def _source_digest(modules: tuple[str, ...]) -> str:
    # Once per process: an upgrade in the middle of a run must not give its steps different keys.
    paths = {module_path(name) for name in reachable_modules(*modules)}
    paths |= {data for folder in {path.parent for path in paths} for data in _data_files(folder)}
    files = {path.relative_to(_ROOT).as_posix(): digest_file(path) for path in sorted(paths)}
    added = added_packages()
    return digest_json({"kdgov": importlib.metadata.version("kdgov"), "files": files} | ({"extensions": added} if added else {}))


def reachable_modules(*modules: str) -> frozenset[str]:
    """Every module of kdgov that ``modules`` can reach by an import, at the top of a file or inside a function.

    A package that lies on the way to a module counts with its own bytes. What it offers lazily (``__getattr__``) counts only
    where somebody imports from the package itself: loading ``kdgov.recording.client`` runs none of ``kdgov.recording``'s offers.
    """
    found: set[str] = set()
    followed: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in followed:
            continue
        followed.add(name)
        reached = _reached_from(name)
        found |= {name, *reached, *_parents(name)}
        waiting += reached - followed
    return frozenset(found)


@functools.cache
def _reached_from(module: str) -> frozenset[str]:
    """What one module imports, with every package that runs on the way; lazy front doors on the way are not followed."""
    named = _named_in(module)
    on_the_way = {parent for name in (module, *named) for parent in _parents(name)}
    return frozenset(named | {package for package in on_the_way if not _is_lazy(package)}) - {module}


def _is_lazy(package: str) -> bool:
    return package == "kdgov" or "\ndef __getattr__(" in _source(package)


@functools.cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of kdgov that one module names in an import, with the packages they lie in.

    Raises:
        KeyError: if there is no such module.
    """
    named = _named_in(module)
    return frozenset({*named, *(parent for name in (module, *named) for parent in _parents(name))} - {module})


def _named_in(module: str) -> set[str]:
    """Modules that the imports of one module name; of the front door ``kdgov`` itself, which offers everything lazily, none."""
    return set() if module == "kdgov" else {name for name in _named(_source(module)) if name in _modules()}


@functools.cache
def _source(module: str) -> str:
    return module_path(module).read_text(encoding="utf-8")


def module_path(module: str) -> Path:
    """The file of a module.

    Raises:
        KeyError: if there is no such module.
    """
    return _modules()[module]


def _named(source: str) -> Iterator[str]:
    for package, names in _FROM.findall(source):
        yield package
        for name in _NAME.findall(_COMMENT.sub("", names)):
            yield f"{package}.{name}"
    yield from _IMPORT.findall(source)
    for name in _BY_NAME.findall(source):
        yield name.rstrip(".")
        # A name completed at run time may be any module of its package.
        yield from (known for known in _modules() if name.endswith(".") and known.startswith(name))


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for count in range(1, len(parts)):
        yield ".".join(parts[:count])


def _data_files(folder: Path) -> Iterator[Path]:
    """Facts, style sheets and the like in a package's folder and below it: they decide as much as code does."""
    for path in folder.iterdir() if folder != _ROOT else ():
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from (p for p in path.rglob("*") if p.is_file())


@functools.cache
def _modules() -> dict[str, Path]:
    found = {}
    for path in _ROOT.rglob("*.py"):
        parts = path.relative_to(_ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
