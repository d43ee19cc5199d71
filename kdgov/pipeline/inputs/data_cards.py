"""The card of an entry of a release's data: as it is named, or as it is made of a data set of the Hub."""

from __future__ import annotations

from pathlib import Path

from kdgov.checks.cards.data_bodies import hub_card
from kdgov.declarations.release import DataDeclaration
from kdgov.declarations.release_parts.production_inputs import ProductionInputs
from kdgov.pipeline.context import ReleaseContext


def data_card(context: ReleaseContext, item: DataDeclaration | ProductionInputs, key: str) -> Path:
    """File of the card.

    Raises:
        InputError: if there is no such data set, or a card is at fault.
        UnavailableError: if it is not at hand and the hub cannot be reached.
    """
    if item.hub is None:
        return context.path_of(str(item.card))
    return hub_card(item, context.path_of, key=key, where=str(context.path)).path
