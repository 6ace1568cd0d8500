"""What a run takes over from an earlier dataset, what it reads again, and what it refuses."""

from __future__ import annotations

import logging
import shutil

import pyarrow.parquet as pq
import pytest
from stages import run_stages

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.aggregation.incremental import shards_of
from pinrec_core.logs.aggregation.job import run_job
from pinrec_core.manifest import Manifest, read_manifest

DAY_S = 86_400
DATES = ("2026-03-01", "2026-03-02", "2026-03-03")


class Daily:
    """A log of three days, aggregated day after day over a window of two; notes which partitions are read."""

    def __init__(self, logbook) -> None:
        self.logbook, self.read = logbook, []
        logbook.add("ann", "a", "click", DAY_S - 10)
        logbook.add("ann", "b", "click", DAY_S + 10)  # 20 s later: the same view, across midnight
        logbook.add("gone", "old", "click", 100)  # a user and an item of the first day only
        logbook.add("bob", "c", "save", DAY_S + 500)
        logbook.add("bob", "c", "save", DAY_S + 500, date="2026-03-03")  # sent again a day late
        logbook.add("cay", "late", "click", DAY_S + 900, date="2026-03-03")  # arrives a day late
        logbook.add("cay", "z", "click", 900, date="2026-03-03")  # two days late
        logbook.add("dan", "z", "click", 2 * DAY_S + 5, date="2026-03-02")  # ahead of its partition
        logbook.add("dan", "z", "click", 2 * DAY_S + 5)
        logbook.write()

    def aggregate(self, output: str, date: str, previous: str = "", log=None, beam=False, **settings) -> Manifest:
        """Run, and note the dates of the partitions that were read."""
        def run(job, tasks, carried):
            self.read = sorted({job.window.dates[task.day] for task in tasks})
            (run_job if beam else run_stages)(job, tasks, carried)

        root = self.logbook.root
        settings = self.logbook.settings | {"lookback_days": 2} | settings
        return aggregate_logs(str(root / "events"), str(root / "catalog"), root / output, log=log or self.logbook.log,
                              aggregate=AggregateConfig(**settings), date=date,
                              previous=previous and str(root / previous), run=run)

    def check(self, read: list[str], **settings) -> None:
        """The third day from the second reads these partitions, and is what a full run gives."""
        fast = self.aggregate("fast", DATES[2], "yesterday", **settings)
        assert self.read == read
        assert fast == self.aggregate("full", DATES[2], **settings)


@pytest.fixture
def daily(logbook) -> Daily:
    """The log, with the dataset of the second day at `yesterday`."""
    log = Daily(logbook)
    log.aggregate("yesterday", DATES[1])
    return log


def test_only_the_new_day_is_read_and_the_outcome_is_that_of_a_full_run(daily) -> None:
    daily.check(read=["2026-03-03"], beam=True)
    users = {row["user_id"]: row for row in daily.logbook.rows("sequences", "fast")}
    assert sorted(users) == ["ann", "bob", "cay", "dan"]  # the first day's user has dropped out of the window
    assert [item["item_id"] for item in daily.logbook.rows("items.parquet", "fast")] == ["a", "b", "c", "late", "z"]
    assert users["ann"]["item"] == [1] and users["bob"]["item"] == [2] and users["dan"]["item"] == [4]
    facts = daily.logbook.statistics("fast")
    assert {name: count for name, count in facts["quarantined_by_reason"].items() if count} == {
        "timestamp_outside_partition": 1}
    assert facts["counts"]["rows_duplicate"] == 2 and facts["rows_by_date"] == {"2026-03-02": 3, "2026-03-03": 1}
    before = daily.logbook.statistics("yesterday")  # where the event ahead of its partition lay beyond the window
    assert before["quarantined_by_reason"]["timestamp_in_future"] == 1
    assert [row["user_id"] for row in daily.logbook.rows("sequences", "yesterday")] != list(users)


