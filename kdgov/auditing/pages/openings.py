"""Who opened which masked text, when: a table of the guard's own kind beside MLflow's. A text is shown only once its opening is kept."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

_METADATA = sa.MetaData()
OPENINGS = sa.Table(
    "kdgov_openings",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("who", sa.String(500), nullable=False),
    sa.Column("workspace", sa.String(63), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("suite", sa.Text, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Index("kdgov_openings_of_version", "workspace", "name", "version"),
)
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One masked text that somebody opened."""

    at: str
    """When, ISO 8601 in UTC."""
    by: str
    """Who, as far as the server knows."""
    suite: str
    """Suite of the item."""
    task: str
    """Its task."""
    metric: str
    """Its metric."""
    item: str
    """Its name."""


def keep_opening(engine: sa.Engine, *, workspace: str, name: str, version: int, opening: Opening) -> None:
    """Write it down; an error of the database is the caller's, who then shows nothing."""
    _METADATA.create_all(engine, checkfirst=True)
    row = {"at": opening.at, "who": opening.by, "workspace": workspace, "name": name, "version": version}
    with engine.begin() as connection:
        connection.execute(
            OPENINGS.insert().values(**row, suite=opening.suite, task=opening.task, metric=opening.metric, item=opening.item)
        )


def openings_of(connection: Any, *, workspace: str, name: str, version: int) -> list[Opening]:
    """The latest openings of a version's texts, newest first."""
    if not sa.inspect(connection).has_table(OPENINGS.name):
        return []
    table = OPENINGS.c
    where = (table.workspace == workspace, table.name == name, table.version == version)
    rows = connection.execute(sa.select(OPENINGS).where(*where).order_by(table.id.desc()).limit(_SHOWN))
    return [Opening(at=r.at, by=r.who, suite=r.suite, task=r.task, metric=r.metric, item=r.item) for r in rows]


def moment(at: datetime.datetime) -> str:
    """A moment as it is kept."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
