"""Every tool's files give the scores that were written, no row is lost, and what contradicts itself is named."""

from __future__ import annotations

import json
import math
import zipfile

import pytest

from kdgov.errors import InputError
from kdgov.items.reader import TOOL_SUITES
from kdgov.items.readers.item_readers import READERS
from kdgov.items.results import read_results
from tests.items import foreign
from tests.items.foreign import TOOLS, lm_eval_record

SCORES = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]


def scores_of(results, metric: str) -> list[float]:
    return [row["score"] for row in results.table.canonical().to_rows() if row["metric"] == metric]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tools_folder_gives_one_row_per_item_with_its_score(tool, tmp_path):
    write, metric = TOOLS[tool]
    write(tmp_path, SCORES)
    results = read_results(tmp_path)
    if tool in ("alpaca_eval", "mlflow_genai", "mlflow_classic"):  # items named by a digest: any order
        assert sorted(scores_of(results, metric)) == sorted(SCORES)
    else:
        assert scores_of(results, metric) == SCORES
    assert not [f for f in results.findings if f.stops], results.findings


@pytest.mark.parametrize("tool", TOOLS)
def test_two_models_of_one_tool_have_the_same_items(tool, tmp_path):
    write, metric = TOOLS[tool]
    write(tmp_path / "t", SCORES)
    write(tmp_path / "s", SCORES[::-1])
    teacher, student = (
        {(r["task"], r["item_id"]) for r in read_results(tmp_path / who).table.to_rows() if r["metric"] == metric} for who in "ts"
    )
    assert teacher == student
    assert len(teacher) == len(SCORES)


@pytest.mark.parametrize(
    "tool", ["lm_eval", "lm_eval_old", "lm_eval_blocks", "lighteval", "helm", "openai_evals", "alpaca_eval", "promptfoo"]
)
def test_an_aggregate_that_its_items_do_not_give_is_invalid(tool, tmp_path, monkeypatch):
    """The tool's own mean of nine items beside seven of them."""
    write, _ = TOOLS[tool]
    whole = [*SCORES, 0.0, 0.0]
    write(tmp_path / "whole", whole)
    write(tmp_path / "cut", SCORES)
    for name in ("results", "stats", "leaderboard"):
        for file in (tmp_path / "whole").rglob(f"{name}*"):
            if file.is_file():
                (tmp_path / "cut" / file.relative_to(tmp_path / "whole")).write_bytes(file.read_bytes())
    if tool in ("openai_evals", "promptfoo"):
        (file,) = (f for f in (tmp_path / "cut").rglob("*.json*") if f.is_file())
        text = file.read_text()
        file.write_text(text.replace(f'"accuracy": {5 / 7}', f'"accuracy": {5 / 9}').replace('"exact": 5.0}', '"exact": 4.0}'))
    rules = {f.rule for f in read_results(tmp_path / "cut").findings if f.verdict == "invalid"}
    assert rules == {"evidence.aggregate"}


def test_every_reader_of_ours_is_a_row_with_a_writer_in_the_tests():
    covered = {
        tool.removesuffix(end)
        for tool in TOOLS
        for end in ("", "_old", "_blocks", "_json", "_eval", "_lines", "_csv", "_genai", "_classic")
    }
    assert set(READERS.own) - {"item_table"} <= covered
    assert all(reader.seen and reader.tool and reader.name == name for name, reader in READERS.own.items())


def test_the_suites_of_the_readers_are_listed():
    assert set(READERS.own) - {"item_table", "lm_eval_write_out"} == TOOL_SUITES


