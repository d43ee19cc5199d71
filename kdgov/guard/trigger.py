"""The PostgreSQL trigger: even an unguarded server or client on the same database cannot promote.

At commit, every new or moved guarded alias, every move to Production and every reserved tag must have its entry in the guard's log,
written in the same transaction. A version with such entries keeps source, run, card and tags, and is deleted with an entry only; an
entry of the registry stays a model or a prompt; the log and the stored statements take no change, no deletion and no TRUNCATE.
Whoever owns the tables can drop a trigger, and a login that may write the log can forge an unsigned entry: both are detected (the
heads are signed), not prevented. Opt-in, and never on SQLite, where MLflow's own upgrades break on triggers.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from kdgov.errors import InputError, UnavailableError
from kdgov.guard.config import DEFAULT_FREE_ALIASES
from kdgov.guard.serving import database_uri
from kdgov.guard.tables import create_tables

# Every function names its search path, temporary tables last: a table of the same name that somebody makes for himself is never read.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION {schema}.kdgov_logged(w text, n text, v integer) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, {schema}, pg_temp AS $$
  SELECT EXISTS (
    SELECT 1 FROM {schema}.kdgov_log l WHERE l.workspace = w AND l.name = n AND l.version IN (v, 0)
    AND l.xmin::text = (pg_current_xact_id()::text::bigint % 4294967296)::text)
$$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_known(w text, n text, v integer) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, {schema}, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM {schema}.kdgov_log l WHERE l.workspace = w AND l.name = n AND (v < 0 OR l.version = v))
$$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_is_free(a text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, {schema}, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM {schema}.kdgov_free_aliases f WHERE f.alias = a)
$$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_is_prompt(w text, n text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, {schema}, pg_temp AS $$
  SELECT EXISTS (
    SELECT 1 FROM {schema}.registered_model_tags t
    WHERE t.workspace = w AND t.name = n AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')
$$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_check_alias() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF NOT {schema}.kdgov_is_free(OLD.alias) AND {schema}.kdgov_known(OLD.workspace, OLD.name, OLD.version)
       AND NOT {schema}.kdgov_logged(OLD.workspace, OLD.name, OLD.version)
       AND NOT EXISTS (SELECT 1 FROM {schema}.registered_model_aliases a
                       WHERE a.workspace = OLD.workspace AND a.name = OLD.name AND a.alias = OLD.alias) THEN
      RAISE EXCEPTION 'kdgov: alias % of % is taken away through the guarded registry alone', OLD.alias, OLD.name;
    END IF;
  ELSIF NOT {schema}.kdgov_is_free(NEW.alias) AND NOT {schema}.kdgov_is_prompt(NEW.workspace, NEW.name)
     AND NOT {schema}.kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: alias % of % may only be set through the guarded registry', NEW.alias, NEW.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_check_version() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
  IF TG_OP <> 'DELETE' AND NEW.current_stage = 'Production' AND (TG_OP = 'INSERT' OR OLD.current_stage IS DISTINCT FROM 'Production')
     AND NOT {schema}.kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: % may only be moved to Production through the guarded registry', NEW.name;
  END IF;
  IF TG_OP = 'DELETE' THEN
    IF {schema}.kdgov_known(OLD.workspace, OLD.name, OLD.version) AND NOT {schema}.kdgov_logged(OLD.workspace, OLD.name, OLD.version) THEN
      RAISE EXCEPTION 'kdgov: version % of % is deleted through the guarded registry alone', OLD.version, OLD.name;
    END IF;
  ELSIF TG_OP = 'UPDATE' AND {schema}.kdgov_known(OLD.workspace, OLD.name, OLD.version)
     AND (NEW.workspace, NEW.name, NEW.version, NEW.source, NEW.run_id, NEW.creation_time, NEW.description, NEW.status, NEW.run_link)
         IS DISTINCT FROM
         (OLD.workspace, OLD.name, OLD.version, OLD.source, OLD.run_id, OLD.creation_time, OLD.description, OLD.status, OLD.run_link)
     AND NOT {schema}.kdgov_logged(OLD.workspace, OLD.name, OLD.version) THEN
    RAISE EXCEPTION 'kdgov: version % of % is changed through the guarded registry alone', OLD.version, OLD.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_check_tag() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.key LIKE 'kdgov.%' AND {schema}.kdgov_known(OLD.workspace, OLD.name, OLD.version)
       AND NOT {schema}.kdgov_logged(OLD.workspace, OLD.name, OLD.version) THEN
      RAISE EXCEPTION 'kdgov: tag % of % is written by the guarded registry alone', OLD.key, OLD.name;
    END IF;
  ELSIF NEW.key LIKE 'kdgov.%' AND NOT (NEW.key = 'kdgov.verdict' AND NEW.value = 'NONE' AND TG_OP = 'INSERT')
     AND NOT {schema}.kdgov_logged(NEW.workspace, NEW.name, NEW.version) THEN
    RAISE EXCEPTION 'kdgov: tag % of % is written by the guarded registry alone', NEW.key, NEW.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_check_model_tag() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
DECLARE said record;
BEGIN
  IF TG_OP = 'DELETE' THEN said := OLD; ELSE said := NEW; END IF;
  IF TG_OP <> 'DELETE' AND said.key LIKE 'kdgov.%' THEN
    RAISE EXCEPTION 'kdgov: tag % of % is written by nobody', said.key, said.name;
  END IF;
  IF said.key = 'mlflow.prompt.is_prompt' AND EXISTS (
       SELECT 1 FROM {schema}.registered_models m WHERE m.workspace = said.workspace AND m.name = said.name)
     AND ({schema}.kdgov_known(said.workspace, said.name, -1)
          OR (NOT {schema}.kdgov_is_prompt(said.workspace, said.name) AND EXISTS (
              SELECT 1 FROM {schema}.registered_model_aliases a WHERE a.workspace = said.workspace AND a.name = said.name
              AND NOT {schema}.kdgov_is_free(a.alias)))) THEN
    RAISE EXCEPTION 'kdgov: % stays what it is, a model or a prompt', said.name;
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_keep() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'kdgov: % takes no change and no deletion', TG_TABLE_NAME;
END $$;
CREATE OR REPLACE FUNCTION {schema}.kdgov_check_head() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp AS $$
BEGIN
  IF NEW.id <> OLD.id OR NEW.seq < OLD.seq OR (NEW.seq = OLD.seq AND NEW.hash <> OLD.hash) THEN
    RAISE EXCEPTION 'kdgov: the head of the log only goes on';
  END IF;
  RETURN NEW;
END $$;
"""
_DEFERRED = "CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE"
_KEPT_TABLES = ("kdgov_log", "kdgov_envelopes", "kdgov_log_head", "model_versions", "model_version_tags", "registered_model_aliases")
_TRIGGERS = {
    "kdgov_alias": ("registered_model_aliases", _DEFERRED, "kdgov_check_alias", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
    "kdgov_stage": ("model_versions", _DEFERRED, "kdgov_check_version", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
    "kdgov_tag": ("model_version_tags", _DEFERRED, "kdgov_check_tag", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
    "kdgov_model_tag": ("registered_model_tags", _DEFERRED, "kdgov_check_model_tag", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
    "kdgov_log_kept": ("kdgov_log", "TRIGGER {name} BEFORE UPDATE OR DELETE", "kdgov_keep", "FOR EACH ROW"),
    "kdgov_envelopes_kept": ("kdgov_envelopes", "TRIGGER {name} BEFORE UPDATE OR DELETE", "kdgov_keep", "FOR EACH ROW"),
    "kdgov_head_kept": ("kdgov_log_head", "TRIGGER {name} BEFORE DELETE", "kdgov_keep", "FOR EACH ROW"),
    "kdgov_head_goes_on": ("kdgov_log_head", "TRIGGER {name} BEFORE UPDATE", "kdgov_check_head", "FOR EACH ROW"),
    **{f"{table}_not_emptied": (table, "TRIGGER {name} BEFORE TRUNCATE", "kdgov_keep", "FOR EACH STATEMENT") for table in _KEPT_TABLES},
}
_GRANTS = {
    "kdgov_log": "SELECT, INSERT",
    "kdgov_envelopes": "SELECT, INSERT",
    "kdgov_log_head": "SELECT, INSERT, UPDATE",
    "kdgov_free_aliases": "SELECT",
}
"""What the guarded server's login needs of the guard's tables, where another owner made them."""


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
    except sa.exc.ProgrammingError as error:
        what = str(getattr(error, "orig", error)).strip().splitlines()[0][:200]
        mend = "Give the address of the login that owns MLflow's tables, after MLflow has made them."
        raise InputError(f"the trigger cannot be installed: {what}", mend=mend) from error
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
        schema = str(connection.execute(sa.text("SELECT quote_ident(current_schema())")).scalar())
        # Straight to the driver and without parameters: the percent signs are PL/pgSQL's own.
        connection.connection.cursor().execute(_FUNCTIONS.replace("{schema}", schema))
        for name, (table, when, function, each) in _TRIGGERS.items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            connection.exec_driver_sql(f"CREATE {when.format(name=name)} ON {table} {each} EXECUTE FUNCTION {schema}.{function}()")
        _grant(connection)


def _grant(connection: sa.Connection) -> None:
    """Let every login that may register versions write what the guard writes; whoever owns the tables has it anyway."""
    holders = connection.execute(
        sa.text(
            "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = current_schema() "
            "AND table_name = 'model_versions' AND privilege_type = 'INSERT' AND grantee <> current_user"
        )
    )
    for (login,) in holders.all():
        name = "PUBLIC" if login == "PUBLIC" else str(connection.execute(sa.text("SELECT quote_ident(:login)"), {"login": login}).scalar())
        for table, rights in _GRANTS.items():
            owner = connection.execute(
                sa.text("SELECT tableowner = current_user FROM pg_tables WHERE tablename = :t"), {"t": table}
            ).scalar()
            if owner:
                connection.exec_driver_sql(f"GRANT {rights} ON {table} TO {name}")


def remove_trigger(engine: sa.Engine) -> None:
    """Take the trigger out again (before `mlflow db upgrade`, should a new MLflow change these tables)."""
    with engine.begin() as connection:
        for name, (table, *_) in _TRIGGERS.items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
