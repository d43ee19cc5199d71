"""Where an artifact address leads on this machine, also after the store it lies in was moved.

MLflow keeps absolute addresses in its database, and a signed statement names the weights by one. Whoever opens the registry of a store
says where that store lies now (`know_home`); an address below a former place of it is then read below the present one. Nothing is
trusted for where it lies: whoever reads evidence or weights compares digests.

Example:
    >>> folder_of("file:///srv/store/steps/distill/1f/student").name
    'student'
    >>> folder_of("s3://bucket/evidence") is None
    True
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

WRITE_ONCE = "kdgov-artifacts:"
_BELOW = ("artifacts", "steps")
"""Folders of a store that addresses lead into: the embedded registry's artifacts, and results of steps."""
_HOMES: list[Path] = []


def know_home(store: Path) -> None:
    """Say where a store lies whose registry is being opened."""
    home = store.resolve()
    if home not in _HOMES:
        _HOMES.append(home)


def folder_of(uri: str) -> Path | None:
    """Folder of an address when this machine can open it directly; None for object stores and the like."""
    inner = uri.removeprefix(WRITE_ONCE)
    parsed = urlparse(inner)
    if parsed.scheme not in ("", "file") or not parsed.path:
        return None
    return _at_home(Path(unquote(parsed.path) if parsed.scheme else inner))


def is_web_address(uri: str) -> bool:
    """Whether something is named that can only be asked: the address of an endpoint, where there are no weights to read.

    Example:
        >>> is_web_address("https://llm.example.com/v1"), is_web_address("file:///srv/student"), is_web_address("")
        (True, False, False)
    """
    return urlparse(uri).scheme in ("http", "https")


def _at_home(path: Path) -> Path:
    parts = path.parts
    tops = [(Path(*parts[:n]), Path(*parts[n : n + 2]), Path(*parts[n:])) for n in range(1, len(parts) - 1) if parts[n] in _BELOW]
    if any(root in _HOMES and root.is_dir() for root, _, _ in tops):
        return path
    # The first of its folders that a known store holds as well: an experiment's, or a step's.
    return next((home / rest for _, first, rest in tops for home in reversed(_HOMES) if (home / first).is_dir()), path)
