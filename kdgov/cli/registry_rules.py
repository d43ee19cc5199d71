"""``kdgov registry policy`` and ``kdgov registry layout``: what the owner of a registry signs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdgov.cli.error_boundary import error_boundary, print_json
from kdgov.cli.options import Format, OldJson, PlainFormat
from kdgov.errors import InputError

if TYPE_CHECKING:
    from kdgov.evidence.derivation.owner_rules import OwnerRules
    from kdgov.evidence.trust_store import TrustStore

EXAMPLES = """
[bold]Examples[/bold]

  kdgov registry policy allow policies/support.yaml --models 'support-*'      from now on only listed policies count

  kdgov registry policy list

  kdgov registry layout --models 'support-*' --demand evaluation --by lab     evaluations must be signed by the key "lab"

  kdgov registry layout --models 'bank-*' --demand decision --threshold 2     two different keys under every decision

Both are signed for the purpose `policy` (KDGOV_SIGNING_KEY, else the store's own key) and lie beside the trust store, which is where the
guard reads them.
"""
policy_app = typer.Typer(help="Say which policies count for which models.", no_args_is_help=True, epilog=EXAMPLES)
TrustFile = Annotated[Path | None, typer.Option("--trust", help="Trust store; default KDGOV_TRUST, else keys/trust.json of the store.")]
StoreFolder = Annotated[Path | None, typer.Option(help="Store folder, where finished steps are kept.")]
Models = Annotated[list[str], typer.Option("--models", help="Pattern of registered models, such as 'support-*'; repeatable.")]


@policy_app.command("allow", epilog=EXAMPLES)
def allow(
    policy: Annotated[str, typer.Argument(help="Policy file, or name of a shipped one.")],
    models: Models,
    trust_file: TrustFile = None,
    store: StoreFolder = None,
) -> None:
    """Let a policy count for models; once a list exists, nothing else counts."""
    with error_boundary():
        from kdgov.declarations.policy_file import load_named_policy
        from kdgov.evidence.derivation.owner_rules import AllowedPolicy, PolicyList, write_policies

        named = load_named_policy(policy)
        path, _, rules = _state(trust_file, store)
        known = rules.policies or PolicyList()
        kept = [a for a in known.allow if a.digest != named.digest]
        before = next((a.models for a in known.allow if a.digest == named.digest), [])
        made = AllowedPolicy(name=named.name, version=named.version, digest=named.digest, models=[*dict.fromkeys([*before, *models])])
        number = known.number + (rules.policies is not None)
        write_policies(path, PolicyList(number=number, allow=[*kept, made]), _signers(store, path), at=_now())
        typer.echo(f"{made.name} {made.version} ({made.digest[:19]}…) counts for {', '.join(made.models)}")
        if rules.policies is None:
            typer.echo("a list exists now: policies that come with kdgov count only where it names them, such as", err=True)
            typer.echo("  kdgov registry policy allow default --models '*'", err=True)


@policy_app.command("list", epilog=EXAMPLES)
def list_policies(
    trust_file: TrustFile = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show which policies count for which models."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        _, _, rules = _state(trust_file, store)
        listed = rules.policies.model_dump(mode="json")["allow"] if rules.policies is not None else []
        if as_json:
            print_json({"is_signed": rules.policies is not None, "allow": listed})
            return
        for row in listed:
            typer.echo(f"{row['name']} {row['version']}  {row['digest'][:19]}…  {', '.join(row['models'])}")
        if rules.policies is None:
            typer.echo("no list is signed: the policies that come with kdgov count, no other does, and every standing says so")


def layout(
    models: Annotated[list[str] | None, typer.Option("--models", help="Pattern of registered models; repeatable.")] = None,
    demand: Annotated[list[str] | None, typer.Option(help="Purpose that must be signed: evaluation, decision, …; repeatable.")] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Key that counts for it, by name or keyid; repeatable. Default: any trusted.")
    ] = None,
    threshold: Annotated[int, typer.Option(help="How many different keys.", min=1)] = 1,
    replay: Annotated[int, typer.Option(help="Items per task that must be asked again: kdgov audit --replay N --attest.", min=0)] = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Take every rule away.")] = False,
    trust_file: TrustFile = None,
    store: StoreFolder = None,
    output_format: Format = PlainFormat.text,
    old_json: OldJson = False,
) -> None:
    """Show the layout, or add a rule: which signatures must be there before a version is promoted."""
    as_json = old_json or output_format is PlainFormat.json
    with error_boundary(output_format="json" if as_json else "text"):
        from kdgov.evidence.derivation.owner_rules import Layout, LayoutRule, write_layout

        path, trust, rules = _state(trust_file, store)
        known = rules.layout or Layout()
        if clear or models or demand or replay:
            added: list[Any] = []
            if models or demand or replay:
                added = [_rule(LayoutRule, models or [], demand or [], by or [], (threshold, replay), trust)]
            number = known.number + (rules.layout is not None)
            known = Layout(number=number, rules=[*([] if clear else known.rules), *added])
            write_layout(path, known, _signers(store, path), at=_now())
        if as_json:
            print_json(known.model_dump(mode="json"))
            return
        for rule in known.rules:
            if rule.replay:
                typer.echo(f"{', '.join(rule.models)}: {rule.replay} items per task asked again")
            for purpose, wanted in rule.signatures.items():
                whose = f" of {', '.join(wanted.keys)}" if wanted.keys else ""
                typer.echo(f"{', '.join(rule.models)}: {wanted.threshold} {purpose} signature(s){whose}")
        if not known.rules:
            typer.echo("no signature is demanded beyond the decision's own")


def register(registry_app: typer.Typer) -> None:
    """Add the commands below ``kdgov registry``."""
    registry_app.add_typer(policy_app, name="policy")
    registry_app.command("layout", epilog=EXAMPLES)(layout)


def _rule(kind: type[Any], models: list[str], demand: list[str], by: list[str], counts: tuple[int, int], trust: TrustStore) -> Any:
    from kdgov.declarations.load import validate

    threshold, replay = counts
    if not models or not (demand or replay):
        raise InputError("a rule needs models and what is demanded", mend="Add --models PATTERN, and --demand PURPOSE or --replay N.")
    known = {word for key in trust.keys for word in (key.keyid, key.name)}
    if strange := [word for word in by if word not in known]:
        raise InputError(f"no key is listed as {strange[0]!r}", mend="Name it as `kdgov keys list` shows it.")
    signatures = {purpose: {"keys": by, "threshold": threshold} for purpose in demand}
    return validate({"models": models, "signatures": signatures, "replay": replay}, kind, file="")


def _state(trust_file: Path | None, store: Path | None) -> tuple[Path, TrustStore, OwnerRules]:
    """Trust store's file and content, and the rules beside it.

    Raises:
        InputError: if a rule lies there that does not count: it is mended or taken away by hand, never written over.
    """
    import os

    from kdgov.evidence.derivation.owner_rules import load_owner_rules
    from kdgov.evidence.trust_store import load_trust, trust_path

    if trust_file is None and store is None and (named := os.environ.get("KDGOV_STORE")):
        store = Path(named)
    path = trust_file or trust_path(store)
    trust = load_trust(path)
    rules = load_owner_rules(path, trust, at=_now())
    if rules.faults:
        raise InputError(rules.faults[0], where=str(path.parent), mend="Put back the file that the owner signed, or take it away.")
    return path, trust, rules


def _signers(store: Path | None, trust_file: Path) -> tuple[Any, ...]:
    import os

    from kdgov.evidence.trust_store import load_trust
    from kdgov.recording.client.signers import signing_for

    signers = signing_for(store or Path(os.environ.get("KDGOV_STORE") or Path("registry") / "store")).signers
    # Only now: a store's own key is made, and trusted, when it is first asked for.
    trust = load_trust(trust_file)
    for signer in signers:
        key = trust.key(str(signer.public_key.keyid))
        if key is None or "policy" not in key.purposes:
            whose = key.name if key is not None else f"{str(signer.public_key.keyid)[:12]}…"
            raise InputError(
                f"key {whose} is not trusted here for the purpose policy",
                mend="Sign with the owner's key (KDGOV_SIGNING_KEY), or add it: kdgov keys trust KEY.pub --for policy.",
            )
    return signers


def _now() -> Any:
    import datetime

    return datetime.datetime.now(datetime.UTC)
