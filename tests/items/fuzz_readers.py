"""A fuzzer of every reader: mutated result files must be read or be one line of error, within the memory allowed.

    python -m tests.items.fuzz_readers --seconds 600 --seed 1 --keep crashes/

Starts from the files of `tests/items/fuzz_corpus` and changes bytes, JSON values and keys. Runs in a process of its own, so that a
parser that ends the process is seen; prints the last input's place before each try.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from kdgov.errors import KdgovError
from kdgov.items.results import read_results

CORPUS = Path(__file__).parent / "fuzz_corpus"
MOST_MEMORY_BYTES = 3 << 30
_ODD: list[Any] = [
    None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x", "C", "nan", "1e999", "\ud800", "\x00", [], {}, [[]], [1],
    [1, 2], [1, "2"], ["a", "b"], [None], {"a": 1}, {"value": [1]}, {"": {}}, "ä" * 9, "9" * 5000, [[1, [2, [3]]]],
]  # fmt: skip
_BYTES = [
    b"[" * 300,
    b'{"a":' * 150,
    b"1e400",
    b"NaN",
    b"null",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b'"',
    b"\n",
    b",,",
    b"9" * 5000,
    b"PK\x03\x04",
]


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A text or a binary file with a few bytes changed, cut, doubled or replaced."""
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(5):
            case 0 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 1:
                del raw[at : at + rng.choice((1, 4, 64, 1024))]
            case 2:
                raw[at:at] = raw[at : at + rng.choice((1, 16, 256))]
            case 3:
                raw[at:at] = rng.choice(_BYTES)
            case _:
                if rng.random() < 0.3:
                    del raw[at:]
    return bytes(raw)


def mutated_value(value: Any, rng: random.Random) -> Any:
    """A JSON value with one to three nodes replaced, removed, renamed or repeated."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        holders = list(_holders(value))
        if not holders:
            return copy.deepcopy(rng.choice(_ODD))
        holder, key = rng.choice(holders)
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(("", "score", "x", str(key) + "2"))] = holder.pop(key)
            case 2 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[key] = copy.deepcopy(rng.choice(_ODD))
    return value


def _holders(value: Any) -> Any:
    stack = [value]
    while stack:
        one = stack.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            yield one, key
            if isinstance(one[key], (dict, list)):
                stack.append(one[key])


def mutate(path: Path, rng: random.Random) -> None:
    """Change one file in place."""
    data = path.read_bytes()
    if path.suffix in (".json", ".jsonl") and rng.random() < 0.7:
        try:
            if path.suffix == ".json" or data.lstrip().startswith(b"["):
                changed = json.dumps(mutated_value(json.loads(data), rng))
            else:
                lines = data.decode().splitlines()
                place = rng.randrange(len(lines))
                lines[place] = json.dumps(mutated_value(json.loads(lines[place]), rng))
                changed = "\n".join(lines) + "\n"
            path.write_text(changed)
        except (ValueError, RecursionError):
            pass
        else:
            return
    path.write_bytes(mutated_bytes(data, rng))


def one_try(case: Path, place: Path, rng: random.Random) -> str:
    """Mutate a copy of one case and read it; the traceback of what is no error of kdgov's own, else the empty text."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(case, place)
    files = sorted(file for file in place.rglob("*") if file.is_file())
    mutate(rng.choice(files), rng)
    try:
        table = read_results(place if rng.random() < 0.8 else rng.choice(files)).table
        table.content_digest  # noqa: B018 - what was read must hold together
    except KdgovError as error:
        str(error).encode("utf-8", "backslashreplace")
        return ""
    except Exception:  # noqa: BLE001 - this is what is looked for
        return traceback.format_exc()
    return ""


def main() -> int:
    """Fuzz for some time; exit code 1 where something escaped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--only", default="", help="part of the case's name")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    cases = sorted(path for path in CORPUS.iterdir() if path.is_dir() and given.only in path.name)
    until, tries, found = time.monotonic() + given.seconds, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            seed = given.seed * 1_000_000_007 + tries
            rng = random.Random(seed)
            case = cases[tries % len(cases)]
            place = Path(folder) / case.name
            # Stands there when a parser ends the process: the seed makes the same input again.
            sys.stderr.write(f"\rseed {seed}, {case.name}      ")
            escaped = one_try(case, place, rng)
            tries += 1
            if escaped:
                found += 1
                sys.stdout.write(f"seed {seed}, {case.name}\n{escaped}\n")
                if given.keep is not None:
                    shutil.copytree(place, given.keep / f"{case.name}-{seed}", dirs_exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{tries} tries, {found} escaped, {peak} MiB at most\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
