"""Sketches: close to the truth, the same whatever the shards, the same in every run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pinrec_core.logs.aggregation import sketches
from pinrec_core.logs.aggregation.hashing import hash_text


def hashes(start: int, stop: int) -> np.ndarray:
    import pyarrow as pa

    return hash_text(pa.array([f"id{number}" for number in range(start, stop)]))


def test_distinct_ids_of_overlapping_parts_are_counted_once() -> None:
    parts = [sketches.distinct(hashes(0, 30_000)), sketches.distinct(hashes(20_000, 50_000))]
    text, about = sketches.merge_distinct(parts)
    assert about == pytest.approx(50_000, rel=0.05)
    assert sketches.merge_distinct([text, sketches.distinct(hashes(0, 10))])[1] == pytest.approx(about, rel=0.01)
    assert sketches.merge_distinct([])[1] == 0


def test_quantiles_of_parts_are_those_of_the_whole() -> None:
    value_N = np.random.default_rng(0).exponential(100, 200_000)
    _, found = sketches.merge_quantiles(sketches.quantiles(part) for part in np.array_split(value_N, 3))
    assert found["p50"] == pytest.approx(np.quantile(value_N, 0.5), rel=0.016)
    assert found["p99"] == pytest.approx(np.quantile(value_N, 0.99), rel=0.016)
    _, small = sketches.merge_quantiles([sketches.quantiles(np.arange(101)), sketches.quantiles(np.zeros(0))])
    assert small == {"min": 0, "p1": 1, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p99": 99, "max": 100}
    assert sketches.merge_quantiles([sketches.quantiles(np.zeros(0))])[1] == {}


def test_frequent_items_of_parts_add_up() -> None:
    part = sketches.frequent(["a", "b", "c"], np.array([5, 2, 2]))
    assert sketches.merge_frequent([part, sketches.frequent(["c"], np.array([9]))], 2)[1] == {"c": 11, "a": 5}


def test_the_same_input_gives_the_same_bytes() -> None:
    value_N = np.random.default_rng(0).exponential(100, 200_000)
    assert sketches.quantiles(value_N) == sketches.quantiles(value_N)
    assert sketches.distinct(hashes(0, 9000)) == sketches.distinct(hashes(0, 9000)[::-1].copy())


@pytest.mark.parametrize("shards", [1, 3])
def test_new_items_and_days_do_not_depend_on_the_shards(logbook, shards: int) -> None:
    for day, items in enumerate((("a", "b"), ("b", "c", "d"), ("a", "d", "e"))):
        for user in range(20):
            for item in items:
                logbook.add(f"u{user}", item, "click", day * 86_400 + user)
    logbook.add("late", "d", "click", 5)  # one user has it a day earlier: it is new on the first day only
    logbook.write()
    logbook.aggregate(shards=shards)
    days = logbook.statistics()["days"]
    assert [day["rows_new_items"] for day in days.values()] == [41, 20, 20]
    assert [day["users"] for day in days.values()] == [21, 20, 20]
    assert [day["items_about"] for day in days.values()] == [3, 3, 3]
    assert list(days["2026-03-01"]["top_items"].items()) == [("a", 20), ("b", 20), ("d", 1)]
    kept = json.loads((logbook.root / "dataset" / "sketches.json").read_text())
    assert sketches.merge_distinct(kept["items_by_date"].values())[1] == 5
    assert sketches.merge_distinct([kept["users"]])[1] == 21
