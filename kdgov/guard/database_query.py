"""A page of the registry straight from its tables: two statements whatever the page's length, without cards, without MLflow.

MLflow's own search carries every card and tag of every version; a page of 5,000 takes it seconds.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import sqlalchemy as sa

from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.registry_query import ROW_TAGS, Condition, Page, Question, conditions_of, row_of_tags
from kdgov.guard.serving import database_uri

_DELETED = "Deleted_Internal"
_PLACE = ("workspace", "name", "version")
_VERSIONS = sa.table("model_versions", *(sa.column(c) for c in (*_PLACE, "creation_time", "current_stage")))
_TAGS = sa.table("model_version_tags", *(sa.column(c) for c in (*_PLACE, "key", "value")))
_ALIASES = sa.table("registered_model_aliases", *(sa.column(c) for c in (*_PLACE, "alias")))
_MODEL_TAGS = sa.table("registered_model_tags", *(sa.column(c) for c in ("workspace", "name", "key", "value")))


def list_database(uri: str, question: Question, *, workspace: str = "default") -> Page:
    """A page of the registry in a database; reading needs no guard.

    Raises:
        InputError: if the address, the filter or the page's token is at fault.
        UnavailableError: if the database cannot be read.
    """
    engine = sa.create_engine(database_uri(uri))
    try:
        with engine.connect() as connection:
            return list_page(connection, question, workspace=workspace)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        mend = "Check address, login and that MLflow has made its tables."
        raise UnavailableError("the registry's database cannot be read", mend=mend) from error
    finally:
        engine.dispose()


def list_page(connection: Any, question: Question, *, workspace: str) -> Page:
    """A page of versions, newest first; prompts are left out.

    Args:
        connection: SQLAlchemy connection or session.
        question: what is asked for.
        workspace: where.

    Raises:
        InputError: if the filter or the page's token cannot be read.
    """
    dialect = connection.get_bind().dialect.name if hasattr(connection, "get_bind") else connection.dialect.name
    page = _page_query(question, workspace, dialect).cte("page")
    shown = sa.select(page, *(_tag(page, tag).label(tag) for tag in ROW_TAGS)).order_by(*_order(page))
    rows = connection.execute(shown).all()
    where = [_ALIASES.c.workspace == workspace, *([_ALIASES.c.name == question.model] if question.model else [])]
    aliases: dict[tuple[str, int], list[str]] = {}
    for name, version, alias in connection.execute(sa.select(_ALIASES.c.name, _ALIASES.c.version, _ALIASES.c.alias).where(*where)):
        aliases.setdefault((name, version), []).append(alias)
    # One more than asked for was read: it only tells that there is a next page.
    kept = rows[: question.limit]
    token = _token(kept[-1].creation_time, kept[-1].name, kept[-1].version) if len(rows) > question.limit else ""
    return Page(
        rows=tuple(row_of_tags(row.name, row.version, row._mapping, aliases.get((row.name, row.version), ())) for row in kept), token=token
    )


def _page_query(question: Question, workspace: str, dialect: str) -> Any:
    table = _VERSIONS
    prompt = sa.select(sa.func.lower(_MODEL_TAGS.c.value)).where(
        _MODEL_TAGS.c.workspace == table.c.workspace,
        _MODEL_TAGS.c.name == table.c.name,
        _MODEL_TAGS.c.key == "mlflow.prompt.is_prompt",
    )
    query = sa.select(*(table.c[c] for c in _PLACE), table.c.creation_time).where(
        table.c.workspace == workspace, table.c.current_stage != _DELETED, sa.func.coalesce(prompt.scalar_subquery(), "") != "true"
    )
    for condition in conditions_of(question):
        query = query.where(_clause(condition, dialect))
    if question.token:
        time, name, version = _place_of(question.token)
        same = table.c.creation_time == time
        further = sa.or_(table.c.name > name, sa.and_(table.c.name == name, table.c.version < version))
        query = query.where(sa.or_(table.c.creation_time < time, sa.and_(same, further)))
    return query.order_by(*_order(table)).limit(question.limit + 1)


def _order(table: Any) -> tuple[Any, ...]:
    return table.c.creation_time.desc(), table.c.name, table.c.version.desc()


def _tag(versions: Any, key: str) -> Any:
    """A tag's value as a look-up by its primary key: unlike a join, no plan of a database without statistics makes it slow."""
    return sa.select(_TAGS.c.value).where(*(_TAGS.c[c] == versions.c[c] for c in _PLACE), _TAGS.c.key == key).scalar_subquery()


def _clause(condition: Condition, dialect: str) -> Any:
    if not condition.tag:
        return _compared(_VERSIONS.c.name, condition, dialect)
    # As in MLflow, a version without the tag meets no condition about it, != included.
    return _compared(_tag(_VERSIONS, condition.tag), condition, dialect)


def _compared(column: Any, condition: Condition, dialect: str) -> Any:
    match condition.operator:
        case "=":
            return column == condition.value
        case "!=":
            return column != condition.value
        case "ILIKE":
            return sa.func.lower(column).like(condition.value.lower())
        case "LIKE" if dialect == "sqlite":
            # SQLite's LIKE ignores case; its GLOB does not.
            return column.op("GLOB")("".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(c, c) for c in condition.value))
        case "LIKE":
            return column.like(condition.value)
        case comparison:
            return column.op(comparison)(condition.value)


def _token(time: int, name: str, version: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([time, name, version]).encode()).decode()


def _place_of(token: str) -> tuple[int, str, int]:
    try:
        time, name, version = json.loads(base64.urlsafe_b64decode(token.encode()))
        return int(time), str(name), int(version)
    except (ValueError, TypeError) as error:
        raise InputError("this is not a page token", where="--page", mend="Give the token that the page before printed.") from error
