"""Which files are the model: everything in its folder that a loader may read, by one digest.

The digest is that of the canonical JSON ``{relative path: sha-256}``. It covers weights, tokenizer, chat template, configuration,
generation configuration, preprocessors, adapters, code: whatever lies there and is not known to be read by nobody. So a file that
was not judged (a stray ``pytorch_model.bin``) gives another digest, as a changed or a missing one does.

Example:
    >>> from pathlib import Path
    >>> sorted(model_files(Path("registry/models/miniature-teacher")))
    ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from kdgov.checkpoints.digests import remembered_digest
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError

_LARGE_BYTES = 4_000_000
"""Smaller files are hashed faster than a remembered digest is looked up."""
_NOT_READ_FOLDERS = frozenset({".git", ".cache", "__pycache__"})
_NOT_READ_NAMES = frozenset({".gitattributes", ".gitignore", ".DS_Store", "kdgov-distillation.json", "registered_model_meta"})
"""kdgov's own record of the distillation (it lies in the bundle too) and the note that MLflow leaves where it downloads."""
_NOT_READ_ENDINGS = frozenset({".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf"})
_LEGAL_STEMS = ("license", "licence", "notice", "copying", "use_policy")


def is_read_by_loaders(relative: str) -> bool:
    """Whether a file of a checkpoint folder belongs to the model; documentation, pictures and licence texts do not."""
    path = PurePosixPath(relative)
    if _NOT_READ_FOLDERS & set(path.parts[:-1]) or path.name in _NOT_READ_NAMES or path.suffix.lower() in _NOT_READ_ENDINGS:
        return False
    return not (path.suffix.lower() in ("", ".txt") and path.name.lower().startswith(_LEGAL_STEMS))


def model_files(folder: Path, *, verify: bool = True) -> dict[str, str]:
    """Relative path → digest of every file of a checkpoint folder that a loader may read, sorted.

    Links to files (a hub snapshot is made of them) stand for their content.

    Args:
        folder: the checkpoint.
        verify: read every byte; otherwise digests of large files may be remembered ones (never at a promotion or a load).

    Raises:
        InputError: if a folder in it is a link, or a file cannot be read.
    """
    return {relative: _digest(folder / relative, verify=verify) for relative in _paths(folder)}


def model_digest(files: Mapping[str, str]) -> str:
    """The digest that names the whole model."""
    return digest_json(dict(files))


def model_difference(judged: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What distinguishes a folder from the judged model, in words; empty when nothing does."""
    told = [f"{path} was not judged" for path in sorted(found.keys() - judged.keys())]
    told += [f"{path} is gone" for path in sorted(judged.keys() - found.keys())]
    told += [f"{path} was changed" for path in sorted(judged.keys() & found.keys()) if judged[path] != found[path]]
    return "; ".join(told[:5]) + (f" (and {len(told) - 5} more)" if len(told) > 5 else "")


def copy_model(folder: Path, into: Path) -> dict[str, str]:
    """Copy the model's files into a folder of one's own and return their digests: of the bytes of the copy, which nobody else changes.

    Raises:
        InputError: as `model_files`.
    """
    for relative in _paths(folder):
        target = into / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(folder / relative, target)
        except OSError as error:
            raise _unreadable(folder / relative, error) from error
    return model_files(into)


def _paths(folder: Path) -> Iterator[str]:
    found: list[str] = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        place = Path(parent)
        if linked := sorted(name for name in folders if (place / name).is_symlink()):
            mend = "Put the folder itself there: what a link leads to can change without a trace."
            raise InputError("is a link to a folder", where=str(place / linked[0]), mend=mend)
        found += [(place / name).relative_to(folder).as_posix() for name in names]
    yield from sorted(path for path in found if is_read_by_loaders(path))


def _digest(file: Path, *, verify: bool) -> str:
    try:
        small = file.stat().st_size < _LARGE_BYTES
        return digest_file(file) if small or verify else remembered_digest(file)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"cannot be read: {error.strerror}", where=str(file), mend="Restore the checkpoint, and let nothing else lie in it.")


def folder_fault(folder: Path, *, model: str, judged: Mapping[str, str]) -> str:
    """Why a folder is not the model that was judged; empty when every byte of it is. Every byte is read.

    Args:
        folder: the checkpoint.
        model: digest of the judged model.
        judged: its files, for naming what differs; may be empty.
    """
    try:
        found = model_files(folder)
    except InputError as error:
        return f"{Path(error.where).name or folder.name} {error.what}"
    return files_fault(found, model=model, judged=judged)


def files_fault(found: Mapping[str, str], *, model: str, judged: Mapping[str, str]) -> str:
    """As `folder_fault`, of files whose digests are known."""
    if (digest := model_digest(found)) == model:
        return ""
    named = model_difference(judged, found) if judged else ""
    return named or f"they are not the files that were judged (judged {model[:19]}…, found {digest[:19]}…)"
