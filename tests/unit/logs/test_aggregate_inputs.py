"""What people get wrong about a log, and what they are told. After each, nothing is left at the output."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.errors import ConfigError, DataError, PinrecError

EVENTS_DAY_2 = "events/date=2026-03-02"


def filled(logbook) -> Path:
    for day in range(3):
        for item in ("a", "b"):
            logbook.add("ann", item, "click", day * 86_400 + 5)
    logbook.write()
    return logbook.root / EVENTS_DAY_2 / "part-0.parquet"


def refuse(logbook, match: str, kind: type[PinrecError] = DataError, **settings: object) -> None:
    with pytest.raises(kind, match=match):
        logbook.aggregate(**settings)
    assert not (logbook.root / "dataset").exists() and not list(logbook.root.glob(".dataset*"))


def test_missing_partitions_are_all_named(logbook) -> None:
    filled(logbook)
    refuse(logbook, "2 of 5 partitions are missing: 2026-02-27, 2026-02-28", lookback_days=5)


def test_a_partition_without_files(logbook) -> None:
    path = filled(logbook)
    path.rename(path.with_name("_hidden"))
    refuse(logbook, "no file in 1 partitions: 2026-03-02")


def test_a_truncated_file_is_named(logbook) -> None:
    path = filled(logbook)
    path.write_bytes(path.read_bytes()[:-20])
    refuse(logbook, "date=2026-03-02/part-0.parquet: not Parquet, or cut short")


def test_a_file_that_is_not_parquet(logbook) -> None:
    filled(logbook).write_text("user_id,item_id\n")
    refuse(logbook, "date=2026-03-02/part-0.parquet: not Parquet")


def test_a_file_damaged_inside_is_found_while_reading(logbook) -> None:
    path = filled(logbook)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)  # page headers of the first columns; the footer still holds
    path.write_bytes(data)
    refuse(logbook, "date=2026-03-02/part-0.parquet: cannot be read to its end")


def test_a_file_of_another_format(logbook) -> None:
    filled(logbook).with_name("notes.csv").write_text("a,b\n")
    refuse(logbook, "date=2026-03-02/notes.csv: neither .parquet nor .jsonl")


def test_a_renamed_column_is_named_with_its_likely_new_name(logbook) -> None:
    path = filled(logbook)
    table = pq.read_table(path)
    pq.write_table(table.rename_columns(["userid", *table.column_names[1:]]), path)
    refuse(logbook, "date=2026-03-02/part-0.parquet: required column 'user_id' is missing; is it 'userid'")


@pytest.mark.parametrize(("column", "values", "said"), [
    ("timestamp_ms", pa.array([1.5, 2.5]), "'timestamp_ms' is double, it must be an integer"),
    ("timestamp_ms", pa.array(["1", "2"]), "'timestamp_ms' is string, it must be an integer"),
    ("user_id", pa.array([1.5, 2.5]), "'user_id' is double, it must be an integer or a string"),
    ("surface", pa.array([1, 2]), "'surface' is int64, it must be a string"),
])
def test_a_wrong_type(logbook, column: str, values: pa.Array, said: str) -> None:
    path = filled(logbook)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    refuse(logbook, said)


@pytest.mark.parametrize(("text", "said"), [
    ('{"user_id": "x", \n', "not JSON Lines"), ("[1, 2]\n", "a line is not a JSON object"),
    ('{"user_id": "x"}\n', "required column 'item_id' is missing"),
])
def test_broken_json_lines(logbook, text: str, said: str) -> None:
    filled(logbook).with_name("more.jsonl").write_text(text)
    refuse(logbook, f"date=2026-03-02/more.jsonl: {said}")


def test_json_values_that_change_their_type(logbook) -> None:
    row = logbook.days["2026-03-02"]
    filled(logbook).with_name("more.jsonl").write_text("")
    logbook.write_file(logbook.root / EVENTS_DAY_2 / "more.jsonl", [*row, row[0] | {"timestamp_ms": "soon"}])
    refuse(logbook, "date=2026-03-02/more.jsonl: cannot be read to its end")


def test_a_window_without_any_row(logbook) -> None:
    logbook.write()
    refuse(logbook, "all 3 files from 2026-03-01 to 2026-03-03 have 0 rows")


def test_a_log_of_another_vocabulary(logbook) -> None:
    logbook.add("ann", "a", "purchase", 5)
    logbook.write()
    refuse(logbook, r"none of 1 rows could be used: 1 unknown_action; check the \[log\] section")


@pytest.mark.parametrize(("catalog", "said"), [
    ([{"item_type": "pin"}], "required column 'item_id' is missing"),
    ([{"item_id": "a", "item_type": "pin"}, {"item_id": None, "item_type": "pin"}], "a row has no item_id"),
    ([{"item_id": "a", "item_type": "pin", "content": [1.0]},
      {"item_id": "b", "item_type": "pin", "content": [1.0, 2.0]}],
     r"content vectors have lengths \[1, 2\]"),
    ([{"item_id": "a", "item_type": "pin", "content": [1.0]},
      {"item_id": "b", "item_type": "pin", "content": [float("nan")]}], "content of item 'b' has a value"),
    ([{"item_id": "a", "item_type": "pin", "content": "red"}],
     "column 'content' is string, it must be a list of floats"),
])
def test_a_catalog_that_cannot_be_used(logbook, catalog: list[dict], said: str) -> None:
    logbook.catalog = catalog
    filled(logbook)
    refuse(logbook, f"catalog/part-0.parquet: {said}")


def test_no_catalog(logbook) -> None:
    filled(logbook)
    (logbook.root / "catalog" / "part-0.parquet").unlink()
    refuse(logbook, "no catalog file")


def test_settings_that_cannot_work(logbook) -> None:
    filled(logbook)
    refuse(logbook, "multi_threading, which loses rows", ConfigError,
           runner_options=("--direct_running_mode=multi_threading",))
    refuse(logbook, "'Mars/Olympus' is not a known IANA zone", ConfigError, timezone="Mars/Olympus")
