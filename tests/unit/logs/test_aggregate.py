"""aggregate_logs end to end on small logs whose outcome is worked out by hand."""

from __future__ import annotations

import json
import shutil

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from quoted import says

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.logs.aggregation.hashing import blake2b_64
from pinrec_core.logs.aggregation.inputs import look_at
from pinrec_core.logs.aggregation.items import normalise_catalog
from pinrec_core.logs.aggregation.job import BuildShards, Job, SpillEvents, run_job
from pinrec_core.logs.aggregation.partitions import plan_reading
from pinrec_core.logs.aggregation.runners import runner_options
from pinrec_core.logs.aggregation.seal import seal
from pinrec_core.logs.aggregation.window import open_window
from pinrec_core.manifest import fingerprint_of_files, read_manifest
from pinrec_core.schemas import ITEMS, SEQUENCES, VIEWS

DAY_S = 86_400
HOME, SEARCH = 0, 1
CLICK, SAVE, HIDE = 1, 2, 4


def fill(logbook) -> None:
    """Two users, three days: a home view by gap, a search view by request, one quarantined and two duplicate rows."""
    add = logbook.add
    add("ann", "a", "impression", 10, position=1)
    add("ann", "b", "impression", 10, position=0)
    add("ann", "a", "click", 20)
    add("ann", "a", "save", 25)
    add("ann", "a", "save", 25)  # the same event twice
    add("ann", "b", "hide", 30)
    add("ann", "c", "click", 95)  # 65 s after the last event: another view; never impressed
    add("bob", "a", "impression", DAY_S + 5, surface="search", request_id="r", context_item_id="shoes")
    add("bob", "z", "impression", DAY_S + 5, surface="search", request_id="r", context_item_id="shoes")
    add("bob", "z", "click", DAY_S + 500, surface="search", request_id="r", context_item_id="shoes")
    add("bob", "shoes", "save", DAY_S + 1, item_type="query")
    add("bob", "b", "click", 2 * DAY_S + 1, context_item_id="nowhere")  # in the evaluation window
    add("bob", "b", "click", 2 * DAY_S + 1, context_item_id="nowhere")
    add(None, "b", "click", 2 * DAY_S + 2)


def test_the_dataset_names_its_input_files(logbook) -> None:
    fill(logbook)
    logbook.write()
    manifest = logbook.aggregate()
    told = json.loads((logbook.root / "dataset" / "inputs.json").read_text())
    assert {date: [(name, rows) for name, _, rows, _ in files] for date, files in told["events"].items()} == {
        "2026-03-01": [("date=2026-03-01/part-0.parquet", 7)], "2026-03-02": [("date=2026-03-02/part-0.parquet", 4)],
        "2026-03-03": [("date=2026-03-03/part-0.parquet", 3)]}
    events = [file for files in told["events"].values() for file in files]
    assert manifest.parents == {name: fingerprint_of_files(files)
                                for name, files in (("events", events), ("catalog", told["catalog"]))}
    assert "inputs.json" in manifest.files


