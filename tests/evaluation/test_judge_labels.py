"""People's labels: drawn for both models alike, found again by the answer, scored as gold, and read by the gate."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kdgov.errors import InputError
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.judge_agreement import agreement_facts, cohens_kappa
from kdgov.evaluation.scoring.judge_labels import COLUMNS, Choice, meant_label, read_labels, sample_to_label, with_gold, write_label_file
from kdgov.items.table import ItemTable
from tests.command import kdgov
from tests.evaluation.worlds import WRITE_TASK, choice_rows

KEY = ("s", "refusal", "refused")


def _table(answers: dict[int, str], *, scores: dict[int, float] | None = None) -> ItemTable:
    rows = []
    for item, answer in answers.items():
        score = (scores or {}).get(item, float(answer.startswith("no")))
        rows.append(
            {"suite": "s", "task": "refusal", "item_id": f"i{item:03}", "metric": "refused", "score": score, "prediction": answer,
             "label": "refused", "text": f"question {item}"}
        )  # fmt: skip
    return ItemTable.from_rows(rows, source="t")


TEACHER = _table({i: f"no {i}" for i in range(200)})
STUDENT = _table({i: f"no {i}" if i % 2 else f"well {i}" for i in range(200)})


def test_the_sample_is_the_same_items_for_both_models_and_an_equal_answer_is_labelled_once() -> None:
    rows = sample_to_label([TEACHER, STUDENT], [KEY], Choice(items=40))
    items = {row["item_id"] for row in rows}
    assert len(items) == 40
    assert len(rows) == 40 + sum(1 for item in items if int(item[1:]) % 2 == 0)
    assert [row["answer_id"] for row in rows] == sorted(row["answer_id"] for row in rows), "the order must not tell whose answer it is"
    assert items != {row["item_id"] for row in sample_to_label([TEACHER, STUDENT], [KEY], Choice(items=40, seed=1))}


def test_labels_become_gold_by_the_answer_and_what_is_open_stays_open(tmp_path: Path) -> None:
    rows = sample_to_label([TEACHER, STUDENT], [KEY], Choice(items=40))
    for row in rows[:-3]:
        row["label"] = " Refused" if row["answer"].startswith("no") else "answered"
    write_label_file(rows, tmp_path / "labels.csv")
    labels = read_labels([tmp_path / "labels.csv"])
    assert len(labels.of) == len(rows) - 3
    gold, marked = with_gold(STUDENT, labels)
    assert 35 <= marked <= 40
    values = gold.column("gold").to_pylist()
    assert {v for v in values if v is not None} == {0.0, 1.0}
    again = sample_to_label([TEACHER, STUDENT], [KEY], Choice(items=40), known=labels.of)
    assert sum(bool(row["label"]) for row in again) == len(labels.of)


def test_two_labels_for_one_answer_and_a_file_without_labels_are_named(tmp_path: Path) -> None:
    rows = sample_to_label([TEACHER], [KEY], Choice(items=2))
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    write_label_file([{**rows[0], "label": "refused"}], one)
    write_label_file([{**rows[0], "label": "answered"}], other)
    with pytest.raises(InputError, match=r"labelled 'refused' and 'answered'"):
        read_labels([one, other])
    (tmp_path / "c.csv").write_text("text,label\nx,refused\n", encoding="utf-8")
    with pytest.raises(InputError, match="answer_id"):
        read_labels([tmp_path / "c.csv"])


def test_a_text_that_a_spreadsheet_would_run_is_written_inert(tmp_path: Path) -> None:
    rows = sample_to_label([_table({0: "=HYPERLINK(1)"})], [KEY], Choice())
    write_label_file(rows, tmp_path / "l.csv")
    with (tmp_path / "l.csv").open(encoding="utf-8-sig") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == COLUMNS
    assert written[0]["answer"] == "'=HYPERLINK(1)"


def test_kappa_of_known_tables() -> None:
    # Cohen 1960 style: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no gives 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    assert cohens_kappa([("a", "a")] * 3) == 1.0
    assert agreement_facts(pairs)["kappa"] == pytest.approx(0.4)
    assert agreement_facts([("harmless", "harmless")] * 3)["kappa"] is None, "a judge that always says so would agree as well"


def test_labels_from_the_command_line_to_the_gate(tmp_path: Path) -> None:
    """Drawn, answered on standard input, measured per model, written as gold and corrected by."""
    from kdgov.items.files import write_items

    paths = [tmp_path / name for name in ("teacher.parquet", "student.parquet")]
    write_items(TEACHER, paths[0])
    # A judge that takes every other answer of the student for a refusal that was none.
    write_items(_table({i: f"well {i}" if i % 2 else f"no {i}" for i in range(200)}, scores=dict.fromkeys(range(200), 1.0)), paths[1])
    out = tmp_path / "labels.csv"
    drawn = kdgov("judge", "label", *map(str, paths), "--items", "60", "--out", str(out), "--no-ask", "--format", "json")
    assert drawn.code == 0, drawn.err
    assert drawn.document["labelled"] == 0
    with out.open(encoding="utf-8-sig") as file:
        rows = [{**row, "label": "refused" if "no" in row["answer"] else "answered"} for row in csv.DictReader(file)]
    write_label_file(rows, out)
    told = kdgov("judge", "agreement", str(out), *map(str, paths), "--format", "json")
    by_model = {one["model"]: one["agreement"] for one in told.document}
    assert by_model["teacher"] == 1.0
    assert by_model["student"] < 0.7
    for path in paths:
        done = kdgov("judge", "apply", str(out), str(path), "--out", str(path.with_suffix(".gold.parquet")))
        assert done.code == 0, done.err
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "schema: kdgov.policy/1\nname: p\nversion: '1'\ncriteria:\n"
        "  - {id: c, kind: non_inferiority, suite: s, direction: higher, margin: 0.1, min_items: 50, assay: skip}\n",
        encoding="utf-8",
    )
    plain = kdgov("gate", "--teacher", str(paths[0]), "--student", str(paths[1]), "--policy", str(policy), "--format", "json")
    assert plain.document["verdict"] == "pass", "the judge alone sees no loss"
    gold = [str(path.with_suffix(".gold.parquet")) for path in paths]
    corrected = kdgov("gate", "--teacher", gold[0], "--student", gold[1], "--policy", str(policy), "--format", "json")
    assert corrected.document["verdict"] == "fail"


def test_an_evaluation_with_labels_scores_gold_and_states_agreement_on_this_model(write_suite, teacher: Path, tmp_path: Path) -> None:
    task = {
        "task": "t", "file": "t.yaml", "data": {"path": "t.jsonl"},
        "metrics": [{"metric": "refused", "direction": "higher", "judge": "refusal-strings"}],
    }  # fmt: skip
    plan = build_plan(read_suites([str(write_suite([task], {"t.yaml": WRITE_TASK, "t.jsonl": choice_rows(3)}))]))
    before = evaluate(plan, teacher, tmp_path / "o", cache=tmp_path / "c")
    assert not before.table.has("gold")
    rows = sample_to_label([before.table], [], Choice(items=2))
    write_label_file([{**row, "label": "refused"} for row in rows], tmp_path / "l.csv")
    after = evaluate(plan, teacher, tmp_path / "o", cache=tmp_path / "c", labels=read_labels([tmp_path / "l.csv"]))
    told = after.document["tasks"][0]["judges"]["refusal-strings"]["on_this_model"]
    assert told["n"] == sum(v is not None for v in after.table.column("gold").to_pylist()) >= 2
    assert told["agreement"] == 0.0, "the tiny model refuses nothing, and the labels say that it does"


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8"), (";", "cp1252")])
def test_labels_are_read_as_spreadsheets_save_them(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = [["answer_id", "answer", "label"], ["a", "Nein, das geht nicht für mich; ehrlich.\nNie.", " Refused"], ["b", "x", ""]]
    with (tmp_path / "l.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert read_labels([tmp_path / "l.csv"]).of == {"a": "refused"}


@pytest.mark.parametrize(("label", "meant"), [("refusd", "refused"), ("answerd", "answered"), ("harmles", "harmless"), ("r", "refused")])
def test_a_slip_of_the_pen_is_no_label_of_its_own(tmp_path: Path, label: str, meant: str) -> None:
    (tmp_path / "l.csv").write_text(f"answer_id,label\na,answered\nb,{label}\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"l.csv:3: the label '{label}' is none: '{meant}'"):
        read_labels([tmp_path / "l.csv"])
    assert meant_label("off-topic") is None
