"""The PostgreSQL trigger: what a plain login tries past the guard, and what another owner grants."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from kdgov.guard.trigger import install_trigger, protect_database, remove_trigger
from kdgov.recording.promotion import revoke

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("postgres")]
V = "WHERE name = :name AND version = :version"
_TEMPORARY = (
    "CREATE TEMPORARY TABLE kdgov_free_aliases (alias varchar(256)); INSERT INTO pg_temp.kdgov_free_aliases VALUES ('production'); "
    "CREATE TEMPORARY TABLE kdgov_log AS SELECT * FROM public.kdgov_log; "
    "CREATE TEMPORARY TABLE registered_model_tags AS SELECT * FROM public.registered_model_tags; "
    "INSERT INTO pg_temp.registered_model_tags (workspace, name, key, value) VALUES ('default', :name, 'mlflow.prompt.is_prompt', 'true'); "
)
_ALIAS = "INSERT INTO public.registered_model_aliases (workspace, name, version, alias) VALUES ('default', :name, :version, 'production')"
REFUSED = {
    "@champion": _ALIAS,
    "@champion with temporary tables of the guard's names": _TEMPORARY + _ALIAS,
    "a version inserted in Production": "INSERT INTO model_versions (workspace, name, version, creation_time, current_stage, status) "
    "VALUES ('default', :name, 99, 1, 'Production', 'READY')",
    "Production by an update": f"UPDATE model_versions SET current_stage = 'Production' {V}",
    "the champion's source changed": f"UPDATE model_versions SET source = 's3://other' {V}",
    "the card changed": f"UPDATE model_versions SET description = 'All is well.' {V}",
    "the status changed": f"UPDATE model_versions SET status = 'FAILED_REGISTRATION' {V}",
    "the version deleted": f"DELETE FROM model_version_tags {V}; DELETE FROM registered_model_aliases {V}; DELETE FROM model_versions {V}",
    "the verdict tag changed": f"UPDATE model_version_tags SET value = 'FAIL' {V} AND key = 'kdgov.verdict'",
    "the verdict tag deleted": f"DELETE FROM model_version_tags {V} AND key = 'kdgov.verdict'",
    "a verdict tag on the model": "INSERT INTO registered_model_tags (workspace, name, key, value) "
    "VALUES ('default', :name, 'kdgov.verdict', 'PASS')",
    "a model marked as a prompt": "INSERT INTO registered_model_tags (workspace, name, key, value) "
    "VALUES ('default', :name, 'mlflow.prompt.is_prompt', 'true')",
    "the alias taken away": "DELETE FROM registered_model_aliases WHERE name = :name",
    "a log entry changed": "UPDATE kdgov_log SET kind = 'refuse' WHERE name = :name",
    "a log entry deleted": "DELETE FROM kdgov_log WHERE name = :name",
    "the log emptied": "TRUNCATE kdgov_log",
    "a stored statement deleted": "DELETE FROM kdgov_envelopes WHERE name = :name",
    "a stored statement re-dated": "UPDATE kdgov_envelopes SET received_at = '2020-01-01T00:00:00Z' WHERE name = :name",
    "the stored statements emptied": "TRUNCATE kdgov_envelopes",
    "the head set back": "UPDATE kdgov_log_head SET seq = 0",
    "the head deleted": "DELETE FROM kdgov_log_head",
    "the tags emptied": "TRUNCATE model_version_tags",
}


@pytest.fixture(scope="module")
def protected(served_postgres):
    """A promoted version on a protected PostgreSQL registry."""
    recorded = served_postgres.record()
    with served_postgres.client() as client:
        client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
    engine = sa.create_engine(served_postgres.database)
    install_trigger(engine)
    install_trigger(engine)
    try:
        yield served_postgres, recorded, engine
    finally:
        remove_trigger(engine)
        engine.dispose()


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_plain_login_is_refused(protected, text):
    _, recorded, engine = protected
    with pytest.raises(sa.exc.DBAPIError, match="kdgov:"):
        _run(engine, text, {"name": recorded.name, "version": recorded.version})


def _run(engine: sa.Engine, text: str, values: dict[str, object]) -> None:
    with engine.begin() as connection:
        for part in text.split("; "):
            if part.strip():
                connection.execute(sa.text(part), {key: value for key, value in values.items() if f":{key}" in part})


def test_a_prompt_that_took_champion_does_not_become_a_model(protected):
    site, _, _ = protected
    plain = MlflowClient(site.database, site.database)
    store = plain._get_registry_client().store
    from mlflow.entities.model_registry import RegisteredModelTag

    store.create_registered_model("mallory", tags=[RegisteredModelTag("mlflow.prompt.is_prompt", "true")])
    store.create_model_version("mallory", "s3://mallory/weights")
    store.set_registered_model_alias("mallory", "champion", "1")
    with pytest.raises(Exception, match="stays what it is"):
        store.delete_registered_model_tag("mallory", "mlflow.prompt.is_prompt")
    store.delete_registered_model("mallory")


def test_the_guarded_server_goes_on_as_before(protected):
    """Recording, promoting, demoting, moving an alias, deleting what was never promoted, revoking: all under the trigger."""
    site, _, _ = protected
    made, blocked = site.record(), site.record("fail")
    with site.client() as client:
        client.set_registered_model_alias(made.name, "champion", str(made.version))
        client.delete_registered_model_alias(made.name, "champion")
        client.set_registered_model_alias(made.name, "champion", str(made.version))
        client.set_registered_model_alias(made.name, "candidate", str(made.version))
        client.delete_registered_model_alias(made.name, "candidate")
        client.set_model_version_tag(made.name, str(made.version), "team", "x")
        client.delete_model_version(blocked.name, str(blocked.version))
        client.delete_registered_model(blocked.name)
    assert revoke(made.name, made.version, site.target, reason="leaks").done


def test_another_owner_grants_the_server_what_it_needs(served_postgres):
    """The documentation's example: the owner of MLflow's tables protects them, and another login serves."""
    owner = sa.create_engine(served_postgres.database)
    with owner.begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS serving"))
        connection.execute(sa.text("CREATE ROLE serving LOGIN"))
        connection.execute(sa.text("GRANT USAGE ON SCHEMA public TO serving"))
        connection.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON model_versions TO serving"))
    protect_database(served_postgres.database)
    try:
        serving = sa.create_engine(served_postgres.database.replace("kdgov@", "serving@"))
        with serving.connect() as connection:
            for table, right in (
                ("kdgov_log", "INSERT"),
                ("kdgov_envelopes", "INSERT"),
                ("kdgov_log_head", "UPDATE"),
                ("kdgov_free_aliases", "SELECT"),
            ):
                assert connection.execute(sa.text("SELECT has_table_privilege(:t, :r)"), {"t": table, "r": right}).scalar(), table
            assert not connection.execute(sa.text("SELECT has_table_privilege('kdgov_log', 'DELETE')")).scalar()
        serving.dispose()
    finally:
        protect_database(served_postgres.database, remove=True)
        with owner.begin() as connection:
            connection.execute(sa.text("DROP OWNED BY serving"))
            connection.execute(sa.text("DROP ROLE serving"))
        owner.dispose()
