"""The logged production inputs of a release as a body of data, with their card where they have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kdgov.checks.cards.data_bodies import hub_card
from kdgov.checks.cards.release_inputs import Body, PathOf, beside, body_file, read_card
from kdgov.declarations.cards import DatasetCard
from kdgov.declarations.release import Release
from kdgov.digest import digest_file
from kdgov.errors import InputError


def read_logged(release: Release, path_of: PathOf, *, where: str, digest_of: Callable[[Path], str] = digest_file) -> Body | None:
    """The logged production inputs as a body, or None where the release names none: one file, or several of a data set of the Hub.

    Raises:
        InputError: if the card cannot be read, or names several files and the release does not say which.
    """
    declared = release.production_inputs
    if declared is None:
        return None
    if declared.hub is None and declared.card is None:
        name = str(declared.path)
        return Body(key="production_inputs", name=name, card=None, files=(body_file(name, path_of(name), None, digest_of),))
    if declared.hub is not None:
        card = hub_card(declared, path_of, key="production_inputs", where=where)
    else:
        card = read_card(str(declared.card), path_of, key="production_inputs.card", where=where, kind=DatasetCard)
    dataset = card.card
    assert isinstance(dataset, DatasetCard)
    named = [(file, beside(card.path, file.path)) for file in dataset.files]
    if declared.path is not None:
        own = path_of(declared.path)
        entry = next((file for file, path in named if path.resolve() == own.resolve()), None)
        log = body_file(declared.path, own, entry, digest_of)
    elif declared.hub is not None and named:
        files = tuple(body_file(file.path, path, file, digest_of) for file, path in named)
        return Body(key="production_inputs", name=dataset.name, card=card, files=files)
    elif len(named) == 1:
        log = body_file(named[0][0].path, named[0][1], named[0][0], digest_of)
    else:
        raise InputError(
            f"production_inputs: {declared.card or declared.hub} names {len(named)} files",
            where=where,
            mend="Name one file in the card, or say which under `production_inputs.path`.",
        )
    if not log.digest:
        raise InputError(f"production_inputs: {log.name} does not exist", where=where, mend="Correct the path of the log.")
    return Body(key="production_inputs", name=dataset.name, card=card, files=(log,))
