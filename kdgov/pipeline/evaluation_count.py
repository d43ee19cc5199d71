"""How many students were judged on the same items under one policy: the store remembers, tables alone cannot."""

from __future__ import annotations

import json
from pathlib import Path

from kdgov.digest import canonical_json, digest_json, write_atomic

LOOKS = "looks"


def count_looks(store: Path, *, release: str, plan: str, policy: str, student: str) -> int:
    """Which student this is, counted from 1; the same results judged again are the same look.

    Args:
        store: folder of finished work.
        release: the release's name.
        plan: digest of the frozen plan, which names every item.
        policy: the policy's digest.
        student: digest of the student's results.
    """
    place = digest_json({"release": release, "plan": plan, "policy": policy}).removeprefix("sha256:")[:24]
    file = store / LOOKS / f"{place}.json"
    try:
        seen = list(json.loads(file.read_bytes())["students"])
    except FileNotFoundError:
        seen = []
    if student not in seen:
        seen.append(student)
        write_atomic(file, canonical_json({"release": release, "plan": plan, "policy": policy, "students": seen}))
    return seen.index(student) + 1
