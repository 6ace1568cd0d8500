"""The 14 kinds of bad input that a log comes with, one by one through aggregate_logs and validate_data.

Each is either refused with a message a person can act on, or its rows are set aside (or dropped) and counted, one
reason each, and validate_data stops the run over them under a limit that allows none.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quoted import says

from pinrec_core.config import ValidateConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.validate import validate_data

DAY_S = 86_400
START_MS = 1_772_323_200_000  # 2026-03-01T00:00:00Z
NOON_2_MS = START_MS + (DAY_S + DAY_S // 2) * 1000
LENIENT = {"min_events": 1, "min_users": 1, "min_items": 1, "max_quarantined_share": 1.0, "max_duplicate_share": 1.0,
           "max_uncatalogued_share": 1.0, "min_day_ratio": 0.0, "min_surface_positives": 1}
FILE_2 = "date=2026-03-02/part-0.parquet"


@pytest.fixture
def log(logbook):
    """Twelve sound rows: two users click on two items, on each of two surfaces on the middle day, else on one."""
    for day in range(3):
        for user in ("ann", "bob"):
            for item in ("a", "b"):
                logbook.add(user, item, "click", day * DAY_S + DAY_S // 2, surface="search" if item == "a" else "home")
    return logbook


def path_of_day_2(log) -> Path:
    """The middle partition's file, written."""
    log.write()
    return log.root / "events" / FILE_2


def refused(log, match: str) -> DataError:
    """aggregate_logs says `match` and leaves nothing."""
    with pytest.raises(DataError, match=match) as raised:
        log.aggregate()
    assert not (log.root / "dataset").exists() and not list(log.root.glob(".dataset*"))
    return raised.value


def set_aside(log, reason: str, count: int = 1) -> None:
    """Exactly `count` rows go to quarantine for `reason`, the twelve others stay; validate_data can stop the run."""
    counts = log.aggregate().counts
    assert (counts["rows_kept"], counts["rows_quarantined"], counts["rows_duplicate"]) == (12, count, 0)
    facts = log.statistics()
    assert {name: n for name, n in facts["quarantined_by_reason"].items() if n} == {reason: count}
    rows = log.rows("quarantine")
    assert [(row["file"], row["reason"]) for row in rows] == [(FILE_2, reason)] * count
    assert json.loads(rows[0]["record"])["item_type"] == "pin"  # the row as it came
    said = stopped(log, max_quarantined_share=0.0)
    assert f"max_quarantined_share: observed {count / (12 + count):g}, limit 0" in said
    assert f"{{'{reason}': {count}}}" in said and f"in {FILE_2}" in said and '"record"' in said
    validation(log)  # and lets it pass if it may


def validation(log, **limits: object) -> dict:
    """validation.json of a run that passes."""
    output = log.root / "validation"
    validate_data(log.root / "dataset", output, validate=ValidateConfig(**(LENIENT | limits)))
    return json.loads((output / "validation.json").read_text())


def stopped(log, **limits: object) -> str:
    """What validate_data says when it stops the run."""
    with pytest.raises(DataError) as caught:
        validation(log, **limits)
    assert not (log.root / "validation").exists()
    return str(caught.value)


def changed(path: Path, column: str, values: pa.Array | None = None, name: str = "") -> None:
    """Replace, rename or (with neither) drop a column of a file."""
    table = pq.read_table(path)
    place = table.column_names.index(column)
    if values is None and not name:
        table = table.drop_columns([column])
    else:
        table = table.set_column(place, name or column, table.column(column) if values is None else values)
    pq.write_table(table, path)


def test_01_empty_partition(log) -> None:
    log.days["2026-03-02"] = []
    log.write()
    log.aggregate()
    assert "partition 2026-03-02 has 0 rows" in log.statistics()["warnings"]
    assert "partition 2026-03-02 has 0 rows" in validation(log)["notes"]
    (log.root / "validation" / "manifest.json").unlink()
    (log.root / "validation" / "validation.json").unlink()
    (log.root / "validation").rmdir()
    said = stopped(log, min_day_ratio=0.5, day_ratio_days=3)
    assert "min_day_ratio: observed 0, limit 0.5: 2026-03-02 has 0 rows" in said


def test_01_empty_partition_without_a_file(log) -> None:
    path_of_day_2(log).unlink()
    refused(log, "no file in 1 partitions: 2026-03-02; supply their files")


def test_02_no_partition(log) -> None:
    path = path_of_day_2(log)
    path.unlink()
    path.parent.rmdir()
    says("error: ...: ... of ... partitions are missing: ...; supply them, or change the date or "
         "aggregate.lookback_days",
         refused(log, "1 of 3 partitions are missing: 2026-03-02; supply them"))


@pytest.mark.parametrize(("column", "values", "said"), [
    ("timestamp_ms", pa.array([1.5] * 4), "'timestamp_ms' is double, it must be an integer; convert it"),
    ("item_id", pa.array([True] * 4), "'item_id' is bool, it must be an integer or a string; convert it"),
    ("action", pa.array([1] * 4), "'action' is int64, it must be a string; convert it"),
])
def test_03_wrong_type(log, column: str, values: pa.Array, said: str) -> None:
    changed(path_of_day_2(log), column, values)
    says("error: ...: column ... is ..., it must be ...; convert it where the file is written",
         refused(log, f"{FILE_2}: column {said}"))


