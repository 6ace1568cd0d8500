"""aggregate_logs beside polars and duckdb: the same work, to the same output, each in a process of its own.

    python benchmarks/aggregate.py [--events 2000000,20000000] [--data DIR] [--json FILE] [--engines pinrec,polars]

The log: sessions of power-law users looking at Zipf items on two surfaces over seven daily Parquet partitions; one
row in fifty is there twice and one in a thousand has no item.

The work, equal for all: read the events, drop rows that cannot be used (null ids, names outside the vocabulary, times
outside the window), drop exact duplicates, find feed views (same user and surface, no pause over ten minutes), merge
the rows of a view and item into one exposure (bits OR-ed, time of the first positive action), and write as Parquet
(snappy) (1) per user the time-ordered lists of positive engagements and (2) per feed view its start and its lists of
items shown. What only pinrec does on top: the quarantine with its reasons, the item table, statistics, hashes of the
files and the count identity. What it does not have to do in the others: they may use item ids as item indexes (the
catalog is numbered that way) and keep users as integers.

Seconds are of the work alone, imports excluded; peak RSS is the whole process's, by getrusage in the child. Outputs are
compared by a checksum over their content (order of rows left out, order in lists kept).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENGINES = ("pinrec", "polars", "duckdb")
SURFACES = ("home", "search")
ACTIONS = ("click", "save", "hide")  # bits 1, 2, 4; the first two are positive
DAYS = tuple(f"2026-03-{day:02d}" for day in range(1, 8))
START_MS, DAY_MS = 1_772_323_200_000, 86_400_000  # 2026-03-01T00:00:00Z
GAP_S, ITEMS = 600, 100_000
DUPLICATES, UNUSABLE = 0.02, 0.001  # shares of the rows
ACTED = 0.18  # share of the impressions that an action follows


def generate(events: int, data: Path) -> None:
    """Write data/events/date=*/ and data/catalog/; the same seed and size give the same log."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(events)
    ids = pa.array(np.arange(ITEMS))
    (data / "catalog").mkdir(parents=True)
    pq.write_table(pa.table({"item_id": ids, "item_type": pa.repeat("pin", ITEMS)}), data / "catalog/part-0.parquet")
    users = max(events // 100, 10)
    weight = 1 / np.arange(1, users + 1) ** 0.6
    user_share = np.cumsum(weight) / weight.sum()
    popularity = 1 / np.arange(1, ITEMS + 1) ** 1.05
    item_share = np.cumsum(generator.permutation(popularity)) / popularity.sum()
    for day, date in enumerate(DAYS):
        rows = events // len(DAYS) + (day < events % len(DAYS))
        folder = data / "events" / f"date={date}"
        folder.mkdir(parents=True)
        pq.write_table(_day(generator, rows, day, user_share, item_share), folder / "part-0.parquet",
                       row_group_size=1 << 19)


def _day(generator, rows: int, day: int, user_share, item_share):
    """One partition of exactly `rows` events in time order."""
    import numpy as np
    import pyarrow as pa

    fresh = rows - int(rows * DUPLICATES)
    impressions = int(fresh / (1 + ACTED))
    shown_S = generator.integers(1, 20, max(rows // 5, 1))  # items of each session, more sessions than are needed
    session = np.repeat(np.arange(len(shown_S)), shown_S)[:impressions]
    user_S = np.searchsorted(user_share, generator.random(len(shown_S)))
    surface_S = (generator.random(len(shown_S)) < 0.3).astype(np.int8)
    start_S = generator.integers(0, DAY_MS - 200_000, len(shown_S))
    row = np.append(np.arange(impressions), generator.permutation(impressions)[:fresh - impressions])  # then the acted
    at = (start_S[session] + generator.integers(0, 60_000, impressions))[row]
    at[impressions:] += generator.integers(1000, 60_000, fresh - impressions)
    action = np.full(fresh, len(ACTIONS), np.int8)
    action[impressions:] = generator.choice(len(ACTIONS), fresh - impressions, p=(0.7, 0.25, 0.05))
    item = np.searchsorted(item_share, generator.random(impressions))
    pick = np.append(np.arange(fresh), generator.integers(0, fresh, rows - fresh))  # some rows twice
    pick = pick[np.argsort(at[pick], kind="stable")]
    columns = {
        "user_id": user_S[session[row[pick]]],
        "item_id": pa.array(item[row[pick]], mask=generator.random(rows) < UNUSABLE),
        "item_type": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), ["pin"]).cast(pa.string()),
        "surface": pa.DictionaryArray.from_arrays(surface_S[session[row[pick]]], list(SURFACES)).cast(pa.string()),
        "action": pa.DictionaryArray.from_arrays(action[pick], [*ACTIONS, "impression"]).cast(pa.string()),
        "timestamp_ms": START_MS + day * DAY_MS + at[pick]}
    return pa.table(columns)


def run_pinrec(data: Path, output: Path) -> float:
    """Our step, as a pipeline would run it; seconds."""
    from pinrec_core.config import AggregateConfig, LogConfig
    from pinrec_core.logs.aggregate import aggregate_logs

    log = LogConfig(surfaces=SURFACES, positive_actions=ACTIONS[:2], negative_actions=ACTIONS[2:])
    aggregate = AggregateConfig(lookback_days=len(DAYS), eval_days=1, view_gap_s=GAP_S)
    start = time.perf_counter()
    aggregate_logs(str(data / "events"), str(data / "catalog"), output, log=log, aggregate=aggregate, date=DAYS[-1])
    return time.perf_counter() - start


def run_polars(data: Path, output: Path) -> float:
    """The same work as one lazy plan of sorts, shifts and group-bys; seconds."""
    import polars as pl

    start = time.perf_counter()
    column = pl.col
    bits = {"click": 1, "save": 2, "hide": 4, "impression": 0}
    known = (column("user_id").is_not_null() & column("item_id").is_not_null() & (column("item_type") == "pin")
             & column("surface").is_in(SURFACES) & column("action").is_in(list(bits))
             & column("timestamp_ms").is_between(START_MS, START_MS + len(DAYS) * DAY_MS, closed="left"))
    events = (pl.scan_parquet(str(data / "events/*/*.parquet"), hive_partitioning=False).filter(known).select(
        column("user_id").alias("user"), column("item_id").cast(pl.Int32).alias("item"),
        column("surface").replace_strict({"home": 0, "search": 1}, return_dtype=pl.Int8),
        column("action").replace_strict(bits, return_dtype=pl.Int32).alias("bit"), column("timestamp_ms").alias("time"))
        .unique().sort("user", "surface", "time"))
    new = ((column("user") != column("user").shift()) | (column("surface") != column("surface").shift())
           | (column("time").diff() > GAP_S * 1000)).fill_null(True)
    positive = (column("bit") & 3) != 0
    exposures = events.with_columns(feed=new.cum_sum()).group_by("feed", "item").agg(
        column("user").first(), column("surface").first(), column("bit").bitwise_or().alias("actions"),
        column("time").min().alias("first"),
        column("time").filter(positive).min().alias("time")).collect(engine="streaming")
    feeds = exposures.group_by("feed").agg(
        column("user").first(), column("surface").first(), column("first").min().alias("start")).sort(
        "user", "start", "surface").with_columns(view=pl.int_range(pl.len()).over("user"))
    exposures = exposures.join(feeds.select("feed", "view", "start"), on="feed").sort("user", "view", "first", "item")
    output.mkdir()
    (exposures.filter((column("actions") & 3) != 0).sort("user", "time", "view", "first", "item")
     .group_by("user", maintain_order=True).agg(
        "item", "actions", "surface", column("time").alias("timestamp_ms"), "view")
     .write_parquet(output / "sequences.parquet", compression="snappy"))
    (exposures.group_by("feed", maintain_order=True).agg(
        column("user").first(), column("surface").first(), column("view").first(),
        column("start").first().alias("start_ms"), "item", "actions")
     .write_parquet(output / "views.parquet", compression="snappy"))
    return time.perf_counter() - start


_EXPOSURES = f"""
create table exposures as
with events as (
  select distinct user_id as user, item_id::int as item, (surface = 'search')::tinyint as surface,
         case action when 'click' then 1 when 'save' then 2 when 'hide' then 4 else 0 end as bit, timestamp_ms as time
  from read_parquet($events, hive_partitioning = false)
  where user_id is not null and item_id is not null and item_type = 'pin' and surface in ('home', 'search')
    and action in ('click', 'save', 'hide', 'impression')
    and timestamp_ms >= {START_MS} and timestamp_ms < {START_MS + len(DAYS) * DAY_MS}),
paused as (
  select *, coalesce(time - lag(time) over (partition by user, surface order by time) > {GAP_S * 1000}, true) as new
  from events),
feeds as (
  select * exclude new, sum(new::int) over (partition by user, surface order by time, new desc
                                            rows unbounded preceding) as feed from paused)
select user, surface, feed, item, bit_or(bit) as actions, min(time) as first,
       min(time) filter (where bit & 3 <> 0) as time from feeds group by all"""
_VIEWS = """
create table feed_views as
select user, surface, feed, start, row_number() over (partition by user order by start, surface) - 1 as view
from (select user, surface, feed, min(first) as start from exposures group by all)"""
_WRITE_SEQUENCES = """
copy (select user, list(item order by time, view, first, item) as item,
             list(actions order by time, view, first, item) as actions,
             list(e.surface order by time, view, first, item) as surface,
             list(time order by time, view, first, item) as timestamp_ms,
             list(view order by time, view, first, item) as view
      from exposures e join feed_views using (user, surface, feed) where actions & 3 <> 0 group by user)
to '{}' (format parquet, compression snappy)"""
_WRITE_VIEWS = """
copy (select user, surface, view, start as start_ms, list(item order by first, item) as item,
             list(actions order by first, item) as actions
      from exposures join feed_views using (user, surface, feed) group by user, surface, view, start)
to '{}' (format parquet, compression snappy)"""


def run_duckdb(data: Path, output: Path) -> float:
    """The same work in SQL, on an in-memory database; seconds."""
    import duckdb

    start = time.perf_counter()
    output.mkdir()
    database = duckdb.connect()
    database.execute("set preserve_insertion_order = false")
    database.execute(_EXPOSURES, {"events": str(data / "events/*/*.parquet")})
    database.execute(_VIEWS)
    database.execute(_WRITE_SEQUENCES.format(output / "sequences.parquet"))
    database.execute(_WRITE_VIEWS.format(output / "views.parquet"))
    return time.perf_counter() - start


def checksum(output: Path) -> dict[str, int]:
    """Content of an output as counts and wrapped sums of hashes: free of row order, not of order inside lists."""
    result = {}
    for table, owner, lists in (("sequences", (), ("item", "actions", "surface", "timestamp_ms", "view")),
                                ("views", ("surface", "view", "start_ms"), ("item", "actions"))):
        path = output / table
        files = sorted(path.iterdir()) if path.is_dir() else [path.with_suffix(".parquet")]
        result[f"{table}_entries"], result[f"{table}_hash"] = _checksum_table(files, owner, lists)
    return result


def _checksum_table(files: list[Path], owner: tuple[str, ...], lists: tuple[str, ...]) -> tuple[int, int]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    entries, total = 0, 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(1 << 16):
            user = batch.column("user_id" if "user_id" in batch.schema.names else "user").cast(pa.int64())
            parent = pc.list_parent_indices(batch.column(lists[0])).to_numpy()
            first = np.append(True, parent[1:] != parent[:-1])[:len(parent)]
            place = np.arange(len(parent)) - np.maximum.accumulate(np.where(first, np.arange(len(parent)), 0))
            columns = [user.to_numpy()[parent], place]
            columns += [batch.column(name).to_numpy()[parent] for name in owner]
            columns += [pc.list_flatten(batch.column(name)).to_numpy() for name in lists]
            mixed = np.zeros(len(parent), np.uint64)
            for column in columns:
                mixed = (mixed ^ column.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(29)
            entries += len(parent)
            total = (total + int(mixed.sum(dtype=np.uint64))) % 2**64
    return entries, total


def child(arguments: argparse.Namespace) -> None:
    """One measured run, told as JSON on the last line of standard output."""
    seconds = globals()[f"run_{arguments.child}"](arguments.data, arguments.output)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime,
                      "peak_rss_mb": used.ru_maxrss / 1024}))


