"""Many dates: all of them once, again for nothing, in order when they are promoted, around one that fails."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from journey import LOOKBACK, backfill, run, small
from quoted import says

from pinrec_core.registry import read_aliases
from pinrec_core.release.stored import release_manifest


def day(number: int) -> str:
    """The n-th date that can be run: the window before it is there."""
    first = LOOKBACK + number - 1
    return f"2026-01-{first:02}" if first <= 31 else f"2026-02-{first - 31:02}"


@pytest.fixture
def work(month, tmp_path) -> Path:
    """A work folder of the test's own with the small month in it."""
    shutil.copytree(month / "data", tmp_path / "work/data")
    return tmp_path / "work"


@pytest.fixture
def config(tmp_path) -> Path:
    return small(tmp_path, {})


def statuses(results: list[dict]) -> list[str]:
    return [result["status"] for result in results]


def logs_of(work: Path, results: list[dict]) -> list[str]:
    return [(work / "logs" / f"{result['run_id']}.log").read_text("utf-8") for result in results]


def test_thirty_dates(work, config):
    outcome, results = backfill(work, config, day(1), day(30), "--parallel", "2")
    assert outcome.code == 0, outcome.err
    assert [result["date"] for result in results] == [day(n) for n in range(1, 31)]
    assert statuses(results) == 30 * ["ready"]
    assert len({result["releases"][0] for result in results}) == 30, "each date has a release of its own"
    for before, text in zip([None, *results], logs_of(work, results), strict=False):
        assert before is None or f"{LOOKBACK - 1} partitions taken over, 1 new" in text
    assert not (work / "registry/aliases.json").exists(), "nothing is live"
    runs = sorted((work / "registry/runs").iterdir())
    again, repeated = backfill(work, config, day(1), day(30), "--parallel", "2")
    assert again.code == 0, again.err
    assert repeated == [result | {"again": True} for result in results]
    assert sorted((work / "registry/runs").iterdir()) == runs and "start" not in again.err


def test_promotions_go_in_order_and_never_back(work, config):
    outcome, results = backfill(work, config, day(3), day(5), "--promote", "--parallel", "2")
    assert outcome.code == 0, outcome.err
    assert statuses(results) == 3 * ["promoted"]
    registry = str(work / "registry")
    aliases, _ = read_aliases(registry)
    live = [entry["surfaces"]["home"]["live"] for entry in aliases.history]
    assert [release_manifest(registry, release_id).facts["date"] for release_id in live] == [day(3), day(4), day(5)]
    again, repeated = backfill(work, config, day(3), day(5), "--promote")
    assert statuses(repeated) == 3 * ["promoted"] and all(result["again"] for result in repeated)
    refused, _ = backfill(work, config, day(2), day(5), "--promote")
    assert refused.code == 1
    assert f"home: the live release is of {day(5)}, promoting {day(2)} would go back" in refused.err
    says("error: home: the live release is of ..., promoting ... would go back behind it; begin with the day after, or "
         "leave out --promote", refused.err)
    assert read_aliases(registry)[0] == aliases


def test_a_failed_date_stops_what_reads_it_and_a_second_call_does_the_rest(work, config):
    part = next((work / f"data/events/date={day(2)}").iterdir())
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    outcome, results = backfill(work, config, day(1), day(7), "--parallel", "2")
    assert outcome.code == 1
    assert statuses(results) == ["ready", "failed", *(LOOKBACK - 1) * ["not run"], "ready", "ready"]
    assert f"date={day(2)}" in results[1]["sentence"] and results[2]["sentence"] == f"it depends on {day(2)}"
    part.write_bytes(whole)
    again, repeated = backfill(work, config, day(1), day(7))
    assert again.code == 0, again.err
    assert statuses(repeated) == 7 * ["ready"]
    assert [result["again"] for result in repeated] == [True, *4 * [False], True, True]


def test_a_rejected_date_is_no_failure_and_moves_nothing(work, tmp_path):
    config = small(tmp_path, {"gate.floors": {"home": {"recall@50": 1.0}}})
    outcome, results = backfill(work, config, day(1), day(2), "--promote")
    assert outcome.code == 3, outcome.err
    assert Counter(statuses(results)) == {"rejected": 2} and "below its floor" in results[0]["sentence"]
    assert not (work / "registry/aliases.json").exists()
    for result in results:
        message = json.loads((work / "registry/runs" / result["run_id"] / "message.json").read_text("utf-8"))
        assert message["status"] == "rejected" and message["date"] == result["date"]


def test_a_table_is_for_people(work, config):
    outcome, _ = backfill(work, config, day(1), day(1))
    assert outcome.code == 0, outcome.err
    shown = run(work, config, day(1), day(1), command="backfill")
    line = next(line.split() for line in shown.out.splitlines() if line.split()[:1] == [day(1)])
    assert line[1] == "ready" and line[-2:] == ["done", "before"] and 0 <= float(line[2]) <= 1
    assert "nothing to do: all 1 dates were done before" in shown.out
