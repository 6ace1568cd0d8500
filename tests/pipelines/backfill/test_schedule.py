"""Dates in processes of their own: one that dies is a failed date, and the folder is held as long as one lives."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pinrec_core.config import Config
from pinrec_core.errors import ConflictError
from pipelines.backfill.plan import plan_date
from pipelines.backfill.result import DateStatus
from pipelines.backfill.schedule import Backfill, Settings
from pipelines.work_lock import only_one

ROOT = Path(__file__).parents[3]
CONFIG = Config.load(ROOT / "pipelines/configs/tiny.toml")

KILLED = """
import sys
from pathlib import Path
from pinrec_core.config import Config
from pipelines.backfill.plan import plan_date
from pipelines.backfill.schedule import Backfill, Settings
from pipelines.places import Places
from pipelines.work_lock import only_one
work, python = Path(sys.argv[1]), sys.argv[2]
config = Config.load("pipelines/configs/tiny.toml")
with only_one(work) as lock:
    plan = [plan_date("2026-01-08", config, Places.of(config, work, "", "", ""), go_live=False)]
    Backfill(plan, Settings(work, lock, python, 1, False, 8, lambda line: None)).run()
"""


def run(places, dates: list[str], python: str = sys.executable, **changes) -> tuple[list, list[str]]:
    """Results and what was told."""
    told = []
    plan = [plan_date(date, CONFIG, places, go_live=False) for date in dates]
    with only_one(places.work) as lock:
        settings = Settings(work=places.work, lock=lock, python=python, parallel=2, go_live=False,
                            lookback_days=CONFIG.aggregate.lookback_days, tell=told.append)
        return Backfill(plan, settings._replace(**changes)).run(), told


def test_a_process_that_dies_is_a_failed_date_and_stops_those_that_depend_on_it(places):
    (places.work / "logs").write_text("in the way of the folder of that name")
    results, told = run(places, ["2026-01-08", "2026-01-09"])
    assert [result.status for result in results] == [DateStatus.FAILED, DateStatus.NOT_RUN]
    assert "its process ended with exit code 1" in results[0].sentence
    assert results[1].sentence == "it depends on 2026-01-08"
    assert told[0] == "2026-01-08  start" and told[1].startswith("2026-01-08  failed")


def test_a_run_that_does_not_start_is_a_failed_date(places):
    results, _ = run(places, ["2026-01-08"], python=str(places.work / "no-such-python"))
    assert results[0].status is DateStatus.FAILED and results[0].sentence


def test_the_folder_is_held_until_the_last_date_has_ended_even_if_the_backfill_is_killed(places, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {begun}\nwhile [ ! -e {go} ]; do sleep 0.05; done\nexit 1\n")
    python.chmod(0o700)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(places.work), str(python)], cwd=ROOT)
    assert eventually(begun.exists)
    process.kill()
    process.wait()
    with pytest.raises(ConflictError, match=f"process {process.pid} of "), only_one(places.work):
        pass
    go.touch()
    assert eventually(lambda: free(places.work))


def free(work: Path) -> bool:
    try:
        with only_one(work):
            return True
    except ConflictError:
        return False


def eventually(condition) -> bool:
    for _ in range(2400):
        if condition():
            return True
        time.sleep(0.05)
    return False
