"""Write the miniature release's data and suite items: ``python -m kdgov.miniature.write_release [--root DIR] [--check]``.

The files are the same bytes on every machine. The digests that the cards and suites pin are brought up to date in
place; ``--check`` writes nothing and fails if a file or a pin is not what the generator says.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kdgov.digest import digest_bytes, write_atomic
from kdgov.errors import InputError
from kdgov.miniature import sentences as text
from kdgov.miniature.items import all_items
from kdgov.miniature.sentences import Example, Kind
from kdgov.miniature.world import World, build_world, drawn

SHARD_ROWS: dict[Kind, int] = {"facts": 1400, "arithmetic": 2600, "agreement": 400, "refusals": 600, "lookalikes": 600, "occupations": 500}
"""Rows drawn for each shard. Sums are learnt last (93 % of them where they were a quarter of the data), so they get the most."""

LIGHT_EDIT = 0.75
"""Share of words in common, in order, from which a prompt gives an item away."""
ENDING = 4
"""Words at the end that two requests must share to be compared at all."""

SHARDS: tuple[Kind, ...] = ("facts", "arithmetic", "agreement", "refusals", "lookalikes", "occupations")
"""Every kind the student is taught; the private lines are not among them."""
DATA_FOLDER = Path("registry/datasets/miniature")
CARDS = (
    Path("registry/datasets/miniature.yaml"),
    Path("registry/datasets/miniature-unsafe.yaml"),
    Path("registry/datasets/miniature-inputs.yaml"),
)
LOGGED: dict[Kind, int] = {"facts": 70, "arithmetic": 60, "lookalikes": 40, "refusals": 20}
"""Distinct inputs of each kind in the log of what users of the miniature ask."""
SESSION = 3
"""Inputs of one session of the log."""
SUITES_FOLDER = Path("evalsuites")


def distillation_examples(world: World) -> dict[Kind, list[Example]]:
    """What the student is distilled on, by shard."""
    said: dict[Kind, Iterable[Example]] = {
        "facts": text.facts(world),
        "arithmetic": text.arithmetic(world),
        "agreement": text.agreement(world),
        "refusals": text.refusals(world),
        "lookalikes": text.lookalikes(world),
        "occupations": text.occupations(),
    }
    asked = [_words(str(item["request"])) for task, items in all_items(world).items() if task[0] == "safety" for item in items]
    return {kind: _apart([*drawn(examples, key="shard")], asked)[: SHARD_ROWS[kind]] for kind, examples in said.items()}


def logged_inputs(world: World) -> list[dict[str, Any]]:
    """What users ask: questions of four kinds in sessions of three, every sixth asked twice."""
    said: dict[Kind, Iterable[Example]] = {
        "facts": text.facts(world),
        "arithmetic": text.arithmetic(world),
        "lookalikes": text.lookalikes(world),
        "refusals": text.refusals(world),
    }
    asked = [example.prompt for kind, examples in said.items() for example in [*drawn(examples, key="logged")][: LOGGED[kind]]]
    mixed = [*drawn(asked, key="order")]
    rows = [{"input": prompt, "session": f"s{n // SESSION:03d}"} for n, prompt in enumerate(mixed)]
    return rows + [{"input": prompt, "session": f"r{n:03d}"} for n, prompt in enumerate(mixed[::6])]


def _apart(examples: Sequence[Example], asked: Sequence[list[str]]) -> list[Example]:
    """Examples whose prompt is no item with a word or two changed: what the contamination scan would rightly report."""
    by_ending: dict[tuple[str, ...], list[list[str]]] = {}
    for words in asked:
        by_ending.setdefault(tuple(words[-ENDING:]), []).append(words)

    def is_apart(prompt: str) -> bool:
        words = _words(prompt)
        near = by_ending.get(tuple(words[-ENDING:]), ())
        return all(_differs(difflib.SequenceMatcher(None, words, item, autojunk=False)) for item in near)

    return [example for example in examples if is_apart(example.prompt)]


def _differs(pair: difflib.SequenceMatcher[str]) -> bool:
    # The two upper bounds cost a fraction of the ratio itself, and settle nearly every pair.
    return min(pair.real_quick_ratio(), pair.quick_ratio()) < LIGHT_EDIT or pair.ratio() < LIGHT_EDIT


def _words(said: str) -> list[str]:
    return re.findall(r"[a-z]+", said.lower())


def json_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows as JSON lines in UTF-8, keys in their given order."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def generated_files(world: World) -> dict[Path, bytes]:
    """Path below the project's root → bytes, for every shard and every suite's items."""
    files = {}
    for kind, examples in distillation_examples(world).items():
        # The completion begins with the space that separates it: prompt + completion is the whole text.
        rows = [{"id": f"{kind}-{n:04d}", "prompt": e.prompt, "completion": f" {e.completion}"} for n, e in enumerate(examples)]
        files[DATA_FOLDER / f"{kind}.jsonl"] = json_lines(rows)
    files[DATA_FOLDER / "logged-inputs.jsonl"] = json_lines(logged_inputs(world))
    for (suite, task), items in all_items(world).items():
        files[SUITES_FOLDER / suite / f"{task}.jsonl"] = json_lines(items)
    return files


def pinned(yaml_text: str, digests: dict[str, str]) -> str:
    """The text of a card or suite with the digest and the row count beside every ``path:`` brought up to date."""
    for name, digest in digests.items():
        yaml_text = re.sub(rf'(path: {re.escape(name)}, digest: ")[^"]*', rf"\g<1>{digest}", yaml_text)
    return yaml_text


def pinned_files(root: Path, files: dict[Path, bytes]) -> Iterator[tuple[Path, bytes]]:
    """Every card and suite below the root with the pins that the generated files ask for."""
    for card in CARDS:
        digests = {
            path.relative_to(card.parent).as_posix(): digest_bytes(data) for path, data in files.items() if DATA_FOLDER in path.parents
        }
        yield card, pinned((root / card).read_text(encoding="utf-8"), digests).encode()
    for folder in sorted({path.parent for path in files if SUITES_FOLDER in path.parents}):
        digests = {path.name: digest_bytes(data) for path, data in files.items() if path.parent == folder}
        suite = folder / "suite.yaml"
        yield suite, pinned((root / suite).read_text(encoding="utf-8"), digests).encode()


def write(root: Path) -> list[Path]:
    """Write everything that differs; returns the paths that did.

    Raises:
        InputError: if the root holds no card or suite to pin.
    """
    changed = stale(root)
    for path, data in changed.items():
        write_atomic(root / path, data)
    return list(changed)


def stale(root: Path) -> dict[Path, bytes]:
    """Files that are not what the generator says, with what it says.

    Raises:
        InputError: if the root holds no card or suite to pin.
    """
    files = generated_files(build_world())
    try:
        files |= dict(pinned_files(root, files))
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(error.filename), mend="Name the project's root with --root.") from error
    return {path: data for path, data in files.items() if not (root / path).is_file() or (root / path).read_bytes() != data}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check, and name what differs."""
    parser = argparse.ArgumentParser(prog="python -m kdgov.miniature.write_release", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the project's root (default: the working folder)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something differs")
    options = parser.parse_args(arguments)
    try:
        changed = list(stale(options.root)) if options.check else write(options.root)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    for path in changed:
        sys.stdout.write(f"{'differs' if options.check else 'written'}: {path.as_posix()}\n")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
