"""The `kdgov` command: every command by name, what it is for and where it lives; a module is read when its command is called."""

from __future__ import annotations

import importlib
import io
import itertools
import os
import signal
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from kdgov import __version__
from kdgov.cli.error_boundary import USAGE_ERROR, fault_of, print_faults
from kdgov.errors import EXIT_ENVIRONMENT, EXIT_INPUT, Fault
from kdgov.processes import collect_rarely
from kdgov.visible_text import visible

WORKFLOW = "Release workflow"
TRUST = "Review and trust"
RULES = "Policies, suites, licences"
REGISTRY = "The registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of ``kdgov --help``."""

    module: str
    """Module below `kdgov.cli.commands` whose ``register`` adds the command."""
    panel: str
    """Heading it stands under."""
    help: str
    """What it does; the same sentence as the command's own help begins with (a test holds them together)."""


COMMANDS: Mapping[str, Entry] = {
    "run": Entry(
        module="run", panel=WORKFLOW, help="Take a release from check to promotion: check, distill, evaluate, gate, record, promote."
    ),
    "check": Entry(
        module="check",
        panel=WORKFLOW,
        help="Say before any compute is spent whether a release may go on: licences, provenance, privacy, contamination, practice.",
    ),
    "generate": Entry(
        module="generate",
        panel=WORKFLOW,
        help="Have the teacher of a release write training data: asked once, filtered, scanned, with a card.",
    ),
    "distill": Entry(module="distill", panel=WORKFLOW, help="Train the student of a release, or propose its temperature and weights."),
    "evaluate": Entry(
        module="evaluate", panel=WORKFLOW, help="Ask teacher and student the same frozen questions and write what each answered."
    ),
    "gate": Entry(
        module="gate",
        panel=WORKFLOW,
        help="Decide whether a student may be promoted: each criterion must be proven, and only a pass promotes.",
    ),
    "record": Entry(module="record", panel=WORKFLOW, help="Record a release in the registry: runs, evidence, model card, signed decision."),
    "promote": Entry(module="promote", panel=WORKFLOW, help="Set a guarded alias on a version that a valid passing decision covers."),
    "verify": Entry(module="promote", panel=TRUST, help="Re-read and re-verify one recorded version."),
    "audit": Entry(
        module="audit",
        panel=TRUST,
        help="Re-verify a recorded release using only the registry, and report.",
    ),
    "bom": Entry(module="bom", panel=TRUST, help="Write a release's bill of materials: model card, data, lineage, licences, digests."),
    "waive": Entry(module="waive", panel=TRUST, help="Set one result of one decision aside, signed, with owner, reason and expiry."),
    "approve": Entry(module="waive", panel=TRUST, help="Approve one decision in a role, signed."),
    "keys": Entry(module="keys", panel=TRUST, help="Create signing keys; choose which keys are trusted, and for what."),
    "policy": Entry(module="policy", panel=RULES, help="Check, compare and drill policies before trusting them."),
    "judge": Entry(module="judge", panel=RULES, help="Check a judge against people: draw answers to label, and say how often both agree."),
    "suites": Entry(module="suites", panel=RULES, help="List, show and pin suites."),
    "license": Entry(module="license", panel=RULES, help="Licences: may this student be made and released, and what must ship with it."),
    "card": Entry(module="card", panel=RULES, help="Cards: what is known of one model or one dataset."),
    "demo": Entry(
        module="demo", panel=WORKFLOW, help="Run the shipped miniature release in a folder of your own, from check to promotion."
    ),
    "inform": Entry(
        module="inform", panel=WORKFLOW, help="Tell a role of a release's results on one page, and take its signed acknowledgement."
    ),
    "init": Entry(
        module="init",
        panel=RULES,
        help="Write a release with cards, suites and a policy, or a policy alone, and the CI jobs that block a student the gate refuses.",
    ),
    "explain": Entry(
        module="explain",
        panel=RULES,
        help="Say what a finding, a criterion, a method of the gate or a word means, and which key answers it.",
    ),
    "schema": Entry(
        module="print_schema",
        panel=RULES,
        help="Print the JSON schema of a file that you write, with a description of every key, for editors and other programs.",
    ),
    "endpoint": Entry(
        module="serve_endpoint",
        panel=WORKFLOW,
        help="Serve a checkpoint on this machine as an OpenAI-compatible endpoint (greedy; for trying releases without a network).",
    ),
    "serve": Entry(
        module="serve", panel=REGISTRY, help="Start an MLflow server whose registry refuses what no valid passing decision covers."
    ),
    "doctor": Entry(module="serve", panel=REGISTRY, help="Prove with a trial version that a registry really refuses."),
    "registry": Entry(
        module="registry",
        panel=REGISTRY,
        help="List versions and whether they may be used; read the log of promotions, revocations and other acts.",
    ),
    "revoke": Entry(module="promote", panel=REGISTRY, help="Take a version out of use for good."),
    "rollback": Entry(module="promote", panel=REGISTRY, help="Move a guarded alias back to an earlier version that may still hold it."),
}


