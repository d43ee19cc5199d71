"""Where an experiment may keep its files: nowhere that holds, or lies in, what a recorded release rests on.

MLflow writes an uploaded file wherever the run's experiment says, past the write-once store where that place is addressed
directly (``file:``, ``s3:``). So an experiment placed inside sealed evidence would let anyone spoil it.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlparse

from kdgov.evidence.artifact_places import WRITE_ONCE
from kdgov.guard.evidence import DESTINATION_VARIABLE, PROXIED

RELEASES = "kdgov/"
"""Beginning of the names of experiments that recordings are written to."""
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "wasb": "abfs", "wasbs": "abfs", "abfss": "abfs", "": "file"}
_Place = tuple[str, str, str]


def location_fault(name: str, location: str, *, known: Iterable[str], root: str, protected: Iterable[Path], is_request: bool) -> str:
    """Why an experiment may not keep its files there; empty where it may.

    Args:
        name: of the experiment.
        location: as it was asked for; empty: the server decides.
        known: locations of the experiments there are.
        root: where the server puts artifacts by itself; empty where it has no such place.
        protected: folders of this machine that hold the database, keys or trusted settings.
        is_request: whether it was asked for over HTTP, by somebody who need not own this machine.
    """
    if not location:
        return ""
    if is_request and name.startswith(RELEASES):
        return f"experiments under {RELEASES} hold recorded releases, and the server alone says where their files lie"
    if any(sign in location for sign in ("..", "%", "?", "#", "\\", "\x00")):
        return "its location holds characters that could lead elsewhere"
    place, is_write_once = _place(location), location.startswith((PROXIED, WRITE_ONCE))
    if place[0] == "file" and is_request and not location.startswith(PROXIED):
        return "its location is a folder of the server's own machine"
    if root and _overlap(place, _place(root)) and not (is_write_once and _is_below(place, _place(root))):
        return "its location goes past the write-once store that guards those files"
    if other := next((theirs for theirs in known if theirs and _overlap(place, _place(theirs))), ""):
        return f"its location lies inside, or holds, that of another experiment ({other.removeprefix(WRITE_ONCE)})"
    own = [os.path.realpath(folder) for folder in protected]
    # Trusted settings may lie above the registry: its artifacts are still where they belong.
    if is_write_once and any(_is_below(place, ("file", "", os.path.join(folder, "artifacts"))) for folder in own):
        return ""
    for folder in own:
        if _overlap(place, ("file", "", folder)):
            return "its location lies inside, or holds, the registry's own folder"
    return ""


def _place(location: str) -> _Place:
    inner = location.removeprefix(WRITE_ONCE)
    if inner.startswith(PROXIED):
        destination = os.environ.get(DESTINATION_VARIABLE, "")
        if not destination:
            return "proxied", "", _path(urlparse(inner).path)
        scheme, host, path = _place(destination)
        return scheme, host, _path(posixpath.join(path, urlparse(inner).path.lstrip("/")))
    parsed = urlparse(inner)
    scheme = _SAME.get(parsed.scheme.lower(), parsed.scheme.lower())
    if scheme == "file":
        return "file", "", os.path.realpath(unquote(parsed.path) if parsed.scheme else inner)
    return scheme, parsed.netloc.lower(), _path(unquote(parsed.path))


def _path(text: str) -> str:
    return posixpath.normpath("/" + text.lstrip("/"))


def _overlap(one: _Place, other: _Place) -> bool:
    if one[:2] != other[:2]:
        return False
    left, right = (place[2].rstrip("/") + "/" for place in (one, other))
    return left.startswith(right) or right.startswith(left)


def _is_below(place: _Place, root: _Place) -> bool:
    return _overlap(place, root) and len(place[2].rstrip("/")) > len(root[2].rstrip("/"))
