"""Shards are a matter of memory: neither their number, nor their second cut, nor the order of chunks shows."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinrec_core.config import AggregateConfig
from pinrec_core.logs.aggregation.capping import cap_users
from pinrec_core.logs.aggregation.sharding import MAX_SHARDS, cut_shard, gather, sharded
from pinrec_core.logs.aggregation.spill import CLEANED, write_chunks
from pinrec_core.logs.aggregation.window import open_window

DAY_S = 86_400
WINDOW = open_window("1970-01-02", AggregateConfig(lookback_days=2, eval_days=1))  # where the times below lie


def fill(logbook, seed: int) -> None:
    """A few hundred events with heavy users, ties, duplicates, requests, contexts and rows that are no good."""
    draw = random.Random(seed)
    for _ in range(300):
        user = draw.choice(["heavy"] * 4 + [f"user{n}" for n in range(12)] + [None] * (draw.random() < 0.1))
        columns = {"surface": draw.choice(["home", "search"])}
        if draw.random() < 0.3:
            columns["request_id"] = f"r{draw.randrange(5)}"
        if draw.random() < 0.2:
            columns["context_item_id"] = draw.choice(["a", "nowhere", "elsewhere"])
        row = (user, draw.choice("abcdefg"), draw.choice(["impression", "impression", "click", "save", "hide"]),
               draw.randrange(3) * DAY_S + draw.randrange(200))
        for _ in range(1 + (draw.random() < 0.1)):
            logbook.add(*row, **columns)
    logbook.write()


def content(logbook, output: str, **settings_: object) -> dict:
    """Everything in a dataset that its shards should not show in."""
    manifest = logbook.aggregate(output, **settings_)
    statistics = logbook.statistics(output)
    return {"counts": manifest.counts, "items": logbook.rows("items.parquet", output), "statistics": statistics,
            "sequences": sorted(logbook.rows("sequences", output), key=lambda row: row["user_id"]),
            "views": sorted(logbook.rows("views", output), key=lambda row: (row["user_id"], row["view"]))}


@pytest.mark.parametrize("seed", range(3))
def test_the_data_does_not_depend_on_shards(logbook, seed: int) -> None:
    fill(logbook, seed)
    cap = {"max_user_events": 40} if seed % 2 else {}
    whole = content(logbook, "whole", shards=1, **cap)
    assert bool(whole["counts"]["rows_capped"]) == bool(cap)
    assert content(logbook, "many", shards=7, **cap) == whole
    assert content(logbook, "cut", shards=2, shard_rows=30, **cap) == whole
    assert len(list((logbook.root / "cut" / "sequences").iterdir())) > 2  # the second cut did happen
    assert content(logbook, "automatic", shards=0, shard_rows=50, **cap) == whole


def test_the_newest_rows_of_a_user_stay_and_the_others_are_counted(logbook) -> None:
    for second in range(10):
        logbook.add("ann", "abc"[second % 3], "click", 1000 * second)
    logbook.add("ann", "a", "click", 9000)  # a duplicate takes its place among the newest
    logbook.add("bob", "a", "click", 0)
    logbook.write()
    counts = logbook.aggregate(max_user_events=4).counts
    assert (counts["rows_in"], counts["rows_kept"], counts["rows_duplicate"], counts["rows_capped"]) == (12, 4, 1, 7)
    ann = next(row for row in logbook.rows("sequences") if row["user_id"] == "ann")
    assert [at - max(ann["timestamp_ms"]) for at in ann["timestamp_ms"]] == [-2_000_000, -1_000_000, 0]
    assert any("7 rows" in warning and "max_user_events" in warning for warning in logbook.statistics()["warnings"])
    assert logbook.aggregate("all", max_user_events=0).counts["rows_capped"] == 0


def cleaned(users: list[str], times: list[int], items: list[str]) -> pa.Table:
    """Rows as the readers spill them."""
    def text(values: list[str | None]) -> pa.Array:
        return pa.array(values, pa.string()).dictionary_encode()

    rows = len(users)
    zero = np.zeros(rows, np.int64)
    return pa.table([text(users), text(items), text([None] * rows).cast(CLEANED.field("context").type),
                     *(pa.array(zero, CLEANED.field(i).type) for i in range(3, 6)), pa.array(times, pa.int64()),
                     *(pa.array(zero, CLEANED.field(i).type) for i in range(7, 10))], schema=CLEANED)


def rows_of(table: pa.Table) -> list[tuple]:
    return sorted(zip(*(table.column(name).to_pylist() for name in ("user", "time", "item")), strict=True))


POOLS: list[pa.MemoryPool] = []  # a pool must outlive every buffer that came from it
EVENT = st.tuples(st.sampled_from("uvw"), st.integers(0, 5), st.sampled_from("abc"))


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 60), st.randoms())
def test_capping_piece_by_piece_is_capping_once(events: list, limit: int, piece: int, shuffle: random.Random) -> None:
    once, dropped = cap_users(cleaned(*map(list, zip(*events, strict=True))), limit)
    shuffle.shuffle(events)
    held, lost = [], 0
    for start in range(0, len(events), piece):
        held.append(cleaned(*map(list, zip(*events[start:start + piece], strict=True))))
        table, gone = cap_users(pa.concat_tables(held), limit)
        held, lost = [table], lost + gone
    assert (rows_of(held[0]), lost) == (rows_of(once), dropped)
    for user in "uvw":
        mine = sorted((event[1] for event in events if event[0] == user), reverse=True)
        assert sorted((row[1] for row in rows_of(once) if row[0] == user), reverse=True) == mine[:limit]


def spilled(tmp_path, users: list[list[str]]) -> list:
    """One chunk per list of users, an item of its own in every row."""
    refs = []
    for number, names in enumerate(users):
        table = cleaned(names, list(range(number * 10**6, number * 10**6 + len(names))),
                        [f"{number}-{row}" for row in range(len(names))])
        refs += [ref for _, ref in write_chunks(str(tmp_path / f"{number}.arrow"), [(0, table.to_batches()[0])])]
    return refs


def test_a_large_shard_is_cut_by_user_and_keeps_every_row(tmp_path) -> None:
    refs = spilled(tmp_path, [[f"user{row % 50}" for row in range(100)] for _ in range(6)])
    assert cut_shard(refs, str(tmp_path / "parts"), 600) == [sorted(refs)]
    parts = cut_shard(refs, str(tmp_path / "parts"), 200)
    tables = [gather(part, AggregateConfig(), WINDOW)[0] for part in parts]
    users = [set(table.column("user").to_pylist()) for table in tables]
    assert len(parts) > 2 and sum(map(len, users)) == len(set.union(*users)) == 50
    whole, _ = gather(refs, AggregateConfig(), WINDOW)
    assert sorted(row for table in tables for row in rows_of(table)) == rows_of(whole)


def test_a_user_of_many_rows_never_lies_in_memory_whole(tmp_path) -> None:
    refs = spilled(tmp_path, [["robot"] * 10_000] * 40)
    peaks, before = {}, pa.default_memory_pool()
    for limit in (0, 500):
        pool = pa.proxy_memory_pool(before)
        POOLS.append(pool)
        pa.set_memory_pool(pool)
        try:
            table, capped = gather(refs, AggregateConfig(shard_rows=20_000, max_user_events=limit), WINDOW)
        finally:
            pa.set_memory_pool(before)
        assert (table.num_rows, capped) == ((500, 399_500) if limit else (400_000, 0))
        peaks[limit] = pool.max_memory()
    assert min(table.column("time").to_pylist()) == 39 * 10**6 + 9500
    assert peaks[500] < peaks[0] / 3


@pytest.mark.parametrize(("rows", "shards"), [(1, 1), (299_999, 1), (20_000_000, 67), (10**10, MAX_SHARDS)])
def test_shards_follow_the_rows_up_to_a_limit(rows: int, shards: int) -> None:
    assert sharded(AggregateConfig(shard_rows=400_000), rows).shards == shards
    assert sharded(AggregateConfig(shards=5), rows).shards == 5


@pytest.mark.parametrize(("earlier", "shards"), [(0, 67), (33, 67), (34, 34), (90, 90), (134, 134), (135, 67)])
def test_the_number_of_an_earlier_dataset_is_kept_unless_it_is_far_off(earlier: int, shards: int) -> None:
    assert sharded(AggregateConfig(shard_rows=400_000), 20_000_000, earlier).shards == shards
    assert sharded(AggregateConfig(shards=5), 20_000_000, earlier).shards == 5
