"""A user's own copy of a public set, which may lie in another table format than the suite names: the Hub's Parquet for the authors' CSV."""

from __future__ import annotations

from pathlib import Path

from kdgov.errors import InputError

TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".csv.gz", ".tsv.gz")
"""Formats whose rows are the same, whichever a copy was saved in."""


def in_the_format_at_hand(path: Path, *, named: str, key: str, where: str) -> Path:
    """The file itself; where it is absent and one file of its name lies beside it in another table format, that one.

    Args:
        path: the file as the suite names it.
        named: its name in the suite, for messages: what a variable holds is shown to nobody.
        key: key of the suite that names it.
        where: the suite's file.

    Raises:
        InputError: if several formats lie there: which one is meant, nothing tells.
    """
    own = next((ending for ending in sorted(TABLES, key=len, reverse=True) if path.name.endswith(ending)), None)
    if path.exists() or own is None:
        return path
    stem = path.name.removesuffix(own)
    there = [other for ending in TABLES if (other := path.with_name(stem + ending)).is_file()]
    if len(there) > 1:
        what = f"{key}: {named!r} does not exist, and {' and '.join(other.name for other in there)} lie in its place"
        raise InputError(what, where=where, mend="Keep one of them.")
    return there[0] if there else path
