"""What the functions of the Python interface take: paths, tables in memory, policies; each brought into the one form used inside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from kdgov.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from kdgov.decision.policy import Policy
    from kdgov.items import ItemTable
    from kdgov.items.results import Results
    from kdgov.pipeline.context import ReleaseContext
    from kdgov.progress import Progress

PathLike: TypeAlias = "str | os.PathLike[str]"
"""A path as text or as a `pathlib.Path`."""
Items: TypeAlias = "PathLike | Sequence[PathLike] | ItemTable | pa.Table | pd.DataFrame"
"""An item table: a file, a folder of lm_eval or of `kdgov evaluate`, several files, or a table in memory."""


def item_table(given: Items) -> ItemTable:
    """Whatever holds items, as the one table that is judged.

    Raises:
        InputError: if it is none of the forms that `Items` names, or its columns or values are at fault.
    """
    from kdgov.items import ItemTable, read_items

    if isinstance(given, ItemTable):
        return given
    if paths := paths_of(given):
        return read_items(*paths)
    import pyarrow as pa

    if isinstance(given, pa.Table):
        return ItemTable.from_arrow(given, source="pyarrow.Table")
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        return ItemTable.from_arrow(_from_pandas(given), source="pandas.DataFrame")
    raise InputError(
        f"a {type(given).__name__} is not an item table",
        mend="Give a path, several paths, a pyarrow Table, a pandas DataFrame or an ItemTable.",
    )


def results(given: Any) -> Results:
    """Whatever holds one model's results, with all that lies beside the files; for a table in memory, the table alone."""
    from kdgov.items.results import Results, read_results

    paths = paths_of(given)
    return read_results(*paths) if paths else Results(table=item_table(given))


def path_or_none(given: PathLike | None) -> Path | None:
    """The path, or None where none was given."""
    return None if given is None else Path(given)


def store_folder(given: PathLike | None) -> Path:
    """The folder of finished work: as given, else KDGOV_STORE, else ``registry/store``."""
    from kdgov.pipeline.context import STORE_VARIABLE

    return Path(given or os.environ.get(STORE_VARIABLE) or Path("registry") / "store")


def release_context(release: PathLike, store: PathLike | None, progress: Progress | None) -> ReleaseContext:
    """The release behind a file, with its store."""
    from kdgov.pipeline.context import open_release
    from kdgov.progress import silent

    return open_release(Path(release), store=path_or_none(store), progress=progress or silent)


def policy_of(given: Policy | Mapping[str, Any] | PathLike) -> Policy:
    """A policy as given, from the mapping that a policy file holds, from a file, or by the name of a shipped one."""
    import json

    from kdgov.decision.policy import Policy
    from kdgov.declarations.policy_file import load_named_policy, parse_policy

    if isinstance(given, Mapping):
        return parse_policy(json.dumps(given), file="policy")
    return given if isinstance(given, Policy) else load_named_policy(os.fspath(given))


def paths_of(given: Any) -> list[str]:
    """The paths that were given; empty for a table in memory."""
    if isinstance(given, str | os.PathLike):
        return [os.fspath(given)]
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | os.PathLike) for one in given):
        return [os.fspath(one) for one in given]
    return []


def _from_pandas(frame: Any) -> pa.Table:
    """A DataFrame's columns; group values may be mappings, which the item table keeps as JSON text."""
    import json

    import pyarrow as pa

    columns = {}
    for name in frame.columns:
        values = frame[name]
        if str(name) == "group":
            values = values.map(lambda value: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value)
        try:
            columns[str(name)] = pa.Array.from_pandas(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(
                f"the column {name!r} mixes types: {error}", where="pandas.DataFrame", mend="Give the column one type of value."
            ) from error
    return pa.table(columns)