def test_an_incremental_dataset_serves_the_next_day_and_outlives_the_one_before(daily) -> None:
    daily.logbook.days["2026-03-04"] = [daily.logbook.days["2026-03-03"][0] | {"timestamp_ms": 1_772_323_200_000
                                                                              + 3 * DAY_S * 1000}]
    daily.logbook.write()
    daily.aggregate("today", DATES[2], "yesterday")
    shutil.rmtree(daily.logbook.root / "yesterday")
    read_manifest(daily.logbook.root / "today" / "state", "aggregation_state")
    fast = daily.aggregate("tomorrow", "2026-03-04", "today")
    assert daily.read == ["2026-03-04"] and fast == daily.aggregate("full", "2026-03-04")


def test_a_longer_window_reads_the_days_it_lacks(daily) -> None:
    daily.check(read=["2026-03-03"], lookback_days=3)
    daily.logbook.write_file(daily.logbook.root / "events/date=2026-02-28/part-0.parquet", [])
    shutil.rmtree(daily.logbook.root / "fast"), shutil.rmtree(daily.logbook.root / "full")
    daily.logbook.days = {"2026-02-28": [daily.logbook.days[DATES[0]][0]]} | daily.logbook.days
    daily.logbook.write()
    daily.check(read=["2026-02-28", "2026-03-03"], lookback_days=4)


@pytest.mark.parametrize("settings", [{"eval_days": 1, "view_gap_s": 5}, {"seed": 9, "heldout_user_share": 0.5},
                                      {"shard_rows": 3, "max_user_events": 1}])
def test_settings_that_do_not_clean_may_change(daily, settings: dict) -> None:
    daily.check(read=["2026-03-03"], **settings)


@pytest.mark.parametrize("settings", [{"shards": 3}, {"max_late_days": 0}, {"timezone": "Asia/Shanghai"}, "log"])
def test_settings_that_clean_make_everything_be_read_again(daily, settings, caplog) -> None:
    if settings == "log":
        settings = {"log": daily.logbook.log.model_copy(update={"positive_actions": ("save", "click")})}
    daily.check(read=["2026-03-02", "2026-03-03"], **settings)
    why = ("are spread over 2 shards, this run needs 3" if "shards" in settings else
           "were cleaned with other settings in [log] or [aggregate]")
    assert f"{why}, so every partition is read again" in caplog.text


