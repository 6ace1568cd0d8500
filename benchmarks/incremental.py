"""How much a day saves that takes over the days before it: incremental against full, in one run.

    python benchmarks/incremental.py --events 2000000 --days 14

Writes a log of one day more than the window (Zipf items, power-law users), builds yesterday's dataset, then today's
with and without it, in turns, and prints seconds, the ratios of the medians, and whether both are the same to the byte.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregate import aggregate_logs

FIRST, FIRST_MS, DAY_MS = date(2026, 3, 1), 1_772_323_200_000, 86_400_000
LOG = LogConfig(surfaces=("home", "search", "related"), positive_actions=("click", "save"), negative_actions=("hide",))
ACTIONS = ("impression", "click", "save", "hide")


def write_log(root: Path, events: int, days: int, users: int, items: int, *, requests: bool) -> None:
    """`events` rows over `days` partitions, with or without request id and position, and a catalog."""
    random = np.random.default_rng(0)
    for day in range(days):
        rows = events // days
        columns = {
            "user_id": _named("u", (users * random.random(rows) ** 2).astype(np.int64)),
            "item_id": _named("i", np.minimum(random.zipf(1.2, rows), items)),
            "item_type": _coded(np.zeros(rows, np.int32), ("pin",)),
            "surface": _coded(random.integers(0, 3, rows), LOG.surfaces),
            "action": _coded(random.choice(4, rows, p=(0.75, 0.17, 0.06, 0.02)), ACTIONS),
            "timestamp_ms": pa.array(FIRST_MS + day * DAY_MS + np.sort(random.integers(0, DAY_MS, rows)))}
        if requests:
            columns["request_id"] = _named(f"request-{day}-", random.integers(0, rows // 10, rows)).dictionary_decode()
            columns["position"] = pa.array(random.integers(0, 50, rows), pa.int32())
        folder = root / "events" / f"date={FIRST + timedelta(days=day)}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / "part-0.parquet", row_group_size=1 << 18)
    (root / "catalog").mkdir()
    names = _named("i", np.arange(1, items + 1))
    pq.write_table(pa.table({"item_id": names, "item_type": ["pin"] * items}), root / "catalog" / "part-0.parquet")


def _named(prefix: str, number_N: np.ndarray) -> pa.DictionaryArray:
    distinct, code_N = np.unique(number_N, return_inverse=True)
    return pa.DictionaryArray.from_arrays(code_N.astype(np.int32), [f"{prefix}{number}" for number in distinct])


def _coded(code_N: np.ndarray, names: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.asarray(code_N, np.int32), list(names))


def measure(root: Path, days: int, repeats: int) -> dict[str, object]:
    """Seconds of full and incremental runs of the last day, and whether they agree."""
    arguments = {"events": str(root / "events"), "catalog": str(root / "catalog"), "log": LOG,
                 "aggregate": AggregateConfig(lookback_days=days)}
    last = FIRST + timedelta(days=days)
    aggregate_logs(**arguments, output=root / "yesterday", date=str(last - timedelta(days=1)))
    seconds: dict[str, list[float]] = {"full": [], "incremental": []}
    cpu_seconds: dict[str, list[float]] = {"full": [], "incremental": []}
    prints = set()
    for repeat in range(repeats):
        for name, previous in (("full", ""), ("incremental", str(root / "yesterday"))):
            start, cpu = time.perf_counter(), time.process_time()
            manifest = aggregate_logs(**arguments, output=root / f"{name}-{repeat}", date=str(last), previous=previous)
            seconds[name].append(round(time.perf_counter() - start, 2))
            cpu_seconds[name].append(round(time.process_time() - cpu, 2))
            prints.add(manifest.fingerprint)
    state = sum(path.stat().st_size for path in (root / "yesterday" / "state").rglob("*") if path.is_file())
    return {"rows": manifest.counts["rows_in"], "seconds": seconds, "cpu_seconds": cpu_seconds,
            "incremental_over_full": ratio(seconds), "cpu_incremental_over_full": ratio(cpu_seconds),
            "same_fingerprint": len(prints) == 1, "state_mb": round(state / 1e6, 1)}


def ratio(seconds: dict[str, list[float]]) -> float:
    """Median of incremental over median of full."""
    return round(statistics.median(seconds["incremental"]) / statistics.median(seconds["full"]), 3)


def main() -> None:
    """Parse arguments, run, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="rows in the window")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", action="store_true", help="rows have request ids and positions")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pinrec-") as folder:
        write_log(Path(folder), given.events // given.days * (given.days + 1), given.days + 1, given.users, given.items,
                  requests=given.requests)
        sys.stdout.write(json.dumps(measure(Path(folder), given.days, given.repeats), indent=1) + "\n")


if __name__ == "__main__":
    main()