class LazyGroup(TyperGroup):
    """Lists every command from the table above and reads a command's module only when it is called.

    Building the parameters of all commands took two thirds of ``kdgov --help``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        lines = {name: TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel) for name, entry in COMMANDS.items()}
        self.commands.update(lines)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the base class does, with the real command in place of its line."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, (load_command(name) if command is not None and name is not None else command), rest


def load_command(name: str) -> Any:
    """The real command of a name in `COMMANDS`."""
    shelf = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})
    importlib.import_module(f"kdgov.cli.commands.{COMMANDS[name].module}").register(shelf)
    shelf.callback()(_shelf)
    return typer.main.get_group(shelf).commands[name]


def _shelf() -> None:
    """Make one registered command a group's member, as several are."""


app = typer.Typer(
    name="kdgov",
    cls=LazyGroup,
    help="Decide whether a distilled model may be released, and enforce it in the MLflow registry.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"kdgov {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    # Subcommands inherit it, error messages included; a terminal alone decides otherwise.
    if os.environ.get("NO_COLOR"):
        context.color = False


def main() -> None:
    """Entry point of the `kdgov` script."""
    collect_rarely()
    _write_utf8()
    if not {"-h", "--help"}.isdisjoint(sys.argv[1:]):
        _load_help_pages()
    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.__context__, USAGE_ERROR) and _wants_json(sys.argv):
            print_faults((Fault(file="", key="", what=ended.__context__.format_message(), mend="See --help."),), EXIT_INPUT)
        if ended.code == EXIT_ENVIRONMENT:
            # Some libraries hand an interrupt on once they notice it: by then Python is ending, and the echo would be its exit status.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
    except Exception as error:  # noqa: BLE001 - outside a command's own boundary; Python would end with 1, which means blocked
        _end_unforeseen(error)


def _write_utf8() -> None:
    """Marks such as ✓ must not end a command where the system's encoding lacks them (pipes on Windows, a bare ``LC_ALL=C``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _end_unforeseen(error: Exception) -> None:
    fault = fault_of(error)
    if _wants_json(sys.argv):
        print_faults((fault,), EXIT_ENVIRONMENT)
    typer.echo(f"error: {visible(str(fault))}", err=True)
    raise SystemExit(EXIT_ENVIRONMENT)


def _wants_json(arguments: list[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)


def _load_help_pages() -> None:
    # typer loads a Markdown parser for help written in Markdown; ours is written in rich's markup, and the parser is a sixth of the time
    # a help page takes. Whoever wants it later in this process gets the real one.
    name = "rich.markdown"
    if name not in sys.modules:
        stand_in: Any = types.ModuleType(name)
        stand_in.Markdown = object
        sys.modules[name] = stand_in
        importlib.import_module("typer.rich_utils")
        del sys.modules[name]