def test_a_small_log_by_hand(logbook) -> None:
    fill(logbook)
    logbook.write()
    manifest = logbook.aggregate()
    assert manifest.counts == {
        "rows_in": 14, "rows_kept": 11, "rows_quarantined": 1, "rows_duplicate": 2, "rows_capped": 0, "users": 2,
        "users_engaged": 2, "exposures": 7, "engagements": 5, "views": 5, "items": 5,
        "items_catalogued": 3, "items_engaged": 5}
    items = logbook.rows("items.parquet")
    assert [item["item_id"] for item in items] == ["a", "b", "c", "shoes", "z"]  # the catalog, then the others by id
    assert [item["train_count"] for item in items] == [1, 0, 1, 1, 1]  # bob's click on b is evaluated, not trained on
    assert [item["item_type"] for item in items] == [0, 0, 0, 1, 0]
    start = open_window("2026-03-03", AggregateConfig(lookback_days=3, eval_days=1)).start_ms
    by_user = {row["user_id"]: row for row in logbook.rows("sequences")}
    assert by_user["ann"] == {
        "user_id": "ann", "split": 0, "item": [0, 2], "actions": [CLICK | SAVE, CLICK], "surface": [HOME, HOME],
        "timestamp_ms": [start + 20_000, start + 95_000], "view": [0, 1]}
    assert by_user["bob"] == {
        "user_id": "bob", "split": 0, "item": [3, 4, 1], "actions": [SAVE, CLICK, CLICK],
        "surface": [HOME, SEARCH, HOME], "view": [0, 1, 2],
        "timestamp_ms": [start + (DAY_S + 1) * 1000, start + (DAY_S + 500) * 1000, start + (2 * DAY_S + 1) * 1000]}
    views = {(row["user_id"], row["view"]): row for row in logbook.rows("views")}
    assert views["ann", 0] == {
        "user_id": "ann", "split": 0, "surface": HOME, "view": 0, "start_ms": start + 10_000, "context_item": -1,
        "item": [1, 0], "actions": [HIDE, CLICK | SAVE], "position": [0, 1]}
    assert views["bob", 1]["context_item"] == 3 and views["bob", 1]["item"] == [0, 4]
    assert views["bob", 1]["actions"] == [0, CLICK] and views["bob", 1]["position"] == [-1, -1]
    assert views["bob", 2]["context_item"] == -1  # a context that is no item
    quarantine = logbook.rows("quarantine")
    assert [(row["file"], row["row"], row["reason"]) for row in quarantine] == [
        ("date=2026-03-03/part-0.parquet", 2, "null_user_id")]


def test_statistics_by_hand(logbook) -> None:
    fill(logbook)
    for row in logbook.days["2026-03-01"]:
        row["mood"] = "good"
    logbook.write()
    logbook.aggregate()
    facts = logbook.statistics()
    assert facts["rows_by_date"] == {"2026-03-01": 6, "2026-03-02": 4, "2026-03-03": 1}
    assert facts["rows_by_surface_and_action"] == {
        "home": {"click": 3, "save": 2, "hide": 1, "impression": 2},
        "search": {"click": 1, "save": 0, "hide": 0, "impression": 2}}
    assert facts["rows_by_date_surface_and_action"]["2026-03-02"] == {
        "home": {"click": 0, "save": 1, "hide": 0, "impression": 0},
        "search": {"click": 1, "save": 0, "hide": 0, "impression": 2}}
    assert facts["rows_by_date_surface_and_item_type"]["2026-03-02"]["home"] == {"pin": 0, "query": 1}
    assert facts["days"] == {
        "2026-03-01": {"users": 1, "items_about": 3, "rows_new_items": 6, "top_items": {"a": 3, "b": 2, "c": 1}},
        "2026-03-02": {"users": 1, "items_about": 3, "rows_new_items": 3, "top_items": {"z": 2, "a": 1, "shoes": 1}},
        "2026-03-03": {"users": 1, "items_about": 1, "rows_new_items": 0, "top_items": {"b": 1}}}
    assert facts["quantiles"]["events_per_user"] == {
        "min": 5, "p1": 5, "p25": 5, "p50": 5, "p75": 6, "p90": 6, "p99": 6, "max": 6}
    assert facts["quantiles"]["items_per_view"]["max"] == 2
    assert facts["quantiles"]["seconds_between_events"]["max"] == pytest.approx(DAY_S - 499, rel=0.016)
    assert facts["rows_out_of_order"] == 1  # bob's search for shoes
    assert facts["views_by_surface"] == {"home": 4, "search": 1}
    assert facts["engagements_in_training_by_surface"] == {"home": 3, "search": 1}
    assert facts["positives_in_training_by_surface_and_action"] == {
        "home": {"click": 2, "save": 2}, "search": {"click": 1, "save": 0}}
    assert facts["items_engaged_uncatalogued"] == 2 and facts["uncatalogued_examples"] == ["shoes", "z"]
    assert facts["rows_context_unknown"] == 1
    assert facts["null_share"] == {"request_id": 11 / 14, "position": 12 / 14, "context_item_id": 9 / 14}
    assert {name: n for name, n in facts["quarantined_by_reason"].items() if n} == {"null_user_id": 1}
    assert json.loads(facts["quarantine_examples"]["null_user_id"][0]["record"])["item_id"] == "b"
    assert facts["extra_columns"] == {"mood": 1} and any("mood" in warning for warning in facts["warnings"])


