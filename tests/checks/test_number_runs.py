"""The fast ways through numbers answer as every pattern does, and tables of numbers are fast."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kdgov.checks.pii.id_numbers import everything_in, numbers_in
from kdgov.checks.pii.number_runs import number_runs

PIECES = (
    "0", "7", "12", "415", "555", "2671", "0151", "23456789", "4155552671", "1700000000", "078051120", "078-05-1120", "4111111111111111",
    "4111 1111 1111 1111", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "2024-05-06", "12:34:56", "0.123456", "-3.5e10",
    " ", " ", "  ", ",", ", ", "\n", "\t", "+", "(", ")", ".", "-", "/", "tel ", "SSN ", "order ", "x", "A", "é", "$", "#",
)  # fmt: skip


def plainly(text: bytes, data) -> set:
    """The answer of every pattern on every run of digits, none sorted out."""
    runs = [(start, end) for start, end, _ in _all_runs(data)]
    return {hit for start, end in runs for hit in everything_in(text, start, end)}


def _all_runs(data):
    import kdgov.checks.pii.number_runs as module

    kept = module._ways
    try:
        module._ways = lambda data, starts, ends, counts: np.zeros(len(starts), dtype=np.int8)
        return list(number_runs(data))
    finally:
        module._ways = kept


@pytest.mark.parametrize("seed", range(8))
def test_the_sieve_answers_as_every_pattern_does_on_numbers_of_all_kinds(seed):
    """Short integers, fractions and dates alone are set aside on purpose; whatever else differs is a number lost or invented."""
    rng = random.Random(seed)
    for _ in range(1500):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14))).encode()
        data = np.frombuffer(text, dtype=np.uint8)
        fast, slow = set(numbers_in(text, data)), plainly(text, data)
        assert fast <= slow, text
        for lost in slow - fast:
            piece = text[lost.start : lost.end]
            # A window that ends inside a longer number shows the plain way an end that is none.
            is_cut = text[lost.end : lost.end + 1].isalnum() or text[lost.start - 1 : lost.start].isalnum()
            assert is_cut or piece.replace(b".", b"").isdigit() or piece[:3] == b"202", (text, lost)


TABLES = {
    "integers": lambda rng: ",".join(str(rng.randint(0, 10**9)) for _ in range(12)),
    "fractions": lambda rng: ",".join(f"{rng.gauss(0, 1):.6f}" for _ in range(12)),
    "spaced": lambda rng: " ".join(str(rng.randint(0, 99_999)) for _ in range(12)),
    "dates": lambda rng: f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} 12:34:{rng.randint(0, 59):02},{rng.randint(0, 10**6)},0.5",
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_numbers_leaves_next_to_nothing_to_the_patterns(kind):
    """Counted, not timed: at most one run a line for what stands between spaces, none for cells."""
    rng = random.Random(1)
    lines = [TABLES[kind](rng) for _ in range(200)]
    left = [way for _, _, way in number_runs(np.frombuffer("\n".join(lines).encode(), dtype=np.uint8)) if way != "card"]
    assert len(left) <= (len(lines) if kind in ("spaced", "dates") else len(lines) // 4)