def measure(engine: str, data: Path, output: Path) -> dict:
    """Run one engine in a fresh process. This process stays small: a child's peak RSS starts at its parent's."""
    command = [sys.executable, __file__, "--child", engine, "--data", str(data), "--output", str(output)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {"engine": engine, **json.loads(lines[-1])}


def compare(events: int, data: Path, engines: list[str]) -> list[dict]:
    """All engines on one log; raises SystemExit if their outputs differ."""
    if not (data / "done").exists():
        shutil.rmtree(data, ignore_errors=True)
        subprocess.run([sys.executable, __file__, "--child", "log", "--events", str(events), "--data", str(data)],
                       check=True)
    results = []
    for engine in engines:
        output = data / f"output-{engine}"
        shutil.rmtree(output, ignore_errors=True)
        results.append({"events": events, **measure(engine, data, output)})
        command = [sys.executable, __file__, "--child", "checksum", "--data", str(data), "--output", str(output)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results[-1] |= {"events_per_s": events / results[-1]["seconds"], "checksum": json.loads(told)}
        shutil.rmtree(output)
    if not all(count for result in results for name, count in result["checksum"].items() if name.endswith("entries")):
        raise SystemExit("an output is empty: there was nothing to compare")
    if any(result["checksum"] != results[0]["checksum"] for result in results):
        raise SystemExit("outputs differ: " + "; ".join(f"{r['engine']} {r['checksum']}" for r in results))
    fastest = max((r["events_per_s"] for r in results if r["engine"] != "pinrec"), default=None)
    for result in results:
        result["of_fastest_other"] = result["events_per_s"] / fastest if fastest else None
    return results


def table(results: list[dict]) -> str:
    """The results as a Markdown table."""
    smallest = {r["engine"]: r["peak_rss_mb"] for r in reversed(results)}
    lines = ["| events | engine | seconds | CPU s | events/s | of the faster other | peak RSS, MB | of its first row |",
             "|---:|---|---:|---:|---:|---:|---:|---:|"]
    for r in results:
        share = f"{r['of_fastest_other']:.2f}x" if r["of_fastest_other"] else "-"
        lines.append(f"| {r['events']:,} | {r['engine']} | {r['seconds']:.1f} | {r['cpu_seconds']:.1f} "
                     f"| {r['events_per_s']:,.0f} | {share} | {r['peak_rss_mb']:.0f} "
                     f"| {r['peak_rss_mb'] / smallest[r['engine']]:.2f}x |")
    return "\n".join(lines)


def main() -> None:
    """Generate, measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="2000000,20000000", help="sizes, separated by commas")
    parser.add_argument("--data", type=Path, help="folder to generate logs in and keep them; default: a temporary one")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--child", choices=[*ENGINES, "log", "checksum"], help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "log":
        generate(int(arguments.events), arguments.data)
        (arguments.data / "done").touch()
    elif arguments.child == "checksum":
        print(json.dumps(checksum(arguments.output)))
    elif arguments.child:
        child(arguments)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            root = arguments.data or Path(scratch)
            results = [result for size in map(int, arguments.events.split(","))
                       for result in compare(size, root / f"events-{size}", arguments.engines.split(","))]
        print(table(results))
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
