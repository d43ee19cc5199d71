"""``kdgov keys``: signing keys, and which are trusted for what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.options import Format, OldJson, PlainFormat
from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.evidence.trust_store import TrustStore

EXAMPLES = """
[bold]Examples[/bold]

  kdgov keys new release-bot                                  release-bot.key (encrypted) and release-bot.pub

  kdgov keys trust release-bot.pub --for decision --until 2027-12-31

  kdgov keys trust grace.pub --name Grace --for approval --for waiver --role risk

  kdgov keys require waiver 2                                 two different keys must sign every waiver

  kdgov keys revoke release-bot --reason "laptop stolen" --compromised

Sign with KDGOV_SIGNING_KEY=file:release-bot.key (or env:NAME, command:PROGRAM); see docs/security.md.
"""
keys = typer.Typer(help="Create signing keys; choose which keys are trusted, and for what.", no_args_is_help=True, epilog=EXAMPLES)

TrustFile = Annotated[Path | None, typer.Option("--trust", help="Trust store; default KDGOV_TRUST, else keys/trust.json of the store.")]
StoreFolder = Annotated[Path | None, typer.Option(help="Store folder, where finished steps are kept.")]


@keys.command("new", epilog=EXAMPLES)
def new(
    name: Annotated[str, typer.Argument(help="File name of the key, without ending.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
    no_passphrase: Annotated[bool, typer.Option("--no-passphrase", help="Leave the private key unencrypted.")] = False,
) -> None:
    """Create an ed25519 key pair; the passphrase comes from KDGOV_KEY_PASSPHRASE or is asked for."""
    with error_boundary():
        import os

        from kdgov.evidence import PASSPHRASE_VARIABLE
        from kdgov.evidence.signing_keys import new_key

        passphrase = None if no_passphrase else os.environ.get(PASSPHRASE_VARIABLE) or _asked()
        made = new_key(folder, name, passphrase=passphrase)
        typer.echo(f"private key {made.private_path} ({'encrypted' if made.is_encrypted else 'NOT encrypted'}), keep it secret")
        typer.echo(f"public key  {made.public_path}, keyid {made.keyid}")
        typer.echo(f"trust it:   kdgov keys trust {made.public_path} --for decision")


@keys.command("trust", epilog=EXAMPLES)
def trust(
    public: Annotated[Path, typer.Argument(help="Public key file (PEM).")],
    name: Annotated[str | None, typer.Option(help="Who holds the private key; default the file's name.")] = None,
    purposes: Annotated[
        list[str] | None, typer.Option("--for", help="evaluation, decision, waiver, approval, policy, act; repeatable; needed.")
    ] = None,
    roles: Annotated[list[str] | None, typer.Option("--role", help="Role the holder speaks for, such as risk; repeatable.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="First day its signatures count (YYYY-MM-DD).")] = None,
    until: Annotated[str | None, typer.Option(help="Last day its signatures count (YYYY-MM-DD).")] = None,
    trust_file: TrustFile = None,
    store: StoreFolder = None,
) -> None:
    """Trust a key."""
    with error_boundary():
        from kdgov.evidence.signing_keys import keyid_of
        from kdgov.evidence.trust_store import trusted_key

        pem = _text(public)
        key = trusted_key(pem, name=name or public.stem, purposes=purposes or (), roles=roles, since=since, until=until)
        _save(trust_file, store, _load(trust_file, store).with_key(key))
        typer.echo(f"{key.name} ({keyid_of(pem)[:16]}…) counts for {', '.join(key.purposes)}")


@keys.command("trust-identity", epilog=EXAMPLES)
def trust_identity(
    name: Annotated[str, typer.Argument(help="What messages call it.")],
    issuer: Annotated[str, typer.Option(help="Address of the OIDC issuer, such as https://token.actions.githubusercontent.com.")],
    repository: Annotated[str, typer.Option(help="Address of the source repository, such as https://github.com/acme/models.")],
    workflow: Annotated[str, typer.Option(help="Path of the workflow in it, such as .github/workflows/release.yaml.")],
    ref: Annotated[str, typer.Option(help="Branch or tag it must run on, such as refs/heads/main.")],
    root: Annotated[Path, typer.Option(help="Sigstore's trusted_root.json, or the authority's certificates as PEM.")],
    purposes: Annotated[list[str] | None, typer.Option("--for", help="What its signatures count for; repeatable; needed.")] = None,
    roles: Annotated[list[str] | None, typer.Option("--role", help="Role it speaks for; repeatable.")] = None,
    trust_file: TrustFile = None,
    store: StoreFolder = None,
) -> None:
    """Trust a CI job that signs by its identity, without a key of its own (KDGOV_SIGNING_KEY=sigstore)."""
    with error_boundary():
        from kdgov.evidence.identities.authorities import trusted_identity

        job = {"issuer": issuer, "repository": repository, "workflow": workflow, "ref": ref}
        made = trusted_identity(name, job=job, root=root, purposes=purposes or (), roles=roles or ())
        trust = _load(trust_file, store)
        kept = [one for one in trust.identities if one.name != name]
        _save(trust_file, store, trust.model_copy(update={"identities": [*kept, made]}))
        typer.echo(f"{name}: {repository} {workflow}@{ref} counts for {', '.join(made.purposes)}")


@keys.command("list", epilog=EXAMPLES)
def list_keys(
    trust_file: TrustFile = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show which keys are trusted, for what, until when."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        found = _load(trust_file, store)
        if as_json:
            print_json(found.model_dump(mode="json", by_alias=True, exclude_none=True))
            return
        for key in found.keys:
            state = "compromised" if key.compromised else f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "counts"
            until = f" until {key.not_after:%Y-%m-%d}" if key.not_after else ""
            roles = f"; speaks for {', '.join(key.roles)}" if key.roles else ""
            typer.echo(f"{key.name}  {key.keyid[:16]}…  {state}{until}  for {', '.join(key.purposes)}{roles}")
        for one in found.identities:
            state = "compromised" if one.compromised else f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else "counts"
            typer.echo(f"{one.name}  CI job {one.repository} {one.workflow}@{one.ref}  {state}  for {', '.join(one.purposes)}")
        if found.separation == "off":
            typer.echo("separation is off: whoever signs a decision may also approve and waive it")
        for purpose, count in found.thresholds.items():
            typer.echo(f"every {purpose} needs {count} different keys")
        if not found.keys and not found.identities:
            typer.echo("nobody is trusted yet")


@keys.command("require", epilog=EXAMPLES)
def require(
    purpose: Annotated[str, typer.Argument(help="evaluation, decision, waiver, approval, policy or act.")],
    count: Annotated[int, typer.Argument(help="Different keys that must sign.", min=1)],
    trust_file: TrustFile = None,
    store: StoreFolder = None,
) -> None:
    """Say how many different keys must sign."""
    with error_boundary():
        from kdgov.evidence.trust_store import with_threshold

        _save(trust_file, store, with_threshold(_load(trust_file, store), purpose, count))
        typer.echo(f"every {purpose} needs {count} different keys")


@keys.command("revoke", epilog=EXAMPLES)
def revoke(
    name: Annotated[str, typer.Argument(help="Name or keyid as `kdgov keys list` shows it.")],
    because: Annotated[str, typer.Option("--reason", "--because", help="Why.")],
    compromised: Annotated[bool, typer.Option("--compromised", help="The private key leaked: nothing it ever signed counts.")] = False,
    trust_file: TrustFile = None,
    store: StoreFolder = None,
) -> None:
    """Stop trusting a key: its later signatures, or all of them with --compromised."""
    with error_boundary():
        import datetime

        from kdgov.evidence.trust_store import with_revoked

        found = with_revoked(
            _load(trust_file, store), name, because=because, compromised=compromised, at=datetime.datetime.now(datetime.UTC)
        )
        _save(trust_file, store, found)
        typer.echo(f"{name}: {'nothing it signed counts any more' if compromised else 'what it signs from now on does not count'}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(keys, name="keys")


def _asked() -> str:
    import sys

    if not sys.stdin.isatty():
        raise InputError("no passphrase was given", mend="Set KDGOV_KEY_PASSPHRASE, or pass --no-passphrase.")
    return str(typer.prompt("Passphrase of the new key", hide_input=True, confirmation_prompt=True))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the key file cannot be read", where=str(path), mend="Give the .pub file.") from error


def _path(trust_file: Path | None, store: Path | None) -> Path:
    import os

    from kdgov.evidence.trust_store import trust_path

    return trust_file or trust_path(store or (Path(named) if (named := os.environ.get("KDGOV_STORE")) else None))


def _load(trust_file: Path | None, store: Path | None) -> TrustStore:
    from kdgov.evidence.trust_store import load_trust

    return load_trust(_path(trust_file, store))


def _save(trust_file: Path | None, store: Path | None, trust: TrustStore) -> None:
    from kdgov.evidence.trust_store import save_trust

    save_trust(_path(trust_file, store), trust)
