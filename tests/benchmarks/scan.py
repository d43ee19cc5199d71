"""What the scan finds and how fast: detection rates on labelled text, contamination rates, CPU seconds per megabyte.

Run ``python -m tests.benchmarks.scan``; it prints a table and writes ``tests/.artifacts/bench/scan.json``. Rates are measured
on synthetic text (`labelled`) and, where KDGOV_REALDATA has it, on real text; speed is CPU time of one process.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from kdgov.checks.pii.identifiers import find_identifiers
from kdgov.checks.scan.contamination import ItemIndex, SuiteItem
from kdgov.checks.scan.scan import Shard, scan_shard
from kdgov.digest import digest_file
from tests.benchmarks.labelled import MAKERS, edited, labelled_sentences, sentence

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured figure."""

    name: str
    """What was measured."""
    value: float
    """The figure."""
    target: float
    """What it should reach."""
    at_least: bool = True
    """Whether the target is a lower bound."""

    @property
    def holds(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def detection_rates(seed: int = 7, per_kind: int = 1000) -> dict[str, tuple[float, float]]:
    """Kind → (recall, precision); a hit counts when it overlaps the identifier and has its kind."""
    found, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for row in labelled_sentences(seed, per_kind):
        text = row.text.encode()
        start = text.index(row.value.encode())
        end = start + len(row.value.encode())
        seen = False
        for hit in find_identifiers(text):
            if hit.kind == row.kind and hit.start < end and hit.end > start:
                seen = True
            else:
                wrong[hit.kind] += 1
        if row.kind:
            (found if seen else missed)[row.kind] += 1
    return {kind: (found[kind] / (found[kind] + missed[kind]), found[kind] / max(found[kind] + wrong[kind], 1)) for kind in MAKERS}


def _items(texts: list[str]) -> list[SuiteItem]:
    return [SuiteItem(key=f"s/t/{n}", texts=(text,)) for n, text in enumerate(texts)]


def contamination_rates(texts: list[str], clean: list[str], *, seed: int = 11, folder: Path) -> dict[str, float]:
    """Shares of items found when planted word for word and edited, and of clean texts wrongly matched.

    Args:
        texts: items; half of them are planted, the other half stays out.
        clean: rows that hold none of them.
        seed: of the edits and places.
        folder: where the corpora are written.
    """
    rng = random.Random(seed)
    planted, absent = texts[::2], texts[1::2]
    index = ItemIndex(_items(texts))
    shares = {}
    for name, change in (("verbatim", lambda t: t), ("edited", lambda t: edited(rng, t))):
        rows = [f"{rng.choice(clean)} {change(text)} {rng.choice(clean)}" for text in planted]
        found = set(_scanned(rows, index, folder / f"{name}.jsonl").matches)
        shares[name] = len(found & {f"s/t/{2 * n}" for n in range(len(planted))}) / len(planted)
        shares[f"{name}_false"] = len(found & {f"s/t/{2 * n + 1}" for n in range(len(absent))}) / len(absent)
    alarms = _scanned(clean, index, folder / "clean.jsonl").matches
    shares["false_items"] = len(alarms) / len(texts)
    shares["false_rows"] = len({m["row"] for m in alarms.values()}) / len(clean)
    return shares


def _scanned(rows: list[str], index: ItemIndex, path: Path):  # noqa: ANN202 - ShardReport
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    return scan_shard(Shard(name=path.name, path=path, digest=digest_file(path)), index)


def synthetic_texts(seed: int, n: int, *, sentences: int) -> list[str]:
    """``n`` texts of so many sentences."""
    rng = random.Random(seed)
    return [" ".join(sentence(rng) for _ in range(sentences)) for _ in range(n)]


def throughput(folder: Path, *, megabytes: int = 24, items: int = 2000) -> tuple[float, float]:
    """(MB of text per CPU second, growth of peak memory in MB while the corpus grows fourfold) of the whole default scan."""
    index = ItemIndex(_items(synthetic_texts(1, items, sentences=4)))
    rng = random.Random(2)
    ids = [row.text for row in labelled_sentences(3, 30)]
    texts = synthetic_texts(4, 400, sentences=12)
    small, large = folder / "small.jsonl", folder / "large.jsonl"
    rows = [f"{rng.choice(texts)} {rng.choice(ids) if rng.random() < 0.02 else ''} {rng.choice(texts)}" for _ in range(2000)]
    block = "".join(json.dumps({"id": str(n), "text": row}) + "\n" for n, row in enumerate(rows)).encode()
    small.write_bytes(block)
    copies = max(1, megabytes * 1_000_000 // len(block))
    with large.open("wb") as stream:
        for _ in range(copies):
            stream.write(block)
    scan_shard(Shard(name="s", path=small, digest=""), index)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    report = scan_shard(Shard(name="l", path=large, digest=""), index)
    spent_s = time.process_time() - began
    return report.megabytes / spent_s, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def real_texts() -> tuple[list[str], list[str]] | None:
    """Real items (grade-school problems) and real clean text (stories, encyclopedia); None where they are absent."""
    data = Path(os.environ.get("KDGOV_REALDATA", ROOT.parent / "shared" / "realdata"))
    files = [data / "gsm8k" / "test.jsonl.gz", data / "tinystories" / "stories.jsonl.gz", data / "wikitext2" / "test.txt.gz"]
    if not all(file.exists() for file in files):
        return None
    problems, tales, articles = (gzip.decompress(file.read_bytes()).decode().splitlines() for file in files)
    items = [json.loads(line)["question"] for line in problems]
    stories = [str(next(v for v in json.loads(line).values() if isinstance(v, str) and len(v) > 80)) for line in tales]
    pages = [line.strip() for line in articles if len(line) > 200]
    return items, [*stories, *pages]


def measure() -> list[Line]:
    """Every figure with its target."""
    lines = []
    for kind, (recall, precision) in detection_rates().items():
        lines += [Line(name=f"{kind} recall", value=recall, target=0.95), Line(name=f"{kind} precision", value=precision, target=0.9)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora = {"synthetic": (synthetic_texts(5, 600, sentences=3), synthetic_texts(6, 4000, sentences=5))}
        if (real := real_texts()) is not None:
            corpora["real"] = real
        for label, (texts, clean) in corpora.items():
            rates = contamination_rates(texts, clean, folder=folder)
            lines += [
                Line(name=f"verbatim leaks found, {label}", value=rates["verbatim"], target=1.0),
                Line(name=f"leaks with 1 word in 8 edited found, {label}", value=rates["edited"], target=0.8),
                Line(name=f"items wrongly found in clean text, {label}", value=rates["false_items"], target=0.001, at_least=False),
            ]
        speed, growth = throughput(folder)
        lines += [
            Line(name="whole default scan, MB per CPU second", value=speed, target=8.0),
            Line(name="peak memory growth over 24 MB, MB", value=growth, target=64.0, at_least=False),
        ]
    return lines


def main() -> int:
    """Print the table, write it as JSON; exit code 1 where a target is missed."""
    lines = measure()
    for line in lines:
        bound = "≥" if line.at_least else "≤"
        sys.stdout.write(f"{line.name:<55} {line.value:9.4f}  {bound} {line.target:g}  {'ok' if line.holds else 'MISSED'}\n")
    out = ROOT / "tests" / ".artifacts" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "scan.json").write_text(json.dumps([asdict(line) | {"holds": line.holds} for line in lines], indent=2))
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
