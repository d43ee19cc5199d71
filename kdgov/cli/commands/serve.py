"""``kdgov serve`` and ``kdgov doctor``: the guarded server, and the proof that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.commands.promote import target_of
from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.options import Format, OldJson, PlainFormat
from kdgov.cli.unforeseen import require_parts
from kdgov.errors import EXIT_BLOCKED

if TYPE_CHECKING:
    from kdgov.guard.doctor import CanaryCheck
    from kdgov.guard.serving import ServerPlan

SERVE_EXAMPLES = """
[bold]Examples[/bold]

  kdgov serve                                                          the embedded registry, in a browser

  kdgov serve --backend-store-uri postgresql://mlflow@db/mlflow --artifacts-destination s3://models --port 5000 --workers 4

  kdgov serve --backend-store-uri sqlite:///mlflow.db --trust trust.json -- --app-name basic-auth

Everything after -- goes to `mlflow server` as it is. The server is stopped again when its canary is not refused.
"""
DOCTOR_EXAMPLES = """
[bold]Example[/bold]

  kdgov doctor --registry http://mlflow.internal:5000

Tries, with a throw-away version, what a guarded server must refuse. Exit code 0: all refused. 1: something went through.
"""


def serve(
    context: typer.Context,
    backend_store_uri: Annotated[str | None, typer.Option(help="Database; default the store's own SQLite file.")] = None,
    artifacts_destination: Annotated[str | None, typer.Option(help="Folder or s3://…; default artifacts/ of the store.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    trust: Annotated[Path | None, typer.Option(help="Trust store: whose signed decisions count.")] = None,
    guard_key: Annotated[str | None, typer.Option(help="Key source that signs the log: file:…, env:…, command:….")] = None,
    free_alias: Annotated[list[str] | None, typer.Option(help="Alias anyone may set; repeatable. Default candidate, challenger.")] = None,
    unguarded: Annotated[list[str] | None, typer.Option(help="Pattern of model names to leave alone; repeatable.")] = None,
    policy_digest: Annotated[list[str] | None, typer.Option(help="Only decisions under these policies count; repeatable.")] = None,
    require_weights: Annotated[bool, typer.Option("--require-weights", help="Refuse when the weights cannot be re-read here.")] = False,
    store: Annotated[Path | None, typer.Option(help="Store folder, where finished steps are kept.")] = None,
) -> None:
    """Start an MLflow server whose registry refuses what no valid passing decision covers."""
    with error_boundary():
        require_parts("serve")
        settings = _settings(trust, guard_key, free_alias, unguarded, policy_digest, require_weights)
        plan = _plan(store, backend_store_uri, artifacts_destination, (host, port, workers), (*context.args,), settings)
        _run_server(plan)


def doctor(
    registry: Annotated[str | None, typer.Option(help="Address of the registry; default KDGOV_REGISTRY, else the store's own.")] = None,
    alias: Annotated[str, typer.Option(help="Guarded alias to try.")] = "champion",
    store: Annotated[Path | None, typer.Option(help="Store folder, where finished steps are kept.")] = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Prove with a trial version that a registry really refuses."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        from kdgov.guard.doctor import examine
        from kdgov.recording.client.client import registry_client

        target = target_of(store, registry)
        with registry_client(target) as client:
            checks = examine(client, alias=alias, artifact_root=target.artifact_root)
        if as_json:
            print_json({"guarded": all(c.refused for c in checks), "checks": [c.as_json() for c in checks]})
        else:
            _show(checks)
        if not all(check.refused for check in checks):
            raise typer.Exit(EXIT_BLOCKED)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=SERVE_EXAMPLES, context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(serve)
    app.command(epilog=DOCTOR_EXAMPLES)(doctor)


def _settings(
    trust: Path | None,
    guard_key: str | None,
    free: list[str] | None,
    unguarded: list[str] | None,
    policies: list[str] | None,
    weights: bool,
) -> dict[str, str]:
    from kdgov.evidence.trust_store import TRUST_VARIABLE
    from kdgov.guard import config

    found = {
        TRUST_VARIABLE: str(trust.resolve()) if trust else "",
        config.GUARD_KEY_VARIABLE: guard_key or "",
        config.FREE_ALIASES_VARIABLE: ",".join(free or []),
        config.UNGUARDED_VARIABLE: ",".join(unguarded or []),
        config.POLICIES_VARIABLE: ",".join(policies or []),
        config.WEIGHTS_VARIABLE: "required" if weights else "",
    }
    return {name: value for name, value in found.items() if value}


def _plan(
    store: Path | None,
    backend: str | None,
    artifacts: str | None,
    where: tuple[str, int, int],
    further: tuple[str, ...],
    settings: dict[str, str],
) -> ServerPlan:
    from kdgov.guard.serving import ServerPlan

    folder = target_of(store, None).store if backend is None or artifacts is None else Path()
    if backend is None:
        folder.mkdir(parents=True, exist_ok=True)
    return ServerPlan(
        backend=backend or f"sqlite:///{folder / 'mlflow.db'}",
        artifacts=artifacts or str(folder / "artifacts"),
        host=where[0],
        port=where[1],
        workers=where[2],
        further=further,
        settings=settings,
    )


def _run_server(plan: ServerPlan) -> None:
    from kdgov.errors import UnavailableError
    from kdgov.guard.serving import refuse_taken, start_server, stop_server

    refuse_taken(plan)
    typer.echo(f"starting the registry on {plan.address} (MLflow takes 10 to 60 seconds) …", err=True)
    process = start_server(plan)
    try:
        _prove(plan)
        code = process.wait()
    except KeyboardInterrupt:
        # Ctrl-C and a supervisor's SIGTERM are how a server is meant to end.
        typer.echo("the registry is stopped", err=True)
        return
    finally:
        stop_server(process)
    # Whatever it says: a server that nobody told to end has failed.
    mend = "Read its messages above, then start it again."
    raise UnavailableError(f"the server ended by itself, with {code}", where=plan.address, mend=mend)


def _prove(plan: ServerPlan) -> None:
    import os

    from kdgov.errors import UnavailableError
    from kdgov.guard.doctor import examine_own
    from kdgov.recording.client.client import registry_client

    if "basic-auth" in plan.further and not os.environ.get("MLFLOW_TRACKING_USERNAME"):
        typer.echo(f"serving {plan.address}; with a login, run `kdgov doctor --registry {plan.address}` to prove the guard", err=True)
        return
    with registry_client(target_of(None, plan.address)) as client:
        checks = examine_own(client, plan.address, plan.nonce)
    if not checks[0].refused:
        mend = "Stop what answers there, or choose another with --port."
        raise UnavailableError("another server answers on this port", where=plan.address, mend=mend)
    if let_through := [f"{check.attempt} ({check.detail})" for check in checks if not check.refused]:
        raise UnavailableError(
            f"the server does not refuse: {'; '.join(let_through)}", where=plan.address, mend="Reinstall kdgov beside MLflow."
        )
    typer.echo(f"serving {plan.address}; the canary was refused, the guard holds", err=True)


def _show(checks: tuple[CanaryCheck, ...]) -> None:
    for check in checks:
        word = typer.style("refused", fg=typer.colors.GREEN) if check.refused else typer.style("LET THROUGH", fg=typer.colors.RED)
        typer.echo(f"{word}  {check.attempt}: {check.detail}")