def test_the_dataset_is_what_it_says(logbook) -> None:
    fill(logbook)
    logbook.write()
    logbook.aggregate()
    path = logbook.root / "dataset"
    manifest = read_manifest(path, "dataset")
    assert manifest.facts["train_end_ms"] - manifest.facts["start_ms"] == 2 * DAY_S * 1000
    assert manifest.facts["eval_end_ms"] - manifest.facts["train_end_ms"] == DAY_S * 1000
    for name, schema in (("items.parquet", ITEMS), ("sequences", SEQUENCES), ("views", VIEWS)):
        files = [path / name] if name.endswith("parquet") else sorted((path / name).iterdir())
        assert files and all(pq.read_schema(file).equals(schema) for file in files)
    assert not list(path.glob(".*")) and not list(logbook.root.glob(".dataset*"))  # no work folder stays behind


def test_ids_and_formats_do_not_change_the_dataset(logbook) -> None:
    number = {"ann": 1, "bob": 20, "a": 5, "b": 6, "c": 7, "z": 8, "shoes": 99, "nowhere": 1000, "r": 3}
    ids = ("user_id", "item_id", "context_item_id", "request_id")
    fill(logbook)
    digests = {}
    for name, convert in (("integers", lambda value: number.get(value)),
                          ("texts", lambda value: None if value is None else str(number[value]))):
        copy = type(logbook)(logbook.root / name)
        copy.days = {date: [row | {key: convert(row[key]) for key in ids if key in row} for row in rows]
                     for date, rows in logbook.days.items()}
        copy.catalog = [row | {"item_id": convert(row["item_id"])} for row in logbook.catalog]
        for suffix in (".parquet", ".jsonl"):
            shutil.rmtree(copy.root, ignore_errors=True)
            copy.write(suffix)
            files = copy.aggregate().files
            digests[name, suffix] = {file: entry.sha256 for file, entry in files.items()
                                     if file.startswith(("items", "sequences", "views"))}
    assert len(digests["texts", ".jsonl"]) > 2
    assert all(digest == digests["texts", ".parquet"] for digest in digests.values())


def test_two_runs_give_one_fingerprint_and_another_runner_the_same(logbook) -> None:
    fill(logbook)
    logbook.write()
    prints = {logbook.aggregate("one").fingerprint, logbook.aggregate("two").fingerprint,
              logbook.aggregate("three", runner_options=("--direct_running_mode=in_memory",
                                                         "--direct_num_workers=2")).fingerprint}
    assert len(prints) == 1
    assert logbook.aggregate("four", view_gap_s=61).fingerprint not in prints


def test_the_catalog_becomes_features(logbook) -> None:
    logbook.catalog = [
        {"item_id": "b", "item_type": "pin", "content": [1.0, 2.0], "attributes": ["red", None, "blue"], "title": "B"},
        {"item_id": "a", "item_type": "pin", "content": None, "attributes": None, "created_ms": 5},
        {"item_id": "b", "item_type": "query", "title": "again"}, {"item_id": "u", "item_type": "user"}]
    logbook.add("ann", "new", "click", 1, item_type="query")
    logbook.add("ann", "b", "click", 1, item_type="query")  # the catalog knows better
    logbook.write()
    manifest = logbook.aggregate()
    first, second, new = logbook.rows("items.parquet")
    red, blue = blake2b_64(["red", "blue"]).tolist()
    assert first == {"item_id": "b", "item_type": 0, "id_hash": blake2b_64(["b"])[0], "content": [1.0, 2.0],
                     "attributes": [red, blue], "title": "B", "created_ms": None, "train_count": 1}
    assert (second["content"], second["attributes"], second["created_ms"]) == (None, [], 5)
    assert (new["item_id"], new["item_type"], new["attributes"]) == ("new", 1, [])
    assert manifest.facts["content_dim"] == 2
    facts = logbook.statistics()
    assert (facts["catalog"]["duplicate_rows"], facts["catalog"]["foreign_rows"]) == (1, 1)
    assert facts["rows_item_type_differs"] == 1


