"""The card of what a teacher wrote: files with their digests, and for each who wrote it, how, when and under which terms."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.cards.draft_card import card_yaml
from kdgov.checks.licensing.endpoint_operator import operator_of
from kdgov.declarations.cards import DATASET_CARD, DatasetCard
from kdgov.digest import write_atomic
from kdgov.pipeline.context import ReleaseContext

CARD = "card.yaml"
"""File of the data set's card."""
_DATE_AT_END = re.compile(r"(\d{4}-\d{2}-\d{2})$")


def write_card(context: ReleaseContext, folder: Path, inputs: Sequence[str]) -> None:
    """Write the card of the shards below a folder into it.

    Args:
        context: the release that had them written.
        folder: what holds ``teacher_text/<n>/shard-*.jsonl`` and their records.
        inputs: names of the data that the teacher was prompted with.
    """
    release = context.release
    shards = sorted(folder.glob("teacher_text/*/shard-*.jsonl"))
    records = [json.loads(shard.with_suffix(".json").read_bytes()) for shard in shards]
    days = sorted({str(day) for record in records for day in record["days"]})
    generators = sorted({str(record["generator"]) for record in records})
    card = DatasetCard.model_validate(
        {
            "schema": DATASET_CARD,
            "name": f"{release.name}-teacher-text",
            "version": days[-1],
            "issuer": release.organization.name or "",
            "description": f"Answers of {', '.join(generators)} to the prompts of {', '.join(inputs)}, for the release {release.name}.",
            "date": days[-1],
            "license": _license(context, records),
            "generation_method": "synthetic, written by a model",
            "generation_period": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
            "intended_purpose": "Distillation: a student learns these answers.",
            "format": "application/jsonl",
            "files": [_file(shard, record, folder, inputs) for shard, record in zip(shards, records, strict=True)],
        }
    )
    write_atomic(folder / CARD, card_yaml(card).encode())


def _license(context: ReleaseContext, records: Sequence[Mapping[str, Any]]) -> str | None:
    """The terms that all text came under; of weights at hand nothing is claimed here: their card says what their outputs may be."""
    terms = {record.get("terms") for record in records}
    return str(next(iter(terms))) if len(terms) == 1 and None not in terms else None


def _file(shard: Path, record: Mapping[str, Any], folder: Path, inputs: Sequence[str]) -> dict[str, Any]:
    return {
        "path": shard.relative_to(folder).as_posix(),
        "digest": record["digest"],
        "rows": record["rows"],
        "size_bytes": shard.stat().st_size,
        "kind": "teacher_text",
        "generation": _generation(record, inputs),
    }


def _generation(record: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, Any]:
    terms, is_api = record.get("terms"), record["access"] == "api"
    dated = _DATE_AT_END.search(str(terms or ""))
    found = {
        "kind": "model",
        "generator": record["generator"],
        "revision": _revision(record),
        "access": record["access"],
        "terms": terms,
        "terms_date": dated.group(1) if dated and _is_date(dated.group(1)) else None,
        "access_date": record["date"],
        "sampling": record["sampling"],
        "seed": record["sampling"].get("seed"),
        "prompt_template_digest": record["prompt_template"],
        "system_prompt_digest": record.get("system"),
        "filters": [f"{one['filter']}: {one['dropped']} of {one['seen']} dropped" for one in record["filters"]],
        "human_edited": False,
        "signal": "text",
        "inputs": list(inputs),
        **(operator_of(record["base_url"]) if is_api else {}),
    }
    # Without a seed nothing was sampled by one: a dispute will ask, and the answer is that nobody knows it.
    unknown = [name for name in ("seed",) if found[name] is None]
    return {key: value for key, value in found.items() if value is not None} | ({"unknown": unknown} if unknown else {})


def _revision(record: Mapping[str, Any]) -> str | None:
    if record.get("weights"):
        return str(record["weights"])
    names = sorted(record.get("models") or {})
    prints = sorted(record.get("fingerprints") or {})
    return ", ".join([*names, *prints]) or None


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True
