"""CPU seconds and memory of a decision on ten million rows by two hundred criteria.

Run ``python -m tests.benchmarks.gate_tables``; exit code 1 where it takes more than 60 CPU seconds or 4 GiB.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import parse_policy
from kdgov.items import ItemTable

ROWS, CRITERIA = 10_000_000, 200
MOST_SECONDS, MOST_BYTES = 60.0, 4 << 30


def pair(rows: int, tasks: int, *, seed: int = 0) -> tuple[ItemTable, ItemTable]:
    """Two tables of 0/1 scores over the same items, one in ten of which differs."""
    rng = np.random.default_rng(seed)
    names = pa.array([f"task{k:03d}" for k in range(tasks)])
    one = pa.array(np.zeros(rows, dtype=np.int32))
    common = {
        "suite": pa.DictionaryArray.from_arrays(one, pa.array(["capability"])),
        "task": pa.DictionaryArray.from_arrays(pa.array((np.arange(rows) * tasks // rows).astype(np.int32)), names),
        "item_id": pc.cast(pa.array(np.arange(rows)), pa.large_string()),
        "metric": pa.DictionaryArray.from_arrays(one, pa.array(["acc"])),
    }
    teacher = (rng.random(rows) < 0.8).astype(np.float64)
    student = np.where(rng.random(rows) < 0.1, (rng.random(rows) < 0.8).astype(np.float64), teacher)
    first, second = (ItemTable(pa.table({**common, "score": scores}), "benchmark") for scores in (teacher, student))
    return first, second


def policy(criteria: int) -> str:
    """One criterion per task."""
    rows = [
        f"  - {{id: c{k:03d}, kind: non_inferiority, suite: capability, tasks: [task{k:03d}], direction: higher, margin: 0.02}}"
        for k in range(criteria)
    ]
    return "\n".join(["schema: kdgov.policy/1", "name: wide", "version: 1", "criteria:", *rows])


def main() -> int:
    """Measure and print; 1 where a limit was missed."""
    teacher, student = pair(ROWS, CRITERIA)
    used = parse_policy(policy(CRITERIA))
    began = time.process_time()
    decision = judge(teacher, student, used)
    spent, most = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(
        f"{ROWS:,} rows, {len(decision.criteria)} results, {decision.verdict}: {spent:.1f} CPU s, {most / 2**30:.2f} GiB at most\n"
    )
    return int(spent > MOST_SECONDS or most > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
