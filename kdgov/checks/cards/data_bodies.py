"""The bodies of data that a release names: data and prompts, as files, as a card with its files, or in data sets of the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kdgov.checks.cards.card_file import CardFile
from kdgov.checks.cards.hub_data_card import hub_data_card
from kdgov.checks.cards.release_inputs import Body, PathOf, beside, body_file, read_card
from kdgov.declarations.cards import DatasetCard, load_card
from kdgov.declarations.data_parts.hub_data import HubData, is_hub_address, named_by
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.digest import digest_file


def read_bodies(release: Release, path_of: PathOf, *, where: str, digest_of: Callable[[Path], str] = digest_file) -> tuple[Body, ...]:
    """Every body of data with the digests of its files as they lie on disk.

    Raises:
        InputError: if a card cannot be read.
    """
    bodies = []
    for index, item in enumerate(release.data):
        key = f"data[{index}]"
        if item.path is not None:
            file = body_file(item.path, path_of(item.path), None, digest_of)
            bodies.append(Body(key=key, name=item.path, card=None, files=(file,)))
            continue
        card = hub_card(item, path_of, key=key, where=where) if item.hub is not None else None
        card = card or read_card(str(item.card), path_of, key=f"{key}.card", where=where, kind=DatasetCard)
        dataset = card.card
        assert isinstance(dataset, DatasetCard)
        files = tuple(body_file(f.path, beside(card.path, f.path), f, digest_of) for f in dataset.files)
        bodies.append(Body(key=key, name=dataset.name, card=card, files=files))
    return tuple(bodies)


def hub_card(item: HubData, path_of: PathOf, *, key: str, where: str) -> CardFile:
    """The card of a data set of the Hub that an entry names, with the release's own card beside it merged in.

    Raises:
        InputError: if there is no such data set, or a card is at fault.
        UnavailableError: if it is not at hand and the hub cannot be reached.
    """
    named = getattr(item, "card", None)
    own = read_card(named, path_of, key=f"{key}.card", where=where, kind=DatasetCard).path if named is not None else None
    path = hub_data_card(item, where=f"{where}: {key}", own=own)
    # A branch that a text names is known by where it leads, like everything else: the commit stands in the card.
    return CardFile(card=load_card(path), path=path, name=item.address, digest=digest_file(path))


def read_prompts(release: Release, path_of: PathOf, *, where: str, digest_of: Callable[[Path], str] = digest_file) -> tuple[Body, ...]:
    """Every prompt file the recipe names, as a body; with a card where it is of a data set of the Hub.

    Raises:
        InputError: if such a data set or its card is at fault.
        UnavailableError: if it is not at hand and the hub cannot be reached.
    """
    terms = release.distillation.terms if release.distillation is not None else []
    named = [(n, term.prompts) for n, term in enumerate(terms) if isinstance(term, TeacherText) and term.prompts is not None]
    bodies = []
    for number, name in named:
        key = f"distillation.terms[{number}].prompts"
        card = hub_card(named_by(name), path_of, key=key, where=where) if is_hub_address(name) else None
        if card is not None and isinstance(card.card, DatasetCard):
            files = tuple(body_file(file.path, beside(card.path, file.path), file, digest_of) for file in card.card.files)
        else:
            files = (body_file(name, path_of(name), None, digest_of),)
        bodies.append(Body(key=key, name=name, card=card, files=files))
    return tuple(bodies)
