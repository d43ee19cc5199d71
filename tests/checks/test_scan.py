"""The scan: what it finds, what it leaves alone, and that workers, order, kills and formats change nothing."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.checks.cards.release_inputs import Body, BodyFile, ReleaseInputs
from kdgov.checks.findings.rules import Stances
from kdgov.checks.findings.scan_findings import contamination_findings, not_testable_finding
from kdgov.checks.pii.identifiers import find_identifiers
from kdgov.checks.scan.contamination import ItemIndex, SuiteItem, jaccard
from kdgov.checks.scan.ngram_runs import SHARED_BY
from kdgov.checks.scan.scan import ScanShards, Shard, ShardReport, scan, scan_shard
from kdgov.checks.scan.shards import LONG_LINE_BYTES
from kdgov.checks.scan.suite_items import SuiteItems
from kdgov.digest import digest_file
from tests.benchmarks import scan as benchmark
from tests.benchmarks.labelled import labelled_sentences, sentence
from tests.conftest import real_folder

LONG = (
    "When the last ferry had left the harbour the two brothers carried the heavy chest up the stone steps and hid it "
    "behind the oven of the empty bakery where nobody had worked since spring"
)


def shard(path: Path, **more) -> Shard:
    return Shard(name=path.name, path=path, digest=digest_file(path), **more)


def found(tmp_path: Path, items: list[str], rows: list[object], ending: str = ".jsonl") -> dict[str, dict]:
    path = tmp_path / f"data{ending}"
    path.write_text("".join(json.dumps(row if isinstance(row, dict) else {"text": row}) + "\n" for row in rows))
    index = ItemIndex([SuiteItem(key=f"s/t/{n}", texts=(text,)) for n, text in enumerate(items)])
    return scan_shard(shard(path), index).matches


# Identifiers


def test_detection_rates_on_labelled_text_reach_their_targets():
    for kind, (recall, precision) in benchmark.detection_rates(seed=21, per_kind=150).items():
        assert recall >= 0.95, kind
        assert precision >= 0.9, kind


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("card 4111 1111 1111 1111 here", ["credit_card"]),
        ("card 4111 1111 1111 1112 here", []),
        ("IBAN GB82 WEST 1234 5698 7654 32 here", ["iban"]),
        ("IBAN GB83 WEST 1234 5698 7654 32 here", []),
        ("4 5 5 5 1 4 3 9 7 2 9 8 1 5 0 6 and 17 4111 1111 1111 1111", []),
        ("card 4111-1111-1111-1111 exp 12/29", ["credit_card"]),
        ("rows 12 415 555 2671", []),
        ("ssn 078-05-1120", ["us_ssn"]),
        ("ssn 000-05-1120", []),
        ("SSN: 078051120", ["us_ssn"]),
        ("at 10.1.2.3 and 2001:db8::1:2 now", ["ip_address", "ip_address"]),
        ("at 10.1.2.300 or version 1.2.3.4", []),
        ("-----BEGIN RSA PRIVATE KEY-----", ["private_key"]),
        ('password = "correct7horse"', ["password"]),
        ('password = "your-password-here"', []),
        ("token ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6", ["api_key"]),
    ],
)
def test_published_examples_of_each_format(text, kinds):
    assert [hit.kind for hit in find_identifiers(text.encode())] == kinds


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_searched_and_hits_do_not_overlap(text):
    raw = text.encode("utf-8", "replace")
    hits = find_identifiers(raw)
    assert all(a.end <= b.start for a, b in zip(hits, hits[1:], strict=False))
    assert all(0 <= hit.start < hit.end <= len(raw) for hit in hits)


def test_the_sieve_loses_nothing_the_patterns_alone_would_find():
    """E-mail by a plain expression over the whole text against the sieve."""
    text = " ".join(row.text for row in labelled_sentences(5, 60))
    plain = {m.start() for m in re.finditer(r"[A-Za-z0-9][A-Za-z0-9._%+'\-]*@(?:[A-Za-z0-9\-]+\.)+(?!png|jpg)[A-Za-z]{2,}", text)}
    assert {hit.start for hit in find_identifiers(text.encode()) if hit.kind == "email"} == plain


def test_places_name_row_field_and_offset_and_only_the_files_holder_can_test_a_guess(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"note": "é write to jane@example.org"}) + "\n", encoding="utf-8")
    place = scan_shard(shard(path), ItemIndex([])).places["email"][0]
    assert (place["row"], place["field"], place["offset"]) == (1, "note", 11)
    other = tmp_path / "b.jsonl"
    other.write_text(path.read_text(encoding="utf-8") + "\n{}\n", encoding="utf-8")
    assert scan_shard(shard(other), ItemIndex([])).places["email"][0]["keyed_digest"] != place["keyed_digest"]


def test_identifiers_across_windows_are_counted_once(tmp_path):
    """Addresses everywhere around the cuts of a long text: as many as were written."""
    parts = [f"filler words here x{n} jane{n}@example.org\n" for n in range(30_000)]
    path = tmp_path / "a.txt"
    path.write_text("".join(parts))
    assert scan_shard(shard(path), ItemIndex([])).identifiers == {"email": len(parts)}


def test_escapes_do_not_hide_an_identifier(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "jane\\u0040example.org"}\n')
    assert scan_shard(shard(path), ItemIndex([])).identifiers == {"email": 1}


# Contamination


def test_verbatim_leaks_are_always_found_and_clean_text_is_left_alone(tmp_path):
    texts, clean = benchmark.synthetic_texts(31, 200, sentences=3), benchmark.synthetic_texts(32, 1000, sentences=5)
    rates = benchmark.contamination_rates(texts, clean, folder=tmp_path)
    assert rates["verbatim"] == 1.0
    assert rates["edited"] >= 0.8
    assert rates["false_items"] <= 0.001
    assert rates["verbatim_false"] == rates["edited_false"] == 0.0


@pytest.mark.real
def test_leaks_of_real_problems_in_real_text(tmp_path):
    real_folder("gsm8k")
    texts, clean = benchmark.real_texts()
    rates = benchmark.contamination_rates(texts[:400], clean[:1500], folder=tmp_path)
    assert rates["verbatim"] == 1.0
    assert rates["edited"] >= 0.8
    assert rates["false_items"] <= 0.001


@pytest.mark.parametrize("shape", ["{}", "before {} after", "BEFORE — “{}” AFTER", "a, b: {}\n\nc", "x\u00a0{}\u2009y"])
def test_marks_case_and_surroundings_do_not_hide_a_leak(tmp_path, shape):
    assert found(tmp_path, [LONG], [shape.format(LONG.upper() if "BEFORE" in shape else LONG)])["s/t/0"]["kind"] == "verbatim"


def test_short_items_count_only_where_they_stand_alone(tmp_path):
    item = "Where does the old miller live?"
    assert found(tmp_path, [item], [{"prompt": item, "completion": " In town"}])
    assert found(tmp_path, [item], [f"Tell me. {item} In town."])
    assert not found(tmp_path, [item], ["I asked where does the old miller live when he is away"])


def test_a_phrase_in_common_is_told_apart_from_half_an_item(tmp_path):
    """13 words of 33 in common are a phrase; 20 of them are the item."""
    words = LONG.split()
    assert found(tmp_path, [LONG], ["So it was. " + " ".join(words[:13]) + " and was gone"])["s/t/0"]["kind"] == "overlap"
    assert found(tmp_path, [LONG], ["So it was. " + " ".join(words[:20]) + " and was gone"])["s/t/0"]["kind"] == "verbatim"


def test_a_leak_repeated_many_times_is_no_frame(tmp_path):
    """Upsampling a leaked item must not make it look like a template."""
    assert found(tmp_path, [LONG], [LONG] * 50)["s/t/0"]["kind"] == "verbatim"


def test_runs_never_cross_rows(tmp_path):
    words = LONG.split()
    halves = [" ".join(words[:12]), " ".join(words[12:24]), " ".join(words[24:])]
    assert not found(tmp_path, [LONG], halves)


def test_a_question_split_over_the_fields_of_one_row_is_found(tmp_path):
    words = LONG.split()
    assert found(tmp_path, [LONG], [{"prompt": " ".join(words[:7]), "completion": " ".join(words[7:])}])


def test_frames_that_many_items_share_are_not_evidence(tmp_path):
    frame = "In the following story about a village you are asked to say who of the people named {} was the last to leave"
    items = [
        frame.format(f"{name} and Bert") for name in ("Ann", "Eve", "Ida", "Una", "Ada", "Liv", "Eli", "Oda", "Tea", "Mia", "Lea", "Kim")
    ]
    assert len(items) > SHARED_BY
    assert not found(tmp_path, items, [frame.format("Zed and Yan")])
    assert set(found(tmp_path, items, [items[3]])) == {"s/t/3"}


def test_a_text_of_many_items_gives_none_of_them_away(tmp_path):
    refusal = "I am sorry but I can not help you with that request today"
    index = ItemIndex([SuiteItem(key=f"s/t/{n}", texts=(f"{LONG} {n} times", refusal)) for n in range(SHARED_BY + 5)])
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": refusal}) + "\n")
    assert not scan_shard(shard(path), index).matches


def test_near_duplicates_are_told_apart_from_edits(tmp_path):
    """Every fifth word changed: no run of five survives, most runs of three do not either; every ninth: a near-duplicate."""
    words = LONG.split()
    ninth = " ".join("other" if n % 9 == 4 else w for n, w in enumerate(words))
    assert found(tmp_path, [LONG], [ninth])["s/t/0"]["kind"] in ("edited", "near_duplicate")
    shuffled = " ".join(words[16:] + words[:16])
    assert found(tmp_path, [shuffled], [LONG])


def test_rearranged_blocks_are_near_duplicates(tmp_path):
    """Blocks of four words in another order share no run of five, and most runs of three inside blocks of ten."""
    rng = random.Random(3)
    words = " ".join(sentence(rng) for _ in range(6)).split()
    blocks = [words[n : n + 4] for n in range(0, len(words), 4)]
    item, row = " ".join(words), " ".join(" ".join(b) for b in reversed(blocks))
    match = found(tmp_path, [item], [row]).get("s/t/0")
    runs = lambda t: {tuple(t.lower().replace(".", "").split()[i : i + 3]) for i in range(len(t.split()) - 2)}  # noqa: E731
    alike = len(runs(item) & runs(row)) / len(runs(item) | runs(row))
    assert (match is not None) == (alike >= 0.6)


@given(st.lists(st.integers(0, 40), max_size=30), st.lists(st.integers(0, 40), max_size=30))
@settings(max_examples=50, deadline=None)
def test_jaccard_is_that_of_sets(one, other):
    a, b = np.unique(np.array(one, dtype=np.uint64)), np.unique(np.array(other, dtype=np.uint64))
    union = set(one) | set(other)
    assert jaccard(a, b) == pytest.approx(len(set(one) & set(other)) / len(union) if union else 1.0)


def test_roles_are_counted_apart(tmp_path):
    roles = found(tmp_path, [LONG], [{"prompt": LONG, "completion": "no"}, {"prompt": "say it", "completion": LONG}, {"text": LONG}])
    assert roles["s/t/0"]["roles"] == {"output": 1, "prompt": 1, "text": 1}


# The engine


def corpus(tmp_path: Path) -> list[Shard]:
    rows = [{"text": row.text} for row in labelled_sentences(9, 25)]
    rows[11]["text"] += " " + LONG
    shards = []
    for n in range(4):
        path = tmp_path / f"part-{n}.jsonl.gz"
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows[n::4]).encode(), mtime=0))
        shards.append(shard(path))
    return shards


def test_two_workers_give_the_same_reports_as_one(tmp_path):
    index = ItemIndex([SuiteItem(key="s/t/0", texts=(LONG,))])
    shards = corpus(tmp_path)
    one, two = scan(shards, index), scan(shards, index, workers=2)
    assert [asdict(r) for r in one] == [asdict(r) for r in two]
    assert sum(len(r.matches) for r in one) == 1
    assert [r.name for r in one] == [s.name for s in shards]


def test_datatrove_with_two_workers_gives_the_same_reports(tmp_path):
    local = pytest.importorskip("datatrove.executor.local", reason="datatrove is not installed")
    index = ItemIndex([SuiteItem(key="s/t/0", texts=(LONG,))])
    shards = corpus(tmp_path)
    step = ScanShards(shards, index, kept=tmp_path / "kept")
    local.LocalPipelineExecutor(pipeline=[step], tasks=2, workers=2, logging_dir=str(tmp_path / "logs")).run()
    assert len(list((tmp_path / "kept").glob("scan-*.json"))) == len(shards)
    untouched: list[object] = []
    reports = scan(shards, index, kept=tmp_path / "kept", progress=lambda *told: untouched.append(told))
    assert untouched == []
    assert [asdict(r) for r in reports] == [asdict(r) for r in scan(shards, index)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_the_tasks_of_any_world_size_together_scan_every_file_once(tmp_path, world_size):
    shards = corpus(tmp_path)
    step = ScanShards(shards, ItemIndex([]), kept=tmp_path / "kept")
    for rank in range(world_size):
        assert step("passed on", rank=rank, world_size=world_size) == "passed on"
    assert len(list((tmp_path / "kept").glob("scan-*.json"))) == len(shards)


def test_a_killed_scan_goes_on_with_the_next_file(tmp_path):
    index = ItemIndex([])
    shards = corpus(tmp_path)
    whole = scan(shards, index)
    scan(shards[:2], index, kept=tmp_path / "kept")
    told: list[tuple[int, int]] = []
    again = scan(shards, index, kept=tmp_path / "kept", progress=lambda label, done, total: told.append((done, total)))
    assert [asdict(r) for r in again] == [asdict(r) for r in whole]
    assert len(told) == 2
    assert told[-1][0] == told[-1][1]


def test_a_changed_file_or_item_is_scanned_again(tmp_path):
    shards = corpus(tmp_path)
    kept = tmp_path / "kept"
    scan(shards, ItemIndex([]), kept=kept)
    reports = scan(shards, ItemIndex([SuiteItem(key="s/t/0", texts=(LONG,))]), kept=kept)
    assert sum(len(r.matches) for r in reports) == 1


def test_a_leak_in_one_endless_line_is_found(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w") as stream:
        stream.write('{"text": "')
        for _ in range(LONG_LINE_BYTES // (1 << 19) + 3):
            stream.write("no end of words " * (1 << 15))
        stream.write(LONG + ' jane@example.org"}')
    report = scan_shard(shard(path), ItemIndex([SuiteItem(key="s/t/0", texts=(LONG,))]))
    assert report.long_lines == 1
    assert report.matches["s/t/0"]["kind"] == "verbatim"
    assert report.identifiers == {"email": 1}


def test_a_damaged_file_is_reported_with_what_was_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    rng = random.Random(1)
    whole = gzip.compress(b"".join(json.dumps({"text": f"{n} {rng.random()}"}).encode() + b"\n" for n in range(40_000)))
    path.write_bytes(whole[:-1000])
    report = scan_shard(shard(path), ItemIndex([]))
    assert "cannot be read" in report.damage
    assert report.rows > 0


# Findings


def test_what_could_not_be_looked_for_is_said():
    items = SuiteItems(items=(), absent=("capability/gsm: its items come from a hub or from lm-eval itself",), digests={})
    rules = [f.rule for f in contamination_findings([], items, Stances())]
    assert rules == ["contamination.items-absent"]
    index = ItemIndex([SuiteItem(key="s/t/0", texts=("yes no",))])
    (short,) = not_testable_finding(index.not_testable, 1, Stances())
    assert short.rule == "contamination.not-testable"
    assert "1 of s/t" in short.reason


@pytest.mark.parametrize(
    ("kind", "rule", "verdict"),
    [
        ("verbatim", "contamination.verbatim", "block"),
        ("edited", "contamination.edited", "review"),
        ("near_duplicate", "contamination.near-duplicate", "review"),
        ("overlap", "contamination.overlap", "warn"),
    ],
)
def test_contaminated_items_are_named_with_file_and_row(kind, rule, verdict):
    match = {"kind": kind, "share": 0.9, "row": 4, "roles": {"prompt": 2}}
    report = ShardReport(name="a.jsonl", digest="", matches={"s/t/7": match})
    items = SuiteItems(items=(SuiteItem(key="s/t/7", texts=(LONG,)),), absent=(), digests={})
    (finding,) = contamination_findings([report], items, Stances())
    assert (finding.rule, finding.verdict) == (rule, verdict)
    assert "s/t/7 at a.jsonl row 4" in finding.reason
    assert "teacher prompts (2)" in finding.reason


def test_lines_too_long_and_counts_below_the_limit_are_notes():
    """`provenance.file-long-lines` and `privacy.pii-noted` warn: nothing is wrong yet, nothing is silent."""
    from kdgov.checks.findings.scan_findings import scan_findings
    from kdgov.declarations.release import Release

    release = Release.model_validate(
        {
            "schema": "kdgov.release/1",
            "name": "s",
            "teacher": {"model": "t"},
            "student": {"keep_layers": [0]},
            "data": ["a.jsonl"],
            "distillation": {},
        }
    )
    file = BodyFile(name="a.jsonl", path=Path("a.jsonl"), declared=None, digest="sha256:0", size_bytes=1)
    body = Body(key="data[0]", name="a.jsonl", card=None, files=(file,))
    report = ShardReport(name="a.jsonl", digest="", rows=5, text_bytes=1_000_000, long_lines=1, identifiers={"email": 3}, places={})
    materials = ReleaseInputs(release=release, where="r", teacher=None, student=None, bodies=(body,), suites=(), upstream={})  # type: ignore[arg-type]
    items = SuiteItems(items=(), absent=(), digests={})
    found_rules = {f.rule: f.verdict for f in scan_findings(materials, [(body, report)], items, Stances())}
    assert found_rules == {"provenance.file-long-lines": "warn", "privacy.pii-noted": "warn"}


@pytest.mark.nightly
def test_a_gigabyte_on_one_line_is_scanned_in_bounded_memory(tmp_path):
    """1 GB of JSON on a single line, in a process of its own: the leak at its end is found in less than 400 MB."""
    path = tmp_path / "one-line.json"
    text = "the miller carried the silver letter over the bridge before winter came"
    block = (json.dumps({"text": text}) + ", ").encode() * 12_500
    blocks = 1_000_000_000 // len(block) + 1
    with path.open("wb") as stream:
        stream.write(b"[")
        for _ in range(blocks):
            stream.write(block)
        stream.write(json.dumps({"text": LONG}).encode() + b"]")
    code = (
        "import sys, json, resource; from pathlib import Path\n"
        "from kdgov.checks.scan.contamination import ItemIndex, SuiteItem\n"
        "from kdgov.checks.scan.scan import Shard, scan_shard\n"
        "path = Path(sys.argv[1])\n"
        "report = scan_shard(Shard(name='x', path=path, digest=''), ItemIndex([SuiteItem(key='s/t/0', texts=(sys.argv[2],))]))\n"
        # Not ru_maxrss: a child of a large process begins with its parent's peak.
        "peak = int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1024\n"
        "cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime\n"
        "print(json.dumps([sorted(report.matches), report.text_bytes, peak, cpu]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), LONG], capture_output=True, text=True, check=True)
    matches, scanned, peak_megabytes, cpu_s = json.loads(done.stdout)
    assert matches == ["s/t/0"]
    # Elements are read one by one, and their texts counted: every one of them.
    assert scanned == blocks * 12_500 * len(text) + len(LONG)
    assert peak_megabytes < 400
    sys.stdout.write(f"{scanned / 1e6 / cpu_s:.1f} MB per CPU second, peak {peak_megabytes:.0f} MB\n")
