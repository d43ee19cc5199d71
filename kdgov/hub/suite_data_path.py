"""Where the data file of a suite lies: beside the suite, where a variable says, or in a data set of the Hub."""

from __future__ import annotations

import importlib
from pathlib import Path

from kdgov.declarations.suite import named_path
from kdgov.declarations.suite_data import DataInSuite
from kdgov.declarations.suite_parts.copies_of_data import in_the_format_at_hand
from kdgov.declarations.suite_parts.media_folders import as_data_file


def data_path(data: DataInSuite, *, suite_file: Path, key: str = "data.path") -> Path:
    """Where a suite's data file lies, with ``${NAME}`` filled in from the environment; a folder of images or sounds as its list.

    A user's own copy may lie there as another kind of table than the suite names. Of a data set of the Hub the split has to be named where
    there are several: nobody is judged on ``train`` by an oversight.

    Raises:
        InputError: if the environment variable is not set, several copies lie there, or the data set has no such file.
        UnavailableError: if the data set is not at hand and the hub cannot be reached.
    """
    if data.hub is None:
        path = named_path(data.path, suite_file=suite_file, key=key)
        is_table = "${" in data.path and data.digest is None and data.records is None and not data.nested
        return as_data_file(in_the_format_at_hand(path, named=data.path, key=key, where=str(suite_file)) if is_table else path)
    data_set = importlib.import_module("kdgov.hub.data_set")
    return as_data_file(data_set.one_file(data, where=f"{suite_file}: {key.removesuffix('.path')}", default=""))