def test_chunks_go_through_a_work_folder_elsewhere(daily, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("work")
    daily.check(read=["2026-03-03"], work_uri=str(elsewhere))
    assert not list(elsewhere.iterdir())
    read_manifest(daily.logbook.root / "fast" / "state", "aggregation_state")


def test_an_automatic_number_of_shards_is_that_of_the_day_before_unless_far_off(daily, caplog) -> None:
    many = {"shards": 0, "max_user_events": 0}
    daily.aggregate("many", DATES[1], **many | {"shard_rows": 2})  # 4 shards
    fast = daily.aggregate("fast", DATES[2], "many", **many | {"shard_rows": 3})
    assert daily.read == ["2026-03-03"]
    assert fast.fingerprint == daily.aggregate("full", DATES[2], shards=shards_of(str(daily.logbook.root / "many")),
                                               shard_rows=3, max_user_events=0).fingerprint
    assert not caplog.text.count("read again")
    daily.aggregate("few", DATES[2], "many", **many)
    assert daily.read == ["2026-03-02", "2026-03-03"]
    assert "are spread over 4 shards, this run needs 1, so every partition is read again" in caplog.text


def test_another_release_reads_everything_again(daily, caplog, monkeypatch) -> None:
    monkeypatch.setattr("pinrec_core.__version__", "99.0")
    daily.check(read=["2026-03-02", "2026-03-03"])
    assert "this is 99.0, so every partition is read again" in caplog.text


@pytest.mark.parametrize("change", ["value", "rows", "file", "json"])
def test_a_partition_that_changed_is_read_again(daily, change: str, caplog) -> None:
    caplog.set_level(logging.INFO)
    rows = daily.logbook.days[DATES[1]]
    folder = daily.logbook.root / "events/date=2026-03-02"
    if change == "value":  # as many rows and bytes as before
        size = (folder / "part-0.parquet").stat().st_size
        rows[0]["item_id"] = "a"
    elif change == "rows":
        rows.append(rows[0] | {"item_id": "c"})
    daily.logbook.write()
    if change == "value":
        assert (folder / "part-0.parquet").stat().st_size == size
    elif change == "file":
        pq.write_table(pq.read_table(folder / "part-0.parquet"), folder / "part-1.parquet")
    elif change == "json":
        daily.logbook.write_file(folder / "part-1.jsonl", rows)
    daily.check(read=["2026-03-02", "2026-03-03"])
    assert "changed since they were last read are read again: 2026-03-02" in caplog.text
    assert "0 partitions taken over, 1 new: 2026-03-03" in caplog.text


def test_a_json_partition_that_changed_in_one_byte_is_read_again(daily) -> None:
    folder = daily.logbook.root / "events/date=2026-03-02"
    daily.logbook.write_file(folder / "part-1.jsonl", [{**daily.logbook.days[DATES[1]][0], "item_id": "a"}])
    daily.aggregate("again", DATES[1])
    shutil.rmtree(daily.logbook.root / "yesterday")
    (daily.logbook.root / "again").rename(daily.logbook.root / "yesterday")
    daily.check(read=["2026-03-03"])
    text = (folder / "part-1.jsonl").read_text()
    (folder / "part-1.jsonl").write_text(text.replace('"a"', '"b"'))
    shutil.rmtree(daily.logbook.root / "fast"), shutil.rmtree(daily.logbook.root / "full")
    daily.check(read=["2026-03-02", "2026-03-03"])


def test_a_dataset_without_state_is_said_to_have_none(daily, caplog) -> None:
    kept = daily.aggregate("kept", DATES[1])
    assert daily.aggregate("bare", DATES[1], keep_state=False) == kept  # the state is no part of the dataset
    assert not (daily.logbook.root / "bare" / "state").exists()
    shutil.rmtree(daily.logbook.root / "yesterday")
    (daily.logbook.root / "bare").rename(daily.logbook.root / "yesterday")
    daily.check(read=["2026-03-02", "2026-03-03"])
    assert "keeps no state/, so every partition is read again; set aggregate.keep_state = true" in caplog.text


@pytest.mark.parametrize(("damage", "said"), [
    ("absent", "nowhere/manifest.json: no such file"), ("unsealed", "yesterday/manifest.json: no such file"),
    ("kind", "is a aggregation_state, expected a dataset"), ("altered", "altered: sha256"),
    ("missing", "named in the manifest but missing"), ("stateless", "state: no manifest.json")])
def test_a_previous_that_cannot_be_trusted_is_refused(daily, damage: str, said: str) -> None:
    root, previous = daily.logbook.root, "yesterday"
    chunk = sorted((root / "yesterday/state/date=2026-03-02").glob("*.arrow"))[0]
    if damage == "absent":
        previous = "nowhere"
    elif damage == "unsealed":
        (root / "yesterday/manifest.json").unlink()
    elif damage == "kind":
        previous = "yesterday/state"
    elif damage == "altered":
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
    elif damage == "missing":
        chunk.unlink()
    else:
        (root / "yesterday/state/manifest.json").unlink()
    with pytest.raises(IntegrityError, match=said):
        daily.aggregate("fast", DATES[2], previous)
    assert not (root / "fast").exists() and not list(root.glob(".fast*"))


def test_a_missing_partition_stops_the_run_though_the_state_has_it(daily) -> None:
    shutil.rmtree(daily.logbook.root / "events/date=2026-03-02")
    with pytest.raises(DataError, match="1 of 2 partitions are missing: 2026-03-02"):
        daily.aggregate("fast", DATES[2], "yesterday")


def test_a_lost_chunk_that_was_taken_over_stops_the_run(daily) -> None:
    root = daily.logbook.root
    aggregate = AggregateConfig(**daily.logbook.settings | {"lookback_days": 2})
    with pytest.raises(DataError, match="rows do not add up"):
        aggregate_logs(str(root / "events"), str(root / "catalog"), root / "fast", log=daily.logbook.log,
                       aggregate=aggregate, date=DATES[2], previous=str(root / "yesterday"), run=lose_the_last)
    assert not (root / "fast").exists()


def lose_the_last(job, tasks, carried) -> None:
    """A runner that loses one shard's chunk of those taken over."""
    rows = [chunk for chunk in carried if chunk[0] >= 0]
    run_job(job, tasks, [chunk for chunk in carried if chunk is not rows[-1]])
