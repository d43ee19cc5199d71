"""``kdgov waive`` and ``kdgov approve``: signed statements about one decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary

WAIVE_EXAMPLES = """
[bold]Example[/bold]

  kdgov waive decision.json --criterion refusal-retained --owner "R. Meier, risk" --reason "judge error, see RISK-112"
    --expires 2026-12-31 --key file:risk.key --out waiver.json

  kdgov gate --teacher t.parquet --student s.parquet --policy default --waiver waiver.json

A waiver holds for one result of one decision until a day. An invalid result and a licence denial cannot be waived.
"""
APPROVE_EXAMPLES = """
[bold]Example[/bold]

  kdgov approve decision.json --role risk --by "R. Meier" --key file:risk.key --out approval.json

An approval is bound to the very decision: judge anything anew and it no longer counts.
"""
DecisionFile = Annotated[Path, typer.Argument(help="decision.json, or what `kdgov gate --format json` printed.")]
Key = Annotated[str, typer.Option(envvar="KDGOV_SIGNING_KEY", help="file:PATH, env:NAME or command:PROGRAM; see `kdgov keys`.")]
Out = Annotated[Path | None, typer.Option(help="File to write; default the store's statements, which the gate reads.", show_default=False)]
Store = Annotated[Path, typer.Option(help="Store folder, where finished steps are kept.")]
_STORE = Path("registry/store")


def waive(
    decision: DecisionFile,
    criterion: Annotated[str, typer.Option(help="Criterion id, or the rule of a finding under review.")],
    owner: Annotated[str, typer.Option(help="Accountable owner.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    expires: Annotated[str, typer.Option(help="Last day it holds, YYYY-MM-DD.")],
    key: Key,
    place: Annotated[str, typer.Option(help="One place of the criterion, as the decision prints it; default all of them.")] = "",
    out: Out = None,
    store: Store = _STORE,
) -> None:
    """Set one result of one decision aside, signed, with owner, reason and expiry."""
    with error_boundary():
        from kdgov.evidence.bundle_layout import STATEMENTS
        from kdgov.evidence.permission_files import read_decision, sign_waiver, write_envelope

        judged = read_decision(decision)
        envelope = sign_waiver(judged, criterion=criterion, place=place, owner=owner, reason=reason, expires=expires, key=key)
        typer.echo(str(write_envelope(envelope, out, store / STATEMENTS)))


def approve(
    decision: DecisionFile,
    role: Annotated[str, typer.Option(help="Role the policy names, such as risk or model_owner.")],
    by: Annotated[str, typer.Option(help="Who approves.")],
    key: Key,
    note: Annotated[str, typer.Option(help="What the approver wants on record.")] = "",
    out: Out = None,
    store: Store = _STORE,
) -> None:
    """Approve one decision in a role, signed."""
    with error_boundary():
        from kdgov.evidence.bundle_layout import STATEMENTS
        from kdgov.evidence.permission_files import read_decision, sign_approval, write_envelope

        envelope = sign_approval(read_decision(decision), role=role, by=by, note=note, key=key)
        typer.echo(str(write_envelope(envelope, out, store / STATEMENTS)))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=WAIVE_EXAMPLES)(waive)
    app.command(epilog=APPROVE_EXAMPLES)(approve)
