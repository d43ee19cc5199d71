"""What the embedding pass finds and what it wrongly takes for an item: ``python -m tests.benchmarks.retold_items``.

Recall on items of our own told in other words and in another language, beside what the scan finds without the pass; false alarms on
real text that holds none of the items, where it lies under KDGOV_REALDATA.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from kdgov.checks.scan.contamination import ItemIndex, SuiteItem
from kdgov.checks.scan.retold_items import encoder_version, retold_items
from kdgov.checks.scan.scan import Shard, scan_shard
from tests.benchmarks.coverage import REAL
from tests.benchmarks.retold import HELD_OUT, RETOLD

AROUND = (
    "Our club met on a rainy evening and everybody had brought something to read aloud. ",
    " Afterwards there was tea, and we agreed to meet again in spring when the evenings are longer and the garden is open.",
)
"""What stands around an item in a longer text."""


def _items(texts: Sequence[str]) -> list[SuiteItem]:
    return [SuiteItem(key=f"s/t/{n}", texts=(text,)) for n, text in enumerate(texts)]


def _file(folder: Path, texts: Sequence[str]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def found(items: Sequence[str], texts: Sequence[str]) -> tuple[set[int], set[int]]:
    """Numbers of the items that the pass finds in the texts, and that the scan finds without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = _file(Path(folder), texts)
        retold = retold_items(_items(items), [("data.jsonl", path)])
        report = scan_shard(Shard(name="data.jsonl", path=path, digest=""), ItemIndex(_items(items)))
    return {int(key.rpartition("/")[2]) for key in retold.found}, {int(key.rpartition("/")[2]) for key in report.matches}


def recall_rows() -> list[str]:
    """Lines of the table of recall."""
    rows = []
    for name, pairs in (("in view when the limits were chosen", RETOLD), ("written afterwards", HELD_OUT)):
        items = [pair[0] for pair in pairs]
        for told, column in (("other words", 1), ("another language", 2)):
            by_pass, by_scan = found(items, [pair[column] for pair in pairs])
            rows.append(f"| {told}, {name} | {len(by_pass)} of {len(items)} | {len(by_scan)} of {len(items)} |")
        inside, _ = found(items, [AROUND[0] + pair[2] + AROUND[1] for pair in pairs])
        rows.append(f"| another language, amid other sentences, {name} | {len(inside)} of {len(items)} | – |")
    return rows


def clean_rows() -> list[str]:
    """Lines of the table of false alarms."""

    def questions(name: str) -> list[str]:
        with gzip.open(REAL / f"gsm8k/{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            return [json.loads(line)["question"] for line in file]

    with (REAL / "xstest/xstest_prompts.csv").open(encoding="utf-8") as file:
        prompts = [row["prompt"] for row in csv.DictReader(file)]
    with (REAL / "harmbench/harmbench_behaviors_text_all.csv").open(encoding="utf-8") as file:
        requests = [row["Behavior"] for row in csv.DictReader(file)]
    with gzip.open(REAL / "wikitext2/test.txt.gz", "rt", encoding="utf-8") as file:
        wiki = [line.strip() for line in file if len(line) > 200]
    rows, own = [], [pair[0] for pair in (*RETOLD, *HELD_OUT)]
    for name, items, data in (
        ("300 grade-school sums beside 1,000 others", questions("test")[:300], questions("train")[:1000]),
        ("requests beside requests of another set", prompts, requests),
        ("our items beside encyclopaedia articles", own, wiki[:300]),
    ):
        wrong, _ = found(items, data)
        rows.append(f"| {name} | {len(wrong)} of {len(items)} |")
    return rows


def main() -> int:
    """Print the tables."""
    sys.stdout.write(f"{encoder_version()}\n\n| told in | found with the pass | without |\n|---|--:|--:|\n")
    sys.stdout.write("".join(f"{row}\n" for row in recall_rows()))
    if REAL.is_dir():
        sys.stdout.write("\n| no item in the data | wrongly found |\n|---|--:|\n" + "".join(f"{row}\n" for row in clean_rows()))
    texts = [f"{' '.join(pair[0] for pair in RETOLD[n % 29 : n % 29 + 3])} {n}" for n in range(150)]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        retold = retold_items(_items(["one two three four five"]), [("d", _file(Path(folder), texts))])
    sys.stdout.write(f"\n{retold.passages / (time.process_time() - start):.0f} passages per CPU second\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
