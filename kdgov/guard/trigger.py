"""The PostgreSQL trigger: even an unguarded server or client on the same database cannot promote.

At commit, every new or moved guarded alias, every move to Production and every reserved tag must have its entry in the guard's log,
written in the same transaction; and the log takes no change and no deletion. Whoever owns the database can drop a trigger: that
is detected (the log's heads are signed), not prevented. Opt-in, and never on SQLite, where MLflow's own upgrades break on triggers.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from kdgov.errors import InputError, UnavailableError
from kdgov.guard.config import DEFAULT_FREE_ALIASES
from kdgov.guard.serving import database_uri
from kdgov.guard.tables import create_tables

_FUNCTION = """
CREATE OR REPLACE FUNCTION kdgov_logged(w text, n text, v integer) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT 1 FROM kdgov_log l WHERE l.workspace = w AND l.name = n AND l.version = v
    AND l.xmin::text = (pg_current_xact_id()::text::bigint % 4294967296)::text)
$$;
CREATE OR REPLACE FUNCTION kdgov_is_prompt(w text, n text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT 1 FROM registered_model_tags t
    WHERE t.workspace = w AND t.name = n AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')
$$;
CREATE OR REPLACE FUNCTION kdgov_check_alias() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM kdgov_free_aliases f WHERE f.alias = NEW.alias)
     AND NOT kdgov_is_prompt(NEW.workspace, NEW.name)
     AND NOT kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: alias % of % may only be set through the guarded registry', NEW.alias, NEW.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION kdgov_check_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.current_stage = 'Production' AND NOT kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: % may only be moved to Production through the guarded registry', NEW.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION kdgov_check_tag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.key LIKE 'kdgov.%' AND NOT (NEW.key = 'kdgov.verdict' AND NEW.value = 'NONE')
     AND NOT kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: tag % of % is written by the guarded registry alone', NEW.key, NEW.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION kdgov_keep_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'kdgov: the log of acts takes no change and no deletion';
END $$;
"""
_TRIGGERS = {
    "kdgov_alias": ("registered_model_aliases", "CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE", "kdgov_check_alias", True),
    "kdgov_stage": ("model_versions", "CONSTRAINT TRIGGER {name} AFTER UPDATE OF current_stage", "kdgov_check_stage", True),
    "kdgov_tag": ("model_version_tags", "CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE", "kdgov_check_tag", True),
    "kdgov_log_kept": ("kdgov_log", "TRIGGER {name} BEFORE UPDATE OR DELETE", "kdgov_keep_log", False),
}


def protect_database(uri: str, *, remove: bool = False, free_aliases: Sequence[str] | None = None) -> None:
    """Install the trigger on a database, or take it out again.

    Raises:
        InputError: if it is not a PostgreSQL registry.
        UnavailableError: if it cannot be reached.
    """
    engine = sa.create_engine(database_uri(uri))
    try:
        if remove:
            remove_trigger(engine)
        else:
            install_trigger(engine, free_aliases=free_aliases or DEFAULT_FREE_ALIASES)
    except sa.exc.OperationalError as error:
        raise UnavailableError("the database cannot be reached", mend="Check address, login and that it runs.") from error
    finally:
        engine.dispose()


def install_trigger(engine: sa.Engine, *, free_aliases: Sequence[str] = DEFAULT_FREE_ALIASES) -> None:
    """Put the trigger into a PostgreSQL registry; installing again renews it and the list of free aliases.

    Raises:
        InputError: on any other database.
    """
    if engine.dialect.name != "postgresql":
        raise InputError(
            f"the trigger is for PostgreSQL, not for {engine.dialect.name}", mend="On SQLite the guard, verify and audit have to do."
        )
    create_tables(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kdgov_free_aliases (alias varchar(256) PRIMARY KEY)")
        connection.execute(sa.text("DELETE FROM kdgov_free_aliases"))
        for alias in sorted(set(free_aliases)):
            connection.execute(sa.text("INSERT INTO kdgov_free_aliases VALUES (:alias)"), {"alias": alias})
        # Straight to the driver and without parameters: the percent signs are PL/pgSQL's own.
        connection.connection.cursor().execute(_FUNCTION)
        for name, (table, when, function, deferred) in _TRIGGERS.items():
            later = "DEFERRABLE INITIALLY DEFERRED " if deferred else ""
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            connection.exec_driver_sql(f"CREATE {when.format(name=name)} ON {table} {later}FOR EACH ROW EXECUTE FUNCTION {function}()")


def remove_trigger(engine: sa.Engine) -> None:
    """Take the trigger out again (before `mlflow db upgrade`, should a new MLflow change these tables)."""
    with engine.begin() as connection:
        for name, (table, *_) in _TRIGGERS.items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