def test_only_train_users_before_the_evaluation_window_make_train_counts(logbook) -> None:
    for user in range(60):
        logbook.add(f"user{user}", "a", "click", 10)
        logbook.add(f"user{user}", "b", "click", 2 * DAY_S + 10)
    logbook.write()
    logbook.aggregate(validation_user_share=0.3, heldout_user_share=0.3)
    splits = [row["split"] for row in logbook.rows("sequences")]
    assert min(splits.count(code) for code in (0, 1, 2)) > 5
    assert [item["train_count"] for item in logbook.rows("items.parquet")] == [splits.count(0), 0, 0]


def test_duplicates_are_found_across_files_and_days(logbook) -> None:
    logbook.add("ann", "a", "click", DAY_S - 1)
    logbook.add("ann", "a", "click", DAY_S - 1, date="2026-03-02")  # sent again the next day
    logbook.add("ann", "a", "click", DAY_S)
    logbook.write()
    logbook.write_file(logbook.root / "events" / "date=2026-03-01" / "again.jsonl", logbook.days["2026-03-01"])
    counts = logbook.aggregate().counts
    assert (counts["rows_in"], counts["rows_duplicate"], counts["rows_kept"]) == (4, 2, 2)
    assert logbook.statistics()["rows_by_date"] == {"2026-03-01": 1, "2026-03-02": 1, "2026-03-03": 0}


def test_a_day_without_events_is_a_warning(logbook) -> None:
    logbook.add("ann", "a", "click", 5)
    logbook.write()
    logbook.aggregate()
    assert "partition 2026-03-02 has 0 rows" in logbook.statistics()["warnings"]


def test_quarantined_rows_are_all_counted_even_if_not_all_are_stored(logbook) -> None:
    logbook.add("ann", "a", "click", 5)
    for _ in range(1500):
        logbook.add("ann", "a", "teleport", 5)
    logbook.write()
    assert logbook.aggregate().counts["rows_quarantined"] == 1500
    assert len(logbook.rows("quarantine")) == 1000
    assert len(logbook.statistics()["quarantine_examples"]["unknown_action"]) == 5


def staged(logbook) -> tuple[Job, object, object, list]:
    """A job in a folder of its own, so that a test can interfere between its stages."""
    fill(logbook)
    logbook.write()
    aggregate = AggregateConfig(**logbook.settings)
    inputs = look_at(str(logbook.root / "events"), str(logbook.root / "catalog"), open_window("2026-03-03", aggregate))
    job = Job(logbook.log, aggregate, inputs.window, str(logbook.root / "out" / ".work"), str(logbook.root / "out"))
    facts = normalise_catalog(inputs.catalog, job.log, job.path("catalog.parquet"))
    return job, inputs, facts, plan_reading(inputs.events)


def _second_task_only(keyed) -> bool:
    return "date=2026-03-02" in keyed[1].path


def test_chunks_lost_by_the_runner_stop_the_run(logbook) -> None:
    job, inputs, facts, tasks = staged(logbook)
    with beam.Pipeline(options=runner_options(job.aggregate)) as pipeline:
        chunks = pipeline | beam.Create(tasks) | SpillEvents(job)
        _ = chunks | "Lose some" >> beam.Filter(_second_task_only) | BuildShards(job)
    with pytest.raises(DataError, match=r"14 in, but 4 kept \+ 1 quarantined \+ 0 duplicates .*= 5; 13 rows were sent"):
        seal(job, inputs, facts, tasks)
    assert not (logbook.root / "out" / "manifest.json").exists()


@pytest.mark.parametrize("lost", ["shards", "tasks"])
def test_a_lost_report_stops_the_run(logbook, lost: str) -> None:
    job, inputs, facts, tasks = staged(logbook)
    run_job(job, tasks)
    sorted((logbook.root / "out" / ".work" / lost).iterdir())[0].unlink()
    with pytest.raises(DataError, match="rows do not add up: 14 in") as raised:
        seal(job, inputs, facts, tasks)
    says("error: rows do not add up: ...", raised.value)


def test_a_taken_output_is_refused_before_any_work(logbook) -> None:
    (logbook.root / "dataset").mkdir()
    (logbook.root / "dataset" / "precious").write_text("keep me")
    with pytest.raises(IntegrityError, match="already exists"):
        logbook.aggregate()
    assert [path.name for path in (logbook.root / "dataset").iterdir()] == ["precious"]
