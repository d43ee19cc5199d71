"""An item table is the same table in every row order, file format and spelling of its groups."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgov.errors import DeclarationError, InputError
from kdgov.items import ItemTable, MetricKey, read_items, write_items
from kdgov.items.schema import check_items

ROW = {"suite": "s", "task": "t", "item_id": "1", "metric": "m", "score": 1.0}


def rows_of(n: int) -> list[dict]:
    return [
        {**ROW, "task": f"t{k % 3}", "item_id": f"i{k}", "score": k / 7, "group": {"gender": "fm"[k % 2]}, "label": str(k), "text": "asked"}
        for k in range(n)
    ]


@settings(max_examples=25, deadline=None)
@given(st.permutations(list(range(24))))
def test_the_content_digest_does_not_depend_on_row_order(order):
    rows = rows_of(24)
    assert ItemTable.from_rows([rows[k] for k in order]).content_digest == ItemTable.from_rows(rows).content_digest


def test_even_repeated_rows_have_one_digest_in_any_order():
    rows = [*rows_of(6), {**rows_of(6)[2], "score": 9.0}, rows_of(6)[2]]
    assert ItemTable.from_rows(rows).content_digest == ItemTable.from_rows(rows[::-1]).content_digest


@pytest.mark.parametrize("column", ["score", "item_id", "label", "group", "task"])
def test_any_change_of_what_was_measured_changes_the_digest(column):
    rows = rows_of(10)
    other = {"score": 0.123, "group": {"gender": "x"}}.get(column, "other")
    changed = [{**rows[0], column: other}, *rows[1:]]
    assert ItemTable.from_rows(changed).content_digest != ItemTable.from_rows(rows).content_digest


def test_review_text_and_empty_columns_are_no_part_of_the_digest():
    rows = rows_of(5)
    bare = [{k: v for k, v in row.items() if k != "text"} for row in rows]
    padded = [{**row, "confidence": None} for row in bare]
    assert len({ItemTable.from_rows(r).content_digest for r in (rows, bare, padded)}) == 1


def test_negative_zero_is_zero_and_every_nan_is_one():
    digests = {ItemTable.from_rows([{**ROW, "score": x}]).content_digest for x in (0.0, -0.0)}
    nans = {ItemTable.from_rows([{**ROW, "score": x}]).content_digest for x in (math.nan, -math.nan)}
    assert (len(digests), len(nans)) == (1, 1)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_every_format_reads_back_as_the_same_table(tmp_path, ending):
    table = ItemTable.from_rows(rows_of(30))
    path = tmp_path / f"items.{ending}"
    if ending == "parquet":
        write_items(table, path)
    elif ending == "jsonl":
        import json

        path.write_text("\n".join(json.dumps(r) for r in rows_of(30)) + "\n")
    else:
        import pyarrow.csv

        plain = pa.table(
            {
                n: c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c
                for n, c in zip(table.data.column_names, table.data.columns, strict=True)
            }
        )
        pyarrow.csv.write_csv(plain, path)
    assert read_items(path).content_digest == table.content_digest


def test_the_same_rows_give_the_same_parquet_bytes(tmp_path):
    for name, rows in (("a", rows_of(40)), ("b", rows_of(40)[::-1])):
        write_items(ItemTable.from_rows(rows), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_groups_are_compared_by_meaning():
    spellings = ({"b": "2", "a": "1"}, '{"a": "1",   "b": "2"}', '{"b":"2","a":"1"}')
    assert len({ItemTable.from_rows([{**ROW, "group": g}]).content_digest for g in spellings}) == 1


def test_partitions_name_the_rows_of_each_metric():
    table = ItemTable.from_rows(rows_of(7))
    assert list(table.partitions) == [MetricKey("s", f"t{k}", "m") for k in range(3)]
    assert table.partitions[MetricKey("s", "t1", "m")].tolist() == [1, 4]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**ROW, "score": "high"}, "score in row 1 is 'high'"),
        ({k: v for k, v in ROW.items() if k != "metric"}, "lacks the column metric"),
        ({**ROW, "task": None}, "task is empty in row 1"),
        ({**ROW, "group": "female"}, "not a JSON object"),
        ({**ROW, "group": '{"a": {"b": 1}}'}, "not a JSON object"),
    ],
)
def test_a_bad_row_is_named(row, words):
    with pytest.raises(InputError, match=words):
        ItemTable.from_rows([row], source="x.jsonl")


def test_the_pandera_schema_accepts_a_good_table_and_names_every_fault_of_a_bad_one():
    digest = "sha256:" + "a" * 64
    good = ItemTable.from_rows([{**row, "prompt_digest": digest, "confidence": 0.5} for row in rows_of(9)])
    assert check_items(good) is good
    bad = ItemTable.from_rows([{**ROW, "score": math.nan, "confidence": 1.5, "prompt_digest": "md5:1"}, ROW], source="bad.parquet")
    with pytest.raises(DeclarationError) as caught:
        check_items(bad)
    keys = {fault.key for fault in caught.value.faults}
    assert {"score", "confidence", "prompt_digest", "item_id"} <= keys