def write_samples(folder, records, **results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples_t_2026-01-01T00-00-00.0.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    if results:
        (folder / "results_2026-01-01T00-00-00.0.json").write_text(json.dumps(results))


def test_what_lm_eval_logs_under_a_name_is_read_as_what_it_is(tmp_path):
    """Log-likelihoods, weighted pairs, gold and prediction, probabilities as text; the aggregates of lm_eval agree with all of them."""
    values = [(-2.0, 10.0, 1, 1, "[0.2 0.8]"), (-4.0, 30.0, 0, 1, "[0.7 0.3]")]
    records = [
        lm_eval_record(n, perplexity=ll, word_perplexity=[ll, w], bits_per_byte=[ll, w], f1=[g, p], brier_score=[g, b], bleu=["r", "p"])
        for n, (ll, w, g, p, b) in enumerate(values)
    ]
    stated = {
        "perplexity,none": math.exp(3),
        "word_perplexity,none": math.exp(6 / 40),
        "bits_per_byte,none": 6 / 40 / math.log(2),
        "brier_score,none": (2 * 0.2**2 + 2 * 0.3**2) / 2,
    }
    write_samples(tmp_path, records, results={"t": stated}, higher_is_better={"t": {"perplexity": False, "word_perplexity": False}})
    results = read_results(tmp_path)
    direction = {d.metric: d.direction for d in results.metrics}
    assert (direction["perplexity"], direction["word_perplexity_nats"], direction["brier_score"]) == ("higher", "lower", "lower")
    assert scores_of(results, "perplexity") == [-2.0, -4.0]
    assert [r["weight"] for r in results.table.to_rows() if r["metric"] == "word_perplexity_nats"] == [10.0, 30.0]
    pairs = [(r["score"], r["label"], r["prediction"]) for r in results.table.to_rows() if r["metric"] == "f1_agreement"]
    assert pairs == [(1.0, "1", "1"), (0.0, "0", "1")]
    assert scores_of(results, "brier_score") == pytest.approx([2 * 0.2**2, 2 * 0.3**2])
    assert {(f.rule, f.subject) for f in results.findings} == {("evidence.item-proxy", "t/f1"), ("evidence.not-judged", "t/bleu")}
    assert len(results.table) == 10


def test_chance_is_one_over_the_number_of_choices_of_each_item(tmp_path):
    records = [lm_eval_record(n, choices=k, acc=1.0, acc_norm=0.0, brier_score=[0, [0.5] * k]) for n, k in enumerate((2, 4, 5))]
    write_samples(tmp_path, records)
    rows = read_results(tmp_path).table.to_rows()
    assert [r["chance"] for r in rows if r["metric"] == "acc"] == [0.5, 0.25, 0.2]
    assert [r["chance"] for r in rows if r["metric"] == "brier_score"] == [0.5, 0.75, 0.8]
    write_samples(tmp_path / "gen", [lm_eval_record(0, exact_match=1.0)])
    assert not read_results(tmp_path / "gen").table.has("chance")


def test_a_question_of_multirc_counts_where_all_its_answers_are_right(tmp_path):
    answers = [(0, 0, True, 1), (0, 0, False, 0), (0, 1, True, 0), (0, 1, True, 1)]
    records = [
        lm_eval_record(n, acc_all=[said, {"idx": {"paragraph": p, "question": q, "answer": n}, "label": label}])
        for n, (p, q, said, label) in enumerate(answers)
    ]
    write_samples(tmp_path, records)
    assert {r["item_id"]: r["score"] for r in read_results(tmp_path).table.to_rows()} == {"question 0/0": 1.0, "question 0/1": 0.0}


def test_rows_that_name_no_filter_are_refused_with_version_and_filters(tmp_path):
    foreign.lm_eval_blocks(tmp_path, SCORES)
    next(tmp_path.glob("results*")).unlink()
    with pytest.raises(InputError, match="before 0.4.6"):
        read_results(tmp_path)


def test_a_document_logged_twice_is_refused(tmp_path):
    write_samples(tmp_path, [lm_eval_record(1, acc=1.0), lm_eval_record(1, acc=0.0)])
    with pytest.raises(InputError, match="stands twice"):
        read_results(tmp_path)


def test_a_task_with_an_aggregate_and_no_samples_is_named(tmp_path):
    write_samples(tmp_path, [lm_eval_record(0, acc=1.0)], results={"t": {"acc,none": 1.0}, "gone": {"acc,none": 0.3}})
    (finding,) = read_results(tmp_path).findings
    assert (finding.rule, finding.verdict) == ("evidence.samples-missing", "warn")
    assert "gone" in finding.reason


def inspect(tmp_path, values, *, config=None) -> None:
    header = {"version": 2, "status": "success", "eval": {"task": "qa", "config": config or {}}}
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(header))
        for n, (name, epoch, value) in enumerate(values):
            sample = {"id": name, "epoch": epoch, "input": name, "target": "a", "scores": {"s": {"value": value}}}
            archive.writestr(f"samples/{n}.json", json.dumps(sample))


