"""The shipped miniature release copied into a folder of the user's own, so that a demo writes nowhere else."""

from __future__ import annotations

from pathlib import Path

from kdgov.digest import write_atomic
from kdgov.errors import DeclarationError, Fault
from kdgov.resources import data_folder

_PARTS = ("models", "datasets", "releases")


def copy_demo(folder: Path) -> Path:
    """Copy cards, data, teacher and release declarations; the folder of the declarations.

    A file that is there already with the same content is left as it is, so that a second demo reuses the first one's work.

    Raises:
        DeclarationError: naming every file that is there with another content; nothing is written then.
    """
    shipped = data_folder("registry")
    wanted = {
        source.relative_to(shipped.parent): source.read_bytes()
        for part in _PARTS
        for top in sorted((shipped / part).glob("miniature*"))
        for source in ([top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file()))
    }
    there = {name for name in wanted if (folder / name).exists()}
    differing = [name for name in sorted(there) if not (folder / name).is_file() or (folder / name).read_bytes() != wanted[name]]
    if differing:
        mend = "Name another folder, or move this one away."
        raise DeclarationError(Fault(file=str(folder / n), key="", what="is there and is not the demo's", mend=mend) for n in differing)
    for name in wanted.keys() - there:
        write_atomic(folder / name, wanted[name])
    return folder / "registry" / "releases"