@pytest.mark.parametrize(("name", "said"), [("", "it has "), ("act", "is it 'act'.*Rename it")])
def test_04_missing_column(log, name: str, said: str) -> None:
    changed(path_of_day_2(log), "action", name=name)
    says("error: ...: required column ... is missing..., or import the log with a mapping",
         refused(log, f"{FILE_2}: required column 'action' is missing; {said}"))


def test_05_extra_column_is_kept_out_and_counted(log) -> None:
    log.write()
    plain = log.aggregate("plain").files
    for row in log.days["2026-03-02"]:
        row |= {"mood": "good", "email": "ann@example.org"}
    log.write()
    files = log.aggregate().files
    tables = [name for name in files if name.startswith(("items", "sequences", "views", "quarantine"))]
    assert len(tables) > 3 and all(files[name] == plain[name] for name in tables)
    assert log.statistics()["extra_columns"] == {"email": 1, "mood": 1}
    assert "column 'email' of 1 event files is not used" in validation(log)["notes"]
    everything = b"".join(path.read_bytes() for path in (log.root / "dataset").rglob("*") if path.is_file())
    assert b"ann@example.org" not in everything


@pytest.mark.parametrize(("column", "reason"), [("user_id", "null_user_id"), ("item_id", "null_item_id")])
def test_06_null_ids(log, column: str, reason: str) -> None:
    for empty in (None, ""):
        log.add("ann", "c", "click", DAY_S + 5)
        log.days["2026-03-02"][-1][column] = empty
    log.write()
    set_aside(log, reason, 2)


@pytest.mark.parametrize("name", ["moon", None])
def test_07_unknown_surface(log, name: str | None) -> None:
    log.add("ann", "c", "click", DAY_S + 5, surface=name)
    log.write()
    set_aside(log, "unknown_surface")


@pytest.mark.parametrize("name", ["teleport", "Click", None])
def test_08_unknown_action(log, name: str | None) -> None:
    log.add("ann", "c", name, DAY_S + 5)
    log.write()
    set_aside(log, "unknown_action")


def test_08_every_action_unknown(log) -> None:
    for rows in log.days.values():
        for row in rows:
            row["action"] = "teleport"
    log.write()
    refused(log, r"none of 12 rows could be used: 12 unknown_action; check the \[log\] section")


def test_09_timestamp_in_seconds(log) -> None:
    log.add("ann", "c", "click", DAY_S + 5, timestamp_ms=NOON_2_MS // 1000)
    log.write()
    set_aside(log, "timestamp_in_seconds")


@pytest.mark.parametrize(("factor", "reason"), [(1000, "timestamp_in_microseconds"),
                                                (10**6, "timestamp_in_nanoseconds")])
def test_09_timestamp_in_microseconds(log, factor: int, reason: str) -> None:
    log.add("ann", "c", "click", DAY_S + 5, timestamp_ms=NOON_2_MS * factor)
    log.write()
    set_aside(log, reason)


def test_10_timestamp_in_the_future(log) -> None:
    log.add("ann", "c", "click", DAY_S + 5, timestamp_ms=START_MS + 3 * DAY_S * 1000)  # the end of the last day
    log.write()
    set_aside(log, "timestamp_in_future")


def test_11_out_of_order_events(log) -> None:
    for second in range(50):
        log.add("ann", "abc"[second % 3], "click", DAY_S + second)
    log.write()
    ordered = log.aggregate("ordered").files
    random.Random(0).shuffle(log.days["2026-03-02"])
    log.write()
    files = log.aggregate().files
    tables = [name for name in files if name.startswith(("items", "sequences", "views"))]
    assert len(tables) > 2 and all(files[name] == ordered[name] for name in tables)
    assert log.statistics("ordered")["rows_out_of_order"] == 1  # where the fifty follow the noon of the others
    assert 15 < log.statistics()["rows_out_of_order"] < 35
    assert "max_unordered_share: observed" in stopped(log, max_unordered_share=0.1)


def test_12_exact_duplicates(log) -> None:
    log.days["2026-03-02"] += log.days["2026-03-02"][:3]
    log.write()
    counts = log.aggregate().counts
    assert (counts["rows_in"], counts["rows_kept"], counts["rows_duplicate"]) == (15, 12, 3)
    assert "max_duplicate_share: observed 0.2, limit 0.1: 0.2000 (3 of 15) of all rows are exact duplicates" in stopped(
        log, max_duplicate_share=0.1)


@pytest.mark.parametrize("kept", [0.98, 0.5, 0.0])
def test_13_truncated_file(log, kept: float) -> None:
    path = path_of_day_2(log)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * kept)])
    says("error: ...: not Parquet, or cut short (...); write the file again",
         refused(log, f"{FILE_2}: not Parquet, or cut short .* write the file again"))


def test_14_not_parquet(log) -> None:
    path_of_day_2(log).write_text("user_id,item_id\nann,a\n")
    refused(log, f"{FILE_2}: not Parquet, or cut short .* write the file again")


def test_14_not_parquet_by_name(log) -> None:
    path = path_of_day_2(log)
    path.rename(path.with_suffix(".csv"))
    refused(log, "date=2026-03-02/part-0.csv: neither .parquet nor .jsonl; convert it, or move it out")
