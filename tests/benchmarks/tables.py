"""How fast tables of numbers are searched for identifiers: MB per CPU second by kind of table.

Run ``python -m tests.benchmarks.tables``.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from kdgov.checks.pii.identifiers import find_identifiers

Cell = Callable[[random.Random], str]


def _line(cell: Cell, separator: str, count: int = 12) -> Cell:
    return lambda rng: separator.join(cell(rng) for _ in range(count))


TABLES: dict[str, Cell] = {
    "integers": _line(lambda rng: str(rng.randint(0, 10**9)), ","),
    "fractions": _line(lambda rng: f"{rng.gauss(0, 1):.6f}", ","),
    "JSON lists": _line(lambda rng: f"{rng.gauss(0, 1):.6f}", ", "),
    "scientific": _line(lambda rng: f"{rng.gauss(0, 1):.4e}", ","),
    "between spaces": _line(lambda rng: str(rng.randint(0, 99_999)), " "),
    "dates and times": lambda rng: f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} 12:34:{rng.randint(0, 59):02},{rng.random():.5f}",
    "10 to 13 digits": _line(lambda rng: str(rng.randint(10**9, 10**13)), ",", 8),
}


def speeds(lines: int = 8000) -> dict[str, float]:
    """Kind of table → MB per CPU second."""
    found = {}
    for name, line in TABLES.items():
        rng = random.Random(1)
        text = "\n".join(line(rng) for _ in range(lines)).encode()
        begun = time.process_time()
        find_identifiers(text)
        found[name] = len(text) / 1e6 / max(time.process_time() - begun, 1e-9)
    return found


if __name__ == "__main__":
    for name, speed in speeds().items():
        sys.stdout.write(f"{name}: {speed:.1f} MB per CPU second\n")
