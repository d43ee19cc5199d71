"""``kdgov bom``: the bill of materials of a recorded version."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdgov.cli.error_boundary import error_boundary, print_json, write_answer

EXAMPLES = """
[bold]Examples[/bold]

  kdgov bom support-student 3 > support-student.cdx.json           CycloneDX 1.6 ML-BOM

  kdgov bom support-student @champion --format spdx --out support-student.spdx.json      SPDX 3.0.1, AI and Dataset profiles

  kdgov bom support-student 3 --format in-toto                     the ML-BOM as an in-toto statement about weights and evidence
"""


class BomFormat(StrEnum):
    """Which standard."""

    cyclonedx = "cyclonedx"
    spdx = "spdx"
    in_toto = "in-toto"


def bom(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[str, typer.Argument(help="Version number or @alias.")],
    output_format: Annotated[BomFormat, typer.Option("--format", help="cyclonedx, spdx or in-toto.")] = BomFormat.cyclonedx,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    registry: Annotated[str | None, typer.Option(help="Address of the registry; default KDGOV_REGISTRY, else the store's own.")] = None,
    store: Annotated[Path | None, typer.Option(help="Store folder: embedded registry, keys, trust.")] = None,
) -> None:
    """Write a release's bill of materials: model card, data, lineage, licences, digests."""
    with error_boundary(output_format="json"):
        import json

        from kdgov.auditing.bom.recorded_bom import bill_of_materials
        from kdgov.cli.commands.promote import target_of

        document = bill_of_materials(model, version, target_of(store, registry), kind=output_format.value)
        if out is None:
            print_json(document)
            return
        write_answer(out, (json.dumps(document, ensure_ascii=False, indent=2) + "\n"))
        typer.echo(f"wrote {out} ({output_format.value})", err=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLES)(bom)
