"""A small event log that tests fill row by row and aggregate."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.manifest import Manifest
from pinrec_core.schemas import EVENTS

DATES = ("2026-03-01", "2026-03-02", "2026-03-03")
START_MS = 1_772_323_200_000  # 2026-03-01T00:00:00Z
DAY_S = 86_400


class Logbook:
    """Three days of events and a catalog, written where and how a test wants them."""

    log = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                    item_types=("pin", "query"), retrievable_types=("pin",))
    settings = {"lookback_days": 3, "eval_days": 1, "shards": 2, "view_gap_s": 60, "validation_user_share": 0.0,
                "heldout_user_share": 0.0}

    def __init__(self, root: Path) -> None:
        self.root = root
        self.days: dict[str, list[dict]] = {date: [] for date in DATES}
        self.catalog: list[dict] = [{"item_id": name, "item_type": "pin"} for name in ("a", "b", "c")]

    def add(self, user: object, item: object, action: object, at_s: float, **columns: object) -> None:
        """An event `at_s` seconds after the window's start, in its day's partition unless `date` names another."""
        date = columns.pop("date", DATES[min(max(int(at_s // DAY_S), 0), 2)])
        self.days[date].append({"user_id": user, "item_id": item, "item_type": "pin", "surface": "home",
                                "action": action, "timestamp_ms": START_MS + int(at_s * 1000)} | columns)

    def write(self, suffix: str = ".parquet") -> None:
        """Write all partitions and the catalog."""
        for date, rows in self.days.items():
            self.write_file(self.root / "events" / f"date={date}" / f"part-0{suffix}", rows)
        self.write_file(self.root / "catalog" / f"part-0{suffix}", self.catalog)

    @staticmethod
    def write_file(path: Path, rows: list[dict]) -> None:
        """Write rows as Parquet or JSON Lines; a file without rows has the required columns."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif rows:
            names = list(dict.fromkeys(name for row in rows for name in row))
            pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
        else:
            pq.write_table(pa.schema([EVENTS.field(i) for i in range(6)]).empty_table(), path)

    def aggregate(self, output: str = "dataset", **settings: object) -> Manifest:
        """Run aggregate_logs on what has been written."""
        return aggregate_logs(
            str(self.root / "events"), str(self.root / "catalog"), self.root / output, log=self.log,
            aggregate=AggregateConfig(**(self.settings | settings)), date=DATES[-1])

    def rows(self, table: str, output: str = "dataset") -> list[dict]:
        """All rows of a table of the dataset, shards in order."""
        path = self.root / output / table
        files = sorted(path.glob("part-*")) if path.is_dir() else [path]
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def statistics(self, output: str = "dataset") -> dict:
        """statistics.json of the dataset."""
        return json.loads((self.root / output / "statistics.json").read_text())


@pytest.fixture(scope="session")
def new_logbook() -> type[Logbook]:
    """For tests that need a log at a place, or for a time, of their own."""
    return Logbook


@pytest.fixture
def logbook(tmp_path: Path) -> Logbook:
    """An empty log of three days (2026-03-01 to 03, the last evaluated on) with a catalog of pins a, b and c."""
    return Logbook(tmp_path)
