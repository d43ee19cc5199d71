"""Which files of a data set's repository are meant: the rules of the `datasets` library, on names alone.

In this order: the ``configs:`` of its card with their ``data_files``; ``data/SPLIT-00000-of-00001.*``; folders, then files, named after a
split; else every file is ``train``. Of the files so found those of the most common format count. No code of a repository is ever run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fsspec.utils import glob_translate

from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.declarations.suite_parts.media_folders import IMAGES, SOUNDS, TABLES
from kdgov.errors import InputError

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SEP = "[-._ 0-9]"
_IN_FOLDERS = ("**/{word}/**", "**/{word}{sep}*/**", "**/*{sep}{word}/**", "**/*{sep}{word}{sep}*/**")
_IN_NAMES = ("**/{word}{sep}*", "**/*{sep}{word}{sep}*")
_SHARDED = re.compile(r"^data/(?P<split>.+)-\d{5}-of-\d{5}[^/]*\.[^/]*$")
_NO_DATA = frozenset({"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"})
_TEXT = {
    ".parquet": "parquet", ".jsonl": "json", ".json": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv", ".txt": "text",
    ".pq": "parquet",
}  # fmt: skip
_OTHERS = (
    ".arrow", ".lance", ".vortex", ".tar", ".zip", ".xml", ".h5", ".hdf5", ".eval", ".conll", ".conllu", ".pdf", ".mp4", ".avi", ".mov",
    ".mkv", ".mpeg", ".rar", ".7z", ".tgz", ".npy", ".npz", ".pkl", ".pickle", ".pt", ".bin", ".orc", ".avro", ".db", ".sqlite",
    ".geoparquet", ".xlsx", ".opus", ".aiff", ".glb", ".nii", ".fasta", ".tsfile",
)  # fmt: skip
_PREFERRED = (".parquet", ".jsonl", ".json", ".csv")
READ = "JSON lines, JSON, CSV, TSV, Parquet, text (plain, .gz, .bz2, .xz or .zst), and folders of images or sounds"


class LackingFileError(InputError):
    """A file that the data set's own card names and that is not among the names: the repository, or this copy of it, is not whole."""

    pattern = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What of a repository is meant."""

    files: tuple[str, ...]
    """Names within it, in the order their patterns name them; of images and sounds every file of the folder."""
    folder: str | None = None
    """Of images and sounds the folder that holds them (empty: the whole repository); None where files are read one by one."""


def chosen_files(names: Sequence[str], card: Mapping[str, Any], wanted: HubData, *, where: str, default: str = "train") -> Chosen:
    """The files that an entry means.

    Args:
        names: every file of the repository at the commit.
        card: front matter of its ``README.md``.
        wanted: the entry.
        where: file and key of the entry, for messages.
        default: the split that is meant where none is named and there are several; empty: it has to be named.

    Raises:
        InputError: if the repository has no such configuration, split or file, is loaded by a script, or holds formats that are not read.
    """
    if wanted.files is not None and wanted.config is None and wanted.split is None:
        return _of_one_format(_matching(wanted.files, names, where), where)
    _refuse_script(names, card, str(wanted.hub), where)
    splits = _splits_of(names, card, wanted, where)
    split = wanted.split or _default_split(list(splits), default, where)
    found = _files_of(split, splits, where)
    if wanted.files is not None:
        asked = set(_matching(wanted.files, names, where))
        found = [name for name in found if name in asked]
        if not found:
            raise InputError(f"files: {wanted.files!r} names no file of the split {split!r}", where=where, mend="Leave one of them out.")
    return _of_one_format(found, where)


def _files_of(asked: str, splits: Mapping[str, list[str] | InputError], where: str) -> list[str]:
    """The files of one split, or of several (``train+validation``), each once."""
    found: dict[str, None] = {}
    for split in asked.split("+"):
        if split not in splits:
            raise InputError(f"has no split {split!r}", where=where, mend=f"Name one of its splits: {', '.join(splits)}.")
        if isinstance(files := splits[split], InputError):
            raise files
        found |= dict.fromkeys(files)
    return list(found)


def _default_split(splits: list[str], default: str, where: str) -> str:
    if len(splits) == 1:
        return splits[0]
    if default in splits:
        return default
    raise InputError(f"has the splits {', '.join(splits)}, and none is named", where=where, mend=f"Add `split: {splits[0]}`, say.")


def _refuse_script(names: Sequence[str], card: Mapping[str, Any], hub: str, where: str) -> None:
    script = f"{hub.rpartition('/')[2]}.py"
    if script in names and not card.get("configs"):
        raise InputError(
            f"is loaded by a script of its own, {script}; no code of a data set is run",
            where=where,
            mend="Name its data files with `files:`, or a revision that holds them as files (a commit of refs/convert/parquet).",
        )


def _splits_of(names: Sequence[str], card: Mapping[str, Any], wanted: HubData, where: str) -> dict[str, list[str] | InputError]:
    """Split → its files in the configuration that is meant, or why it has none."""
    configs = [one for one in _listed(card.get("configs")) if isinstance(one, Mapping)]
    if not configs:
        if wanted.config not in (None, "default"):
            mend = "Leave `config:` out, or name its files: `files: FOLDER/*`."
            raise InputError(f"has no configuration {wanted.config!r}: its card lists none", where=where, mend=mend)
        return dict(_inferred(names, where))
    config = _config(configs, wanted.config, where)
    folder = str(config.get("data_dir") or "").strip("/").removeprefix("./")
    within = [name for name in names if not folder or name.startswith(f"{folder}/")]
    below = [name.removeprefix(f"{folder}/") if folder else name for name in within]
    whole = dict(zip(below, within, strict=True))
    if config.get("data_files") is None:
        return {split: [whole[name] for name in found] for split, found in _inferred(below, where).items()}
    splits: dict[str, list[str] | InputError] = {}
    for split, patterns in _patterns(config["data_files"], where).items():
        try:
            found = [name for pattern in patterns for name in _matching(pattern, below, where, is_of_card=True)]
        except InputError as fault:
            # A cache may hold one split alone.
            splits[split] = fault
        else:
            splits[split] = [whole[name] for name in dict.fromkeys(found)]
    return splits


def _config(configs: Sequence[Mapping[str, Any]], wanted: str | None, where: str) -> Mapping[str, Any]:
    named = {str(one.get("config_name") or "default"): one for one in configs}
    if wanted is not None:
        if wanted not in named:
            raise InputError(f"has no configuration {wanted!r}", where=where, mend=f"Name one of them: {_few(list(named))}.")
        return named[wanted]
    marked = [name for name, one in named.items() if one.get("default") is True]
    choice = marked[0] if marked else next(iter(named)) if len(named) == 1 else "default" if "default" in named else None
    if choice is None:
        raise InputError(
            f"has the configurations {_few(list(named))}, and none is named", where=where, mend=f"Add `config: {next(iter(named))}`, say."
        )
    return named[choice]


def _patterns(said: Any, where: str) -> dict[str, list[str]]:
    """Split → patterns, in each of the forms that a card may use."""
    if isinstance(said, Mapping):
        return {str(split): [str(one) for one in _listed(patterns)] for split, patterns in said.items()}
    entries = _listed(said)
    if not any(isinstance(one, Mapping) for one in entries):
        return {"train": [str(one) for one in entries]}
    if not all(isinstance(one, Mapping) and "split" in one and "path" in one for one in entries):
        raise InputError("its card's data_files mix paths and splits", where=where, mend="Name its files with `files:`.")
    return {str(one["split"]): [str(path) for path in _listed(one["path"])] for one in entries}


def _inferred(names: Sequence[str], where: str) -> dict[str, list[str]]:
    """Split → files by the names alone."""
    data = [name for name in names if _counts(name, "**") and _format(name)]
    sharded: dict[str, list[str]] = {}
    for name in data:
        if found := _SHARDED.match(name):
            sharded.setdefault(found["split"], []).append(name)
    if sharded:
        known = [split for split in _KEYWORDS if split in sharded]
        return {split: sharded[split] for split in (*known, *sorted(set(sharded) - set(known)))}
    for shapes in (_IN_FOLDERS, _IN_NAMES):
        splits = {}
        for split, words in _KEYWORDS.items():
            patterns = [shape.format(word=word, sep=_SEP) for word in words for shape in shapes]
            named = [name for pattern in patterns for name in data if re.match(glob_translate(pattern), name)]
            if named:
                splits[split] = list(dict.fromkeys(named))
        if splits:
            return splits
    if not data:
        raise InputError(
            "holds no data file of a known format" + _shown(names), where=where, mend=f"Read are {READ}; name files with `files:`."
        )
    return {"train": data}


def _matching(pattern: str, names: Sequence[str], where: str, *, is_of_card: bool = False) -> list[str]:
    said = "its card's data_files" if is_of_card else "files:"
    plain = pattern.removeprefix("./").lstrip("/")
    try:
        form = re.compile(glob_translate(plain))
    except (ValueError, re.error) as error:
        raise InputError(
            f"{said} {pattern!r} is no pattern of files: {error}", where=where, mend="Write one like `data/*.parquet`."
        ) from error
    if found := sorted(name for name in names if (name == plain or form.match(name)) and _counts(name, plain)):
        return found
    fault = LackingFileError if is_of_card else InputError
    refused = fault(f"{said} {pattern!r} names no file of it" + _shown(names), where=where, mend="Correct the pattern, or name `files:`.")
    if isinstance(refused, LackingFileError):
        refused.pattern = pattern
    raise refused


def _counts(name: str, pattern: str) -> bool:
    """Whether a file can be data: hidden ones, ``__folders__`` and what explains the data set count only where a pattern names them."""
    parts, asked = PurePosixPath(name), PurePosixPath(pattern)
    if parts.name in _NO_DATA and asked.name != parts.name:
        return False
    hidden = sum(part.startswith(".") for part in parts.parts) != sum(part.startswith(".") for part in asked.parts)
    special = sum(part.startswith("__") for part in parts.parent.parts) != sum(part.startswith("__") for part in asked.parent.parts)
    return not hidden and not special


def _of_one_format(names: Sequence[str], where: str) -> Chosen:
    """The files of the most common format among some; what is beside them (a licence, a picture of the card) is no data."""
    counted = Counter(_suffix(name) for name in names if PurePosixPath(name).name not in TABLES and _suffix(name))
    best = max(counted, key=lambda one: (counted[one], *(one == kind for kind in _PREFERRED), one), default="")
    kind = _format("x" + best) if best else ""
    if kind in ("", "other"):
        raise InputError(f"is in a format that is not read{_shown(names)}", where=where, mend=f"Read are {READ}.")
    if kind in ("images", "sounds"):
        own = [name for name in names if _format(name) == kind or PurePosixPath(name).name in TABLES]
        return Chosen(files=tuple(own), folder=_common_folder(own))
    return Chosen(files=tuple(name for name in names if _format(name) == kind))


def _common_folder(names: Sequence[str]) -> str:
    """The folder below which the classes lie: of ``train/cat/1.png`` that is ``train``, with a table beside the files their own."""
    shared = [parts[0] for parts in zip(*(PurePosixPath(name).parent.parts for name in names), strict=False) if len(set(parts)) == 1]
    has_table = any(PurePosixPath(name).name in TABLES for name in names)
    # A class folder alone would be taken for the whole: its own name is the label.
    is_class = not has_table and all(len(PurePosixPath(name).parent.parts) == len(shared) for name in names)
    return "/".join(shared[:-1] if is_class and shared else shared)


def _suffix(name: str) -> str:
    """The suffix that says the format, without that of a compression."""
    suffixes = [one.lower() for one in PurePosixPath(name).suffixes]
    known = [one for one in suffixes if one in _TEXT or one in _OTHERS or one in IMAGES or one in SOUNDS]
    return known[-1] if known else ""


def _format(name: str) -> str:
    """``json``, ``csv``, ``parquet``, ``text``, ``images``, ``sounds``, ``other``; empty where it is no data."""
    suffix = _suffix(name)
    if suffix in _TEXT:
        return _TEXT[suffix]
    return "images" if suffix in IMAGES else "sounds" if suffix in SOUNDS else "other" if suffix in _OTHERS else ""


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _few(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _shown(names: Sequence[str]) -> str:
    kept = [name for name in names if not name.startswith(".")]
    return f" (it holds {_few(kept, 6)})" if kept else " (it is empty)"
