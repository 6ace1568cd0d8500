"""Every row is kept or has exactly one reason."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregation.clean import (
    KEPT,
    encode_batch,
    encode_text,
    judge,
    null_counts,
    quarantined_rows,
    reason_name,
)
from pinrec_core.logs.aggregation.lateness import settle
from pinrec_core.logs.aggregation.window import open_window

LOG = LogConfig(surfaces=("home",), positive_actions=("click",), negative_actions=("hide",))
WINDOW = open_window("2026-03-03", AggregateConfig(lookback_days=3, eval_days=1, max_late_days=1))
DAY_MS = 86_400_000
NOON = WINDOW.starts_ms[1] + DAY_MS // 2  # of the middle day
GOOD = {"user_id": "u", "item_id": "i", "item_type": "pin", "surface": "home", "action": "click", "timestamp_ms": NOON}


def batch_of(*rows: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([GOOD | row for row in rows])


def reasons_of(batch: pa.RecordBatch, day: int = 1, log: LogConfig = LOG) -> list[str]:
    reason_N = judge(encode_batch(batch, log), day, WINDOW)
    return ["kept" if code == KEPT else reason_name(int(code)) for code in reason_N]


@pytest.mark.parametrize(("fault", "reason"), [
    ({}, "kept"), ({"user_id": None}, "null_user_id"), ({"user_id": ""}, "null_user_id"),
    ({"item_id": None}, "null_item_id"), ({"timestamp_ms": None}, "null_timestamp"),
    ({"surface": "moon"}, "unknown_surface"), ({"surface": None}, "unknown_surface"),
    ({"action": "teleport"}, "unknown_action"), ({"item_type": "soup"}, "unknown_item_type"),
    ({"timestamp_ms": NOON // 1000}, "timestamp_in_seconds"),
    ({"timestamp_ms": NOON * 1000}, "timestamp_in_microseconds"),
    ({"timestamp_ms": NOON * 10**6}, "timestamp_in_nanoseconds"),
    ({"timestamp_ms": WINDOW.end_ms}, "timestamp_in_future"), ({"timestamp_ms": WINDOW.end_ms - 1}, "day+1"),
    ({"timestamp_ms": WINDOW.start_ms}, "day-1"),
    ({"timestamp_ms": WINDOW.start_ms - 1}, "timestamp_outside_partition"),
    ({"timestamp_ms": -5}, "timestamp_outside_partition"),
])
def test_each_fault_has_its_reason(fault: dict, reason: str) -> None:
    assert reasons_of(batch_of({}, fault, {})) == ["kept", reason, "kept"]


def test_lateness_is_judged_against_the_partition() -> None:
    rows = batch_of({"timestamp_ms": WINDOW.starts_ms[0] - 1}, {"timestamp_ms": WINDOW.starts_ms[2]},
                    {"timestamp_ms": WINDOW.starts_ms[0]})
    assert reasons_of(rows, day=0) == ["day-1", "timestamp_in_future", "kept"]
    assert reasons_of(rows, day=2) == ["timestamp_outside_partition", "kept", "timestamp_outside_partition"]


def test_the_window_decides_about_rows_of_other_days() -> None:
    rows = [{"row": row, "reason": reason} for row, reason in enumerate(("null_user_id", "day-1", "day+1", "day-1"))]
    report = {"date": WINDOW.dates[0], "rows_passed": 10, "examples": rows,
              "quarantined": {"null_user_id": 1, "day-1": 2, "day+1": 3}}
    first, last = settle(report, WINDOW), settle(report | {"date": WINDOW.dates[2]}, WINDOW)
    assert {name: count for name, count in first["quarantined"].items() if count} == {
        "null_user_id": 1, "timestamp_before_window": 2}
    assert {name: count for name, count in last["quarantined"].items() if count} == {
        "null_user_id": 1, "timestamp_in_future": 3}
    assert (first["rows_passed"], last["rows_passed"]) == (8, 7)
    assert [(row["row"], row["reason"]) for row in first["examples"]] == [
        (0, "null_user_id"), (1, "timestamp_before_window"), (3, "timestamp_before_window")]


def test_partition_days_follow_the_time_zone() -> None:
    window = open_window("2026-03-03", AggregateConfig(lookback_days=3, eval_days=1, timezone="Asia/Shanghai"))
    assert window.start_ms == WINDOW.start_ms - 8 * 3_600_000


def test_days_of_a_clock_change_have_23_hours() -> None:
    window = open_window("2026-03-30", AggregateConfig(lookback_days=3, eval_days=1, timezone="Europe/Berlin"))
    assert np.diff(window.starts_ms).tolist() == [DAY_MS, DAY_MS - 3_600_000, DAY_MS]


def test_a_pooled_surface_takes_unknown_names_but_not_nulls() -> None:
    pooled = LOG.model_copy(update={"pooled_surface": "other"})
    batch = batch_of({"surface": "moon"}, {"surface": None}, {"surface": "home"})
    assert reasons_of(batch, log=pooled) == ["kept", "unknown_surface", "kept"]
    assert encode_batch(batch, pooled).surface_N.tolist() == [1, -1, 0]


def test_ids_of_any_type_have_one_text() -> None:
    for column in (pa.array([7, None, 12]), pa.array(["7", None, "12"]), pa.array(["7", "", "12"]).dictionary_encode(),
                   pa.array([7, None, 12], pa.int32()), pa.array(["7", None, "12"], pa.large_string())):
        text = encode_text(column)
        assert [text.values[code].as_py() if code >= 0 else None for code in text.code_N] == ["7", None, "12"]


def test_the_first_rows_of_each_reason_are_shown_with_their_place() -> None:
    batch = batch_of({"user_id": None}, {}, {"user_id": None}, {"action": "teleport"}, {"user_id": None})
    reason_N = judge(encode_batch(batch, LOG), 1, WINDOW)
    rows = quarantined_rows(batch, reason_N, file="f", first_row=100, limit=2)
    assert [(row["row"], row["reason"]) for row in rows] == [
        (100, "null_user_id"), (102, "null_user_id"), (103, "unknown_action")]
    assert json.loads(rows[2]["record"]) == GOOD | {"action": "teleport"}


def test_absent_optional_columns_count_as_null() -> None:
    batch = batch_of({"position": 3}, {"position": None})
    assert null_counts(batch) == {"request_id": 2, "position": 1, "context_item_id": 2}
    events = encode_batch(batch, LOG)
    assert events.position_N.tolist() == [3, -1] and events.request_N.tolist() == [0, 0]