def test_inspect_grades_words_numbers_and_texts_count_as_its_own_reducer_counts_them(tmp_path):
    given = ["C", "I", "P", "N", "yes", "No", "TRUE", "false", True, 0, 0.25, "0.75", "1"]
    inspect(tmp_path, [(f"{n:02}", 1, v) for n, v in enumerate(given)])
    assert scores_of(read_results(tmp_path), "s") == [1, 0, 0.5, 0, 1, 0, 1, 0, 1, 0, 0.25, 0.75, 1]


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [(None, 0.5), (["mean"], 0.5), (["median"], 0.5), (["max"], 1.0), (["at_least_2"], 1.0), (["at_least_3"], 0.0), (["pass_at_1"], 0.5)],
)
def test_inspect_epochs_are_one_item_reduced_as_the_log_says(tmp_path, reducer, expected):
    inspect(tmp_path, [("q", epoch, "C" if epoch <= 2 else "I") for epoch in (1, 2, 3, 4)], config={"epochs": 4, "epochs_reducer": reducer})
    assert scores_of(read_results(tmp_path), "s") == [expected]


def test_several_reducers_are_several_metrics(tmp_path):
    inspect(tmp_path, [("q", 1, 1), ("q", 2, 0)], config={"epochs_reducer": ["mean", "max"]})
    rows = read_results(tmp_path).table.to_rows()
    assert {r["metric"]: r["score"] for r in rows} == {"s:mean": 0.5, "s:max": 1.0}


def test_inspect_lists_and_objects_are_one_metric_per_part(tmp_path):
    inspect(tmp_path, [("q", 1, {"exact": "C", "close": 0.9}), ("r", 1, {"exact": "I", "close": 0.1})])
    assert scores_of(read_results(tmp_path), "s/exact") == [1.0, 0.0]
    inspect(tmp_path, [("q", 1, [1, 0]), ("r", 1, [0, 1])])
    assert scores_of(read_results(tmp_path), "s/1") == [0.0, 1.0]


def test_labels_that_are_no_grades_are_named_and_not_counted_as_wrong(tmp_path):
    inspect(tmp_path, [("q", 1, {"who": "Paris", "right": 1})])
    results = read_results(tmp_path)
    assert [f.subject for f in results.findings if f.rule == "evidence.not-judged"] == ["qa/s/who"]
    assert scores_of(results, "s/right") == [1.0]


