"""Killed at a random moment, twenty times: readers find a complete dataset or none, the next run is undisturbed."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest

from pinrec_core.config import AggregateConfig
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.manifest import read_manifest
from pinrec_core.storage import staged_directory

KILLS = 20
DAY_S = 86_400


def test_killed_at_any_moment(logbook, tmp_path: Path) -> None:
    fill(logbook)
    arguments = {"events": str(tmp_path / "events"), "catalog": str(tmp_path / "catalog"), "log": logbook.log,
                 "aggregate": AggregateConfig(**logbook.settings | {"lookback_days": 2}), "date": "2026-03-03"}
    previous = tmp_path / "yesterday"
    yesterday = aggregate_logs(**arguments | {"date": "2026-03-02", "output": previous})
    good = aggregate_logs(**arguments, output=tmp_path / "good")
    pick, output = random.Random(0), tmp_path / "out" / "dataset"
    whole_s = seconds_of(arguments | {"output": output})
    partial, complete = set(), 0
    for kill in range(KILLS):
        shutil.rmtree(output, ignore_errors=True)
        kill_after(pick.uniform(0, whole_s), arguments | {
            "output": output, "previous": str(previous) if kill % 2 else ""})
        partial |= {path.name for path in output.parent.glob(".dataset*")}
        if output.exists():
            assert read_manifest(output, "dataset") == good
            complete += 1
    assert len(partial) >= KILLS // 4, f"{len(partial)} of {KILLS} kills hit a run at work, {complete} came too late"
    shutil.rmtree(output, ignore_errors=True)
    assert aggregate_logs(**arguments, output=output, previous=str(previous)) == good
    assert [path.name for path in output.parent.iterdir()] == ["dataset"]  # nothing of the killed runs is left
    assert read_manifest(previous, "dataset") == yesterday
    read_manifest(previous / "state", "aggregation_state")


def test_a_living_neighbour_keeps_its_staging_folder(tmp_path: Path) -> None:
    abandoned = tmp_path / ".dataset.staging-dead"
    abandoned.mkdir()
    (abandoned / "half").write_text("x")
    mine = tmp_path / ".dataset.backup"
    mine.mkdir()
    with staged_directory(tmp_path / "dataset") as first:
        with pytest.raises(KeyError), staged_directory(tmp_path / "dataset") as second:
            assert first.is_dir() and second != first
            assert not abandoned.exists() and mine.is_dir()
            raise KeyError
        (first / "file").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".dataset.backup", "dataset"]


def fill(logbook) -> None:
    """Enough events that a run takes a while, so that kills land inside it."""
    pick = random.Random(1)
    for _ in range(6000):
        logbook.add(f"user{pick.randrange(300)}", f"item{pick.randrange(500)}", pick.choice(("click", "impression")),
                    pick.randrange(3 * DAY_S), request_id=f"r{pick.randrange(2000)}")
    logbook.write()


def process(arguments: dict) -> multiprocessing.Process:
    """aggregate_logs in a process of its own, which need not import Beam first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pinrec_core.logs.aggregate"])
    return context.Process(target=aggregate_logs, kwargs=arguments)


def seconds_of(arguments: dict) -> float:
    """How long a run takes that is left alone."""
    for _ in range(2):  # the first starts the fork server
        shutil.rmtree(arguments["output"], ignore_errors=True)
        start, run = time.monotonic(), process(arguments)
        run.start()
        run.join()
        assert run.exitcode == 0
    return time.monotonic() - start


def kill_after(seconds: float, arguments: dict) -> None:
    """Start a run and SIGKILL it."""
    run = process(arguments)
    run.start()
    run.join(seconds)
    run.kill()
    run.join()
