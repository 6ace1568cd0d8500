"""Exposures, views and sequences of a shard against a plain, event-by-event reading of the same rules."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation.exposures import Rows
from pinrec_core.logs.aggregation.hashing import blake2b_64, hash_text, split_of
from pinrec_core.logs.aggregation.ordering import lexicographic_order
from pinrec_core.logs.aggregation.shard import Shard, build_tables

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",))
IMPRESSION, GAP_S = 3, 10


def random_events(seed: int) -> list[tuple]:
    """(user, time, surface, item, action, position, request, context, type, day), with many ties and duplicates."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 120))
    events = [(int(rng.integers(3)), int(rng.integers(60)) * 1000, int(rng.integers(2)), int(rng.integers(6)),
               int(rng.choice(4, p=[.2, .1, .1, .6])), int(rng.integers(-1, 4)), int(rng.choice([0, 0, 1, 2])),
               int(rng.choice([-1, -1, 2, 7])), 0, int(rng.integers(2))) for _ in range(count)]
    return events + [events[int(i)] for i in rng.integers(count, size=count // 4)]


def tables_of(events: list[tuple], order: np.ndarray):
    kinds = (np.int32, np.int64, np.int8, np.int32, np.int8, np.int32, np.uint64, np.int32, np.int8, np.int16)
    columns = [np.array(values, kind)[order] for values, kind in zip(zip(*events, strict=True), kinds, strict=True)]
    shard = Shard(pa.array(["u0", "u1", "u2"]), np.zeros(3, np.int8), Rows(*columns), 6, 0)
    return build_tables(shard, LOG, GAP_S)


def plain_views(events: list[tuple]) -> list[list[tuple]]:
    """Views of all users, each a list of its events without their day, in the order of their first events."""
    views: list[list[tuple]] = []
    distinct = sorted({event[:9] for event in events})
    for _, feed in itertools.groupby(sorted(distinct, key=lambda e: (e[0], e[2], e)), key=lambda e: (e[0], e[2])):
        by_request: dict[int, list] = {}
        last, context = None, -1
        for event in feed:
            if event[6]:
                by_request.setdefault(event[6], []).append(event)
                continue
            pause = last is None or event[1] - last > GAP_S * 1000
            if pause or (event[7] != -1 and context not in (-1, event[7])):
                views.append([])
                context = -1
            views[-1].append(event)
            last, context = event[1], event[7] if event[7] != -1 else context
        views += by_request.values()
    return sorted(views, key=lambda view: view[0])


def plain_exposures(view: list[tuple]) -> list[tuple]:
    """(item, bits, position, time of the first positive action) in the order shown."""
    shown = []
    for item in {event[3] for event in view}:
        mine = [event for event in view if event[3] == item]
        places = [event[5] for event in mine if event[5] != -1]
        bits = sum({1 << event[4] for event in mine if event[4] != IMPRESSION})
        first = min((event[1] for event in mine if event[4] < 2), default=None)
        shown.append(((min(places, default=10**6), mine[0]), (item, bits, min(places, default=-1), first)))
    return [exposure for _, exposure in sorted(shown)]


@pytest.mark.parametrize("seed", range(60))
def test_views_and_sequences_are_those_of_a_plain_reading(seed: int) -> None:
    events = random_events(seed)
    order = np.random.default_rng(seed).permutation(len(events))
    tables = tables_of(events, order)
    views = plain_views(events)
    assert [row["start_ms"] for row in tables.views.to_pylist()] == [view[0][1] for view in views]
    ordinals, tokens = {}, {user: [] for user in range(3)}
    for row, view in zip(tables.views.to_pylist(), views, strict=True):
        user, surface, shown = view[0][0], view[0][2], plain_exposures(view)
        ordinal = ordinals[user] = ordinals.get(user, -1) + 1
        context = next((event[7] for event in view if event[7] != -1), -1)
        assert (row["user_id"], row["surface"], row["view"]) == (f"u{user}", surface, ordinal)
        assert row["context_item"] == (context if context < 6 else -1)
        assert list(zip(row["item"], row["actions"], row["position"], strict=True)) == [e[:3] for e in shown]
        tokens[user] += [(time, item, bits, surface, ordinal) for item, bits, _, time in shown if bits & 3]
    for user, row in enumerate(tables.sequences.to_pylist()):
        found = zip(row["timestamp_ms"], row["item"], row["actions"], row["surface"], row["view"], strict=True)
        assert list(found) == sorted(tokens[user], key=lambda token: (token[0], token[4]))
    assert tables.duplicates == len(events) - len({event[:9] for event in events})
    assert int(tables.exposures.events_E.sum()) + tables.duplicates == len(events)


def test_the_order_of_arrival_does_not_matter() -> None:
    events = random_events(7)
    first = tables_of(events, np.arange(len(events)))
    second = tables_of(events, np.arange(len(events))[::-1])
    assert first.sequences.equals(second.sequences) and first.views.equals(second.views)


def test_lexicographic_order_over_more_than_one_word() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.integers(-3, 3, 500), rng.integers(0, 2**63, 500).astype(np.uint64) // 2**61 * 2**60,
               rng.integers(-2**62, 2**62, 500) // 2**60, np.arange(500)]
    expected = np.lexsort(columns[::-1])
    assert lexicographic_order(columns).tolist() == expected.tolist()
    assert lexicographic_order([np.zeros(0, np.int64)]).tolist() == []


def test_hashes_are_stable_and_depend_on_every_byte() -> None:
    texts = ["", "a", "b", "a" * 8, "a" * 9, "a" * 17, "\x00", "\x00\x00", "é", "user-000000001", "user-000000002"]
    hash_N = hash_text(pa.array(texts))
    assert len(set(hash_N.tolist())) == len(texts)
    padded = pa.array(["x", *texts, "y"])
    assert (hash_text(padded.slice(1, len(texts))) == hash_N).all()
    assert hash_text(pa.array(["user-42"])).tolist() == [2508854222606405466]  # another value would move every user
    assert blake2b_64(["user-42"]).tolist() == [12029086546990375023]


def test_splits_have_their_shares_and_depend_on_the_seed() -> None:
    hash_N = hash_text(pa.array([str(n) for n in range(20_000)]))
    split_N = split_of(hash_N, seed=0, validation_share=0.1, heldout_share=0.2)
    assert np.bincount(split_N) / 20_000 == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    other_N = split_of(hash_N, seed=1, validation_share=0.1, heldout_share=0.2)
    assert (split_N == other_N).mean() == pytest.approx(0.7**2 + 0.1**2 + 0.2**2, abs=0.02)