def test_repeats_are_no_items(tmp_path):
    """A bundle with three repeats, and two samples per problem."""
    rows = [{"problem_idx": p, "repeat": r, "reward": float(r < p), "prompt": f"Q{p}"} for p in range(4) for r in range(3)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert scores_of(read_results(tmp_path), "reward") == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_failed_request_is_missing_and_not_zero(tmp_path):
    foreign.promptfoo(tmp_path / "p", SCORES)
    document = json.loads((tmp_path / "p" / "output.json").read_text())
    document["results"]["results"][0].update(failureReason=2, score=0, namedScores={"exact": 0})
    (tmp_path / "p" / "output.json").write_text(json.dumps(document))
    assert math.isnan(scores_of(read_results(tmp_path / "p"), "exact")[0])
    foreign.deepeval(tmp_path / "d", SCORES)
    text = (tmp_path / "d" / "test_run_1.json").read_text()
    (tmp_path / "d" / "test_run_1.json").write_text(text.replace('"score": 1.0', '"score": null, "error": "timeout"', 1))
    assert math.isnan(scores_of(read_results(tmp_path / "d"), "Exact")[0])


def test_plus_of_evalplus_needs_base_as_well(tmp_path):
    foreign.evalplus(tmp_path, SCORES)
    file = tmp_path / "samples_eval_results.json"
    file.write_text(file.read_text().replace('"base_status": "pass"', '"base_status": "fail"', 1))
    results = read_results(tmp_path)
    assert (scores_of(results, "base")[0], scores_of(results, "plus")[0]) == (0.0, 0.0)


def test_results_of_two_models_in_one_file_are_refused(tmp_path):
    foreign.promptfoo(tmp_path, SCORES)
    file = tmp_path / "output.json"
    file.write_text(file.read_text().replace('{"id": "m"}', '{"id": "other"}', 1))
    with pytest.raises(InputError, match="2 providers: m, other"):
        read_results(tmp_path)


def test_one_evaluation_in_several_forms_is_read_once(tmp_path):
    for write in (foreign.promptfoo, foreign.promptfoo_lines, foreign.promptfoo_csv):
        write(tmp_path, SCORES)
    assert scores_of(read_results(tmp_path), "exact") == SCORES


def test_a_file_that_no_reader_knows_is_named_beside_the_results(tmp_path):
    foreign.deepeval(tmp_path, SCORES)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert [f.rule for f in read_results(tmp_path).findings] == ["evidence.unread-files"]


def test_a_half_written_part_of_a_table_is_an_error_and_never_left_out(tmp_path):
    row = {"suite": "s", "task": "t", "item_id": "1", "metric": "m", "score": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({**row, "item_id": "2"})[:40])
    with pytest.raises(InputError, match="b.jsonl"):
        read_results(tmp_path)


def test_a_killed_run_is_refused(tmp_path):
    foreign.openai_evals(tmp_path, SCORES)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    (tmp_path / "log.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="killed"):
        read_results(tmp_path)


HEADER = {"version": 2, "status": "success", "eval": {"task": "t"}}


def test_members_that_unpack_beyond_the_limit_are_refused_while_they_unpack(tmp_path, monkeypatch):
    """Both compressions; 16 MiB of blanks pack into kilobytes. The limit of 128 MiB is lowered for the sake of time."""
    monkeypatch.setattr("kdgov.items.formats.zip_members.MOST_MEMBER_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(HEADER))
        with archive.open("samples/1.json", "w", force_zip64=True) as member:
            for _ in range(16):
                member.write(b" " * (1 << 20))
    foreign.zstandard_zip(tmp_path / "b.eval", {"header.json": HEADER, "samples/1.json": b" " * (16 << 20)})
    for name in ("a.eval", "b.eval"):
        with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
            read_results(tmp_path / name)


def test_an_unknown_compression_is_named(tmp_path):
    foreign.inspect_eval(tmp_path, SCORES)
    file = tmp_path / "log.eval"
    file.write_bytes(file.read_bytes().replace(b"\x5d\x00\x00\x00\x00\x00", b"\x62\x00\x00\x00\x00\x00"))
    with pytest.raises(InputError, match="damaged in|not a whole zip"):
        read_results(file)


ROW = '{"suite":"s","task":"t","item_id":"1","metric":"m","score":1}'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (ROW[:-1] + ',"group":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}", "nested deeper"),
        (ROW[:-1] + ',"x":' + "[" * 50_000 + "]" * 50_000 + "}", "nested deeper"),
        (ROW[:-2] + "1" + "0" * 400 + "}", "beyond the largest number"),
        (ROW[:-2] + "1e400}", "beyond the largest number"),
        (ROW[:-2] + "1" + "0" * 5000 + "}", "thousands of digits"),
        (ROW[:-2] + "[1]}", "not a number"),
        (ROW.replace('"1"', '"\\ud800"'), "surrogate"),
    ],
)
def test_a_line_that_no_parser_should_see_is_one_line_of_error(tmp_path, line, words):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=words):
        read_results(tmp_path / "a.jsonl")


def test_a_score_of_another_tool_beyond_floats_is_named(tmp_path):
    foreign.nemo_evaluator(tmp_path, SCORES)
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text().replace('"reward": 1.0', f'"reward": {10**400}', 1))
    with pytest.raises(InputError, match="beyond the largest number"):
        read_results(tmp_path)


def test_more_rows_than_are_read_are_refused_from_the_files_own_count(tmp_path, monkeypatch):
    from kdgov.items import ItemTable, write_items

    monkeypatch.setattr("kdgov.items.readers.item_table.MOST_ROWS", 10)
    rows = [{"suite": "s", "task": "t", "item_id": str(n), "metric": "m", "score": 1.0} for n in range(11)]
    write_items(ItemTable.from_rows(rows), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="holds 11 rows; at most 10"):
        read_results(tmp_path)


