"""Yesterday's dataset and today's partitions give what reading everything again gives: 200 random logs, random cuts."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from datetime import date as Day
from datetime import timedelta
from pathlib import Path

import pytest
from stages import run_stages

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.aggregation.job import run_job
from pinrec_core.manifest import Manifest, read_manifest

LOGS = 200
BY_BEAM = range(0, LOGS, 50)  # these go through the runner, the others through the same stages one by one
FIRST = Day(2026, 3, 1)
START_MS = 1_772_323_200_000  # 2026-03-01T00:00:00Z
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                item_types=("pin", "query"), retrievable_types=("pin",))
ACTIONS = ("click", "save", "hide", "impression", "impression", "teleport")


class World:
    """A random log of some days, told by its seed: who appears when, late rows, duplicates, views across midnight."""

    def __init__(self, seed: int, root: Path, new_logbook: type) -> None:
        self.random = random.Random(seed)
        pick = self.random
        self.lookback, self.late = pick.randint(2, 5), pick.randint(0, 2)
        self.gone_by = pick.randint(1, 3)  # days between the two runs
        self.dates = [(FIRST + timedelta(days=day)).isoformat() for day in range(self.lookback + self.gone_by)]
        self.aggregate = AggregateConfig(
            lookback_days=self.lookback, eval_days=1, max_late_days=self.late, view_gap_s=pick.choice((60, 7200)),
            shards=pick.randint(1, 3), shard_rows=5 if seed % 2 else 600_000, validation_user_share=0.2,
            heldout_user_share=0.2, seed=seed, timezone=pick.choice(("UTC", "Asia/Shanghai")))
        self.logbook = new_logbook(root)
        self.logbook.days = {date: [self.row(day) for _ in range(pick.randint(0, 25))]
                             for day, date in enumerate(self.dates)}
        self.logbook.days[self.dates[-1]].append(self.good_row())
        self.logbook.days[self.dates[self.lookback - 1]].append(self.good_row(self.lookback - 1))
        self.send_again()
        self.write_catalog("ab")

    def good_row(self, day: int = -1) -> dict:
        """A row that is kept whatever the zone: at noon UTC of its day."""
        day %= len(self.dates)
        return {"user_id": "always", "item_id": "a", "item_type": "pin", "surface": "home", "action": "click",
                "timestamp_ms": START_MS + day * DAY_MS + DAY_MS // 2}

    def row(self, day: int) -> dict:
        """A row of a partition: mostly of its day, around midnight or some days off, sometimes faulty."""
        pick = self.random
        off_ms = pick.choice((pick.randrange(DAY_MS), pick.randrange(-HOUR_MS, HOUR_MS) // 1000 * 1000,
                              pick.randrange(-3 * DAY_MS, 4 * DAY_MS)))
        row = {"user_id": pick.choice(["ann", "bob", "cay", f"only{day}", None] if pick.random() < .2 else
                                      ["ann", "bob", "cay", f"only{day}"]),
               "item_id": pick.choice(["a", "b", "z", "y", f"new{day}"]), "item_type": pick.choice(LOG.item_types),
               "surface": pick.choice(LOG.surfaces), "action": pick.choice(ACTIONS),
               "timestamp_ms": START_MS + day * DAY_MS + off_ms}
        return row | {"request_id": pick.choice((None, "r", "s")), "position": pick.choice((None, 0, 1, 2)),
                      "context_item_id": pick.choice((None, None, "y", "nowhere"))}

    def send_again(self) -> None:
        """Some rows come twice, in their own partition or another."""
        for rows in list(self.logbook.days.values()):
            for row in self.random.sample(rows, len(rows) // 5):
                self.logbook.days[self.random.choice(self.dates)].append(dict(row))

    def write_catalog(self, items: str) -> None:
        """The catalog with these items."""
        self.logbook.catalog = [{"item_id": item, "item_type": "pin"} for item in items]
        self.logbook.write()

    def aggregate_at(self, date: str, output: str, previous: str = "", run=run_stages) -> Manifest:
        """The dataset of the window that ends with a date."""
        root = self.logbook.root
        return aggregate_logs(str(root / "events"), str(root / "catalog"), root / output, log=LOG,
                              aggregate=self.aggregate, date=date, previous=previous and str(root / previous), run=run)


@pytest.mark.parametrize("block", range(8))
def test_incremental_equals_full(block: int, tmp_path: Path, new_logbook: type, monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # thousands of small files; power stays on here
    seen: Counter[str] = Counter()
    for seed in range(block, LOGS, 8):
        world = World(seed, tmp_path / str(seed), new_logbook)
        run = run_job if seed in BY_BEAM else run_stages
        world.aggregate_at(world.dates[world.lookback - 1], "yesterday", run=run)
        if seed % 3 == 0:
            world.write_catalog("bya")  # the catalog moves, so every item gets another number
        if seed % 4 == 0:  # a row comes in for a day that was read before
            world.logbook.days[world.dates[world.gone_by]].append(world.good_row(world.gone_by))
            world.logbook.write()
        full = world.aggregate_at(world.dates[-1], "full", run=run)
        fast = world.aggregate_at(world.dates[-1], "fast", "yesterday", run=run)
        assert fast == full and fast.fingerprint == full.fingerprint, f"seed {seed}"
        states = [read_manifest(world.logbook.root / name / "state", "aggregation_state") for name in ("full", "fast")]
        assert states[0] == states[1], f"seed {seed}"
        check_rows(world, full)
        seen.update(reasons_of(world))
    assert min(seen[name] for name in ("kept", "duplicate", "timestamp_before_window", "timestamp_in_future",
                                       "timestamp_outside_partition", "unknown_action", "null_user_id")) > 10


def check_rows(world: World, manifest: Manifest) -> None:
    """Counts of kept, duplicate and quarantined rows as a plain loop over the rows has them."""
    expected = reasons_of(world)
    counts = manifest.counts
    assert (counts["rows_kept"], counts["rows_duplicate"]) == (expected.pop("kept"), expected.pop("duplicate", 0))
    statistics = json.loads((world.logbook.root / "full" / "statistics.json").read_text())
    assert {name: count for name, count in statistics["quarantined_by_reason"].items() if count} == dict(expected)


def reasons_of(world: World) -> Counter[str]:
    """What becomes of each row of the last window, by name."""
    shift_ms = 8 * HOUR_MS if world.aggregate.timezone == "Asia/Shanghai" else 0
    dates, fates, kept = world.dates[-world.lookback:], Counter(), set()
    for date in dates:
        for row in world.logbook.days[date]:
            partition = (Day.fromisoformat(date) - FIRST).days
            day = (row["timestamp_ms"] + shift_ms - START_MS) // DAY_MS
            identity = tuple(row.get(name) for name in (*list(world.good_row()), "request_id", "position",
                                                        "context_item_id"))
            if row["user_id"] is None:
                fates["null_user_id"] += 1
            elif row["action"] == "teleport":
                fates["unknown_action"] += 1
            elif day > min(partition + world.late, len(world.dates) - 1):
                fates["timestamp_in_future"] += 1
            elif day < partition - world.late:
                fates["timestamp_outside_partition"] += 1
            elif day < len(world.dates) - world.lookback:
                fates["timestamp_before_window"] += 1
            else:
                fates["duplicate" if identity in kept else "kept"] += 1
                kept.add(identity)
    return fates
