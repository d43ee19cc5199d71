"""kdgov's side of the comparison of groups with lm_eval's command: a suite, its first items, and the groups' means as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.evaluation_run import evaluate


def main(suite: str, model: str, first: int, out: Path) -> None:
    """Evaluate and print; a process of its own, for the hub's address is read when its library is imported."""
    plan = build_plan(read_suites([suite]), first=first)
    found = evaluate(plan, Path(model), out, cache=out / "answers")
    print(json.dumps({f"{group['group']} {group['metric']}": group["value"] for group in found.document["groups"]}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