def test_a_short_text_repeated_a_million_times_is_no_bomb_and_a_long_one_is(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 20_000
    codes = pa.array([0] * count, type=pa.int32())
    for name, text in (("short", "x"), ("long", "x" * (1 << 18))):
        columns = {c: pa.DictionaryArray.from_arrays(codes, ["t"]) for c in ("suite", "task", "metric")}
        columns |= {"item_id": pa.array([str(n) for n in range(count)]), "score": pa.array([1.0] * count)}
        columns["prediction"] = pa.DictionaryArray.from_arrays(codes, [text])
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    assert len(read_results(tmp_path / "short.parquet").table) == count
    with pytest.raises(InputError, match="repeats texts"):
        read_results(tmp_path / "long.parquet")


def test_the_documentation_lists_every_reader_with_the_versions_it_has_seen(project_root):
    page = (project_root / "docs" / "gate.md").read_text()
    for reader in READERS.own.values():
        assert f"| `{reader.name}` | {reader.tool} | {reader.seen} |" in page


def test_the_documentation_lists_every_column(project_root):
    from kdgov.items.columns import COLUMNS

    page = (project_root / "docs" / "gate.md").read_text()
    table = page[page.index("### Item tables") : page.index("### Results of other tools")]
    assert all(f"`{name}`" in table for name in COLUMNS)


def test_an_open_range_is_assumed_alike_for_tasks_that_may_be_pooled(tmp_path):
    from kdgov.items.assumed_ranges import assumed_ranges

    for task, low in (("a", -3.0), ("b", -9.0)):
        record = lm_eval_record(0, perplexity=low)
        (tmp_path / f"samples_{task}_2026-01-01T00-00-00.0.jsonl").write_text(json.dumps(record) + "\n")
    results = read_results(tmp_path)
    found = assumed_ranges(results.table, results.table, results.metrics)
    assert {(d.task, d.low, d.high) for d in found} == {("a", -18.0, 0.0), ("b", -18.0, 0.0)}


def test_files_that_a_shell_expands_bring_what_lies_beside_them(tmp_path):
    foreign.lm_eval_blocks(tmp_path, SCORES)
    (file,) = tmp_path.glob("samples_*")
    for named in ([file], [str(tmp_path / "samples_*")]):
        assert scores_of(read_results(*named), "exact_match,strict") == SCORES


def test_an_edited_inspect_log_contradicts_its_own_accuracy(tmp_path):
    foreign.inspect_json(tmp_path, SCORES)
    file = tmp_path / "2026-11-20_qa.json"
    document = json.loads(file.read_text())
    stated = {"name": "match", "scorer": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 5 / 7}}}
    file.write_text(json.dumps({**document, "results": {"scores": [stated]}}))
    assert not read_results(tmp_path).findings
    document["samples"][1]["scores"]["match"]["value"] = "C"
    file.write_text(json.dumps({**document, "results": {"scores": [stated]}}))
    assert [f.rule for f in read_results(tmp_path).findings] == ["evidence.aggregate"]


def test_a_folder_of_hidden_files_alone_is_read(tmp_path):
    foreign.deepeval(tmp_path / ".deepeval", SCORES)
    (tmp_path / ".deepeval" / "test_run_1.json").rename(tmp_path / ".deepeval" / ".latest_test_run.json")
    assert scores_of(read_results(tmp_path), "Exact") == SCORES


def grouped_run(folder, *, weighted: bool = False, children: tuple[str, ...] = ("qa", "maths"), stated: float | None = None) -> None:
    """Two tasks of 7 and 14 items that a group averages, as lm_eval 0.4.13 writes them."""
    scores = {"qa": SCORES, "maths": [*SCORES, *[0.0] * 7]}
    (folder / "m").mkdir(parents=True)
    results, day = {}, "2026-11-20T10-11-12.131415"
    for task, values in scores.items():
        rows = [json.dumps(lm_eval_record(n, choices=4, acc=s)) for n, s in enumerate(values)]
        (folder / "m" / f"samples_{task}_{day}.jsonl").write_text("\n".join(rows) + "\n")
        results[task] = {"acc,none": sum(values) / len(values), "sample_len": len(values)}
    by_size = [results[task]["sample_len"] if weighted else 1 for task in children]
    mean = sum(results[t]["acc,none"] * n for t, n in zip(children, by_size, strict=True)) / sum(by_size)
    group = {"skills": {"acc,none": mean if stated is None else stated, "acc_stderr,none": 0.1, "sample_len": 21}}
    document = {
        "results": {**results, **group},
        "groups": group,
        "group_subtasks": {"skills": list(children)},
        "higher_is_better": {"skills": {"acc": True}, "qa": {"acc": True}, "maths": {"acc": True}},
        "configs": {"qa": {}, "maths": {}},
    }
    (folder / "m" / f"results_{day}.json").write_text(json.dumps(document))


@pytest.mark.parametrize("weighted", [True, False])
def test_a_group_of_lm_eval_is_read_with_its_tasks_and_how_it_weighs_them(weighted, tmp_path):
    grouped_run(tmp_path, weighted=weighted)
    results = read_results(tmp_path)
    (group,) = [m for m in results.metrics if m.members]
    assert (group.task, group.metric, group.members, group.weighted) == ("skills", "acc", ("qa", "maths"), weighted)
    assert not [f for f in results.findings if f.stops]


def test_a_groups_number_that_its_tasks_do_not_give_is_invalid(tmp_path):
    grouped_run(tmp_path, stated=0.9)
    results = read_results(tmp_path)
    assert [f.subject for f in results.findings if f.rule == "evidence.aggregate"] == ["skills/acc,none"]
    assert not [m for m in results.metrics if m.members]


def test_a_task_without_samples_stays_a_part_of_its_group(tmp_path):
    grouped_run(tmp_path)
    next((tmp_path / "m").glob("samples_maths*")).unlink()
    results = read_results(tmp_path)
    assert [m.members for m in results.metrics if m.members] == [("qa", "maths")]
    assert "evidence.samples-missing" in {f.rule for f in results.findings}


def test_nan_is_left_out_where_the_task_itself_leaves_it_out(tmp_path):
    for aggregation, rows, rule in (("nanmean", 2, "evidence.items-not-applicable"), ("mean", 3, "")):
        folder = tmp_path / aggregation / "m"
        folder.mkdir(parents=True)
        records = [lm_eval_record(n, choices=2, bleu=s) for n, s in enumerate((1.0, math.nan, 0.0))]
        (folder / "samples_qa_2026-11-20T10-11-12.131415.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        config = {"qa": {"metric_list": [{"metric": "bleu", "aggregation": aggregation, "higher_is_better": True}]}}
        document = {"results": {"qa": {"bleu,none": 0.5}}, "configs": config}
        (folder / "results_2026-11-20T10-11-12.131415.json").write_text(json.dumps(document))
        results = read_results(folder)
        assert len(results.table) == rows
        assert {f.rule for f in results.findings} == ({rule} if rule else set())


LIMITS = {
    "lm_eval": (None, {"n-samples": {"qa": {"original": 900, "effective": 7}}, "config": {"limit": 7.0}}),
    "lm_eval (before it counted)": (None, {"config": {"limit": 0.1}}),
    "lm_eval_write_out": (None, {"config": {"limit": 7}}),
    "inspect_json": (("eval",), {"config": {"limit": 7}, "dataset": {"samples": 900}}),
    "inspect_json, by name": (("eval",), {"config": {"sample_id": ["q1"]}}),
    "lighteval": (None, {"config_general": {"max_samples": 7}}),
    "helm": (("adapter_spec",), {"max_eval_instances": 7}),
    "openai_evals": (("spec",), {"run_config": {"max_samples": 7}}),
    "nemo_evaluator": (("config",), {"max_problems": 7, "shuffle": {"ds_full_size": 900}}),
}
"""Tool → keys to an object in one of its files, and what the file says there of a limit that the seven items of the run reach."""


def _state(folder, tool, keys, stated):
    """Writes what the tool says of a limit into the file that has the keys."""
    named = {"helm": "run_spec.json", "openai_evals": "log.jsonl", "nemo_evaluator": "eval-*.json"}
    pattern = named.get(tool) or ("results*.json" if "lm_eval" in tool or tool == "lighteval" else "*.json")
    (path,) = folder.rglob(pattern)
    first, *rest = path.read_text().split("\n") if path.suffix == ".jsonl" else [path.read_text()]
    document = json.loads(first)
    place = document
    for key in keys or ():
        place = place[key]
    for key, value in stated.items():
        place[key] = {**place.get(key, {}), **value} if isinstance(value, dict) else value
    path.write_text("\n".join([json.dumps(document), *rest]))


@pytest.mark.parametrize("case", LIMITS)
def test_a_run_that_a_limit_cut_short_says_so_whatever_tool_it_is_of(case, tmp_path):
    """A look at seven items is no evaluation of nine hundred; kdgov's own limited runs carry the same finding."""
    tool, (keys, stated) = case.split(" (before")[0].split(", by")[0], LIMITS[case]
    for folder in ("whole", "part"):
        TOOLS[tool][0](tmp_path / folder, SCORES)
    _state(tmp_path / "part", tool, keys, stated)
    (found,) = [f for f in read_results(tmp_path / "part").findings if f.rule == "evidence.limited"]
    assert "a look at a part of them" in found.reason
    assert found.verdict == "warn"
    assert ("7 of the 900 items" in found.reason) == ("900" in str(stated))
    assert not [f for f in read_results(tmp_path / "whole").findings if f.rule == "evidence.limited"]


def test_a_limit_that_was_not_reached_left_nothing_out(tmp_path):
    for n, stated in enumerate(({"config": {"limit": 8}}, {"n-samples": {"qa": {"original": 7, "effective": 7}}, "config": {"limit": 7}})):
        TOOLS["lm_eval"][0](tmp_path / str(n), SCORES)
        _state(tmp_path / str(n), "lm_eval", None, stated)
        assert not [f for f in read_results(tmp_path / str(n)).findings if f.rule == "evidence.limited"]
