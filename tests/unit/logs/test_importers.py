"""Importers: flags become events by hand, rows in == rows out, every mistake gets a message that says what to do."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from pinrec_core.errors import ConfigError, DataError, IntegrityError
from pinrec_core.logs.importers import (
    CatalogMapping,
    EventMapping,
    TimeUnit,
    import_amazon,
    import_events,
    import_kuairand,
    reading,
)
from pinrec_core.logs.importers.amazon import read_reviews
from pinrec_core.logs.importers.event_writer import PartitionWriter, local_days
from pinrec_core.schemas import CATALOG, EVENTS

DATA = Path(os.environ.get("PINREC_DATA", Path(__file__).parents[4] / "shared" / "data"))
FLAGS = ["is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view", "is_profile_enter"]
NOON = 1_650_945_600_000  # 2022-04-26 12:00 in China, 04:00 UTC


def read_log(dst: Path) -> list[dict]:
    return pads.dataset(dst / "events", format="parquet").to_table().to_pylist()


def read_catalog(dst: Path) -> dict[str, dict]:
    return {row["item_id"]: row for row in pq.read_table(dst / "catalog" / "part-00000.parquet").to_pylist()}


def days(dst: Path) -> list[str]:
    return sorted(folder.name.removeprefix("date=") for folder in (dst / "events").iterdir())


# ---- KuaiRand

def kuairand_tables() -> tuple[pa.Table, pa.Table]:
    """Three impressions (ignored; click + long view on the same day; hate a day later) and two videos."""
    flags = {name: [0, 0, 0] for name in FLAGS} | {"is_click": [0, 1, 0], "long_view": [0, 1, 0], "is_hate": [0, 0, 1]}
    log = pa.table({"user_id": [7, 7, 8], "video_id": [1, 2, 1], "date": [20220426, 20220426, 20220428],
                    "time_ms": [NOON, NOON + 1000, NOON + 2 * 86_400_000], "tab": [1, 1, 14], **flags})
    videos = pa.table({"video_id": [1, 2], "author_id": [50, 51], "video_type": ["NORMAL", "AD"],
                       "upload_dt": ["2022-04-10", "2022-04-11"], "upload_type": ["Web", "Kmovie"],
                       "video_duration": [12_000.0, None], "music_id": [9, 0], "tag": ["39,4", "unknown"]})
    return log, videos


def write_kuairand(folder: Path, kind: str, log: pa.Table, videos: pa.Table) -> Path:
    folder.mkdir(parents=True)
    for name, table in (("log_standard_a_pure", log), ("video_features_basic_pure", videos)):
        if kind == "csv":
            pacsv.write_csv(table, folder / f"{name}.csv")
        else:
            pq.write_table(table, folder / f"{name}.parquet")
    return folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_kuairand_flags_become_events(tmp_path: Path, kind: str):
    src = write_kuairand(tmp_path / "KuaiRand-Pure" / "data", kind, *kuairand_tables())
    counts = import_kuairand(src.parent if kind == "csv" else src, tmp_path / "out")
    found = [(r["user_id"], r["item_id"], r["surface"], r["action"], r["timestamp_ms"] - NOON)
             for r in read_log(tmp_path / "out")]
    assert sorted(found) == sorted([
        ("7", "1", "tab1", "impression", 0), ("7", "2", "tab1", "impression", 1000), ("7", "2", "tab1", "click", 1000),
        ("7", "2", "tab1", "long_view", 1000), ("8", "1", "tab14", "impression", 172_800_000),
        ("8", "1", "tab14", "hate", 172_800_000)])
    assert days(tmp_path / "out") == ["2022-04-26", "2022-04-27", "2022-04-28"]  # the empty day is there too
    assert (counts["log_rows"], counts["rows_written"], counts["empty_days"]) == (3, 6, 1)


def test_kuairand_catalog_is_readable(tmp_path: Path):
    src = write_kuairand(tmp_path / "src", "csv", *kuairand_tables())
    import_kuairand(src, tmp_path / "out")
    assert pq.read_schema(tmp_path / "out/catalog/part-00000.parquet").equals(CATALOG)
    one, two = (read_catalog(tmp_path / "out")[key] for key in "12")
    assert one["title"] == "video 1, tag 39,4, 12 s" and two["title"] == "video 2"
    assert one["attributes"] == ["author:50", "tag:39", "tag:4", "music:9", "type:NORMAL", "upload:Web",
                                 "duration:<15s"]
    assert two["attributes"] == ["author:51", "type:AD", "upload:Kmovie"]
    assert one["created_ms"] == 1_649_520_000_000  # 2022-04-09 16:00 UTC is midnight in China


def test_kuairand_history_keeps_its_order_and_stays_in_the_past(tmp_path: Path):
    src = write_kuairand(tmp_path / "src", "parquet", *kuairand_tables())
    pq.write_table(pa.table({"user_id": [7] * 3, "pos": [-2, -3, -1], "video_id": [1, 2, 2], "long_view": [1, 0, 0],
                             "is_like": [1, 0, 0], "last_time_ms": [NOON - 10] * 3}), src / "history_to_24apr.parquet")
    counts = import_kuairand(src, tmp_path / "out")
    past = sorted((r["timestamp_ms"], r["item_id"], r["action"]) for r in read_log(tmp_path / "out")
                  if r["surface"] == "past")
    assert [(item, action) for _, item, action in past] == [
        ("2", "impression"), ("1", "impression"), ("1", "like"), ("1", "long_view"), ("2", "impression")]
    assert past[-1][0] == NOON - 10 and past[0][0] < past[1][0] == past[2][0] < past[-1][0]
    assert counts["history_rows"] == 3 and counts["rows_written"] == 6 + 5


def test_kuairand_counts_dates_that_are_not_the_timestamps(tmp_path: Path):
    log, videos = kuairand_tables()
    log = log.set_column(log.column_names.index("date"), "date", pa.array([20220426, 20220425, 20220501]))
    src = write_kuairand(tmp_path / "src", "parquet", log, videos)
    assert import_kuairand(src, tmp_path / "out")["rows_far_off"] == 1  # one day off is tolerated, three are not


@pytest.mark.parametrize(("column", "values", "message"), [
    ("is_like", [0, 2, 0], "'is_like' must hold 0 or 1"),
    ("date", [20220426, 20221399, 20220426], "must read like 20220425"),
    ("time_ms", [NOON, None, NOON], "'time_ms' has 1 empty"),
])
def test_kuairand_refuses_impossible_values(tmp_path: Path, column: str, values: list, message: str):
    log, videos = kuairand_tables()
    log = log.set_column(log.column_names.index(column), column, pa.array(values))
    src = write_kuairand(tmp_path / "src", "csv", log, videos)
    with pytest.raises(DataError, match=message):
        import_kuairand(src, tmp_path / "out")
    assert os.listdir(tmp_path) == ["src"]  # nothing is left of a failed import


def test_kuairand_names_what_is_missing(tmp_path: Path):
    with pytest.raises(DataError, match=r"no log_standard_\*"):
        import_kuairand(tmp_path, tmp_path / "out")
    log, videos = kuairand_tables()
    renamed = log.rename_columns([{"video_id": "videoid"}.get(name, name) for name in log.column_names])
    src = write_kuairand(tmp_path / "src", "csv", renamed, videos)
    with pytest.raises(DataError, match="no column 'video_id'; did you mean 'videoid'"):
        import_kuairand(src, tmp_path / "out")


def test_real_kuairand(tmp_path: Path):
    src = DATA / "kuairand"
    if not src.is_dir():
        pytest.skip(f"{src} is not there; set PINREC_DATA to the folder that holds kuairand/")
    counts = import_kuairand(src, tmp_path / "out")
    log = pq.read_table(src / "log_standard_25apr_to_5may.parquet")
    history = pq.read_table(src / "history_to_24apr.parquet")
    flags = {name: int(log[name].to_numpy().sum()) for name in FLAGS}
    past = {name: int(history[name].to_numpy().sum()) for name in ("long_view", "is_like")}
    assert counts["impression"] == log.num_rows + history.num_rows
    assert counts["long_view"] == flags["long_view"] + past["long_view"]
    assert counts["rows_written"] == counts["impression"] + sum(flags.values()) + sum(past.values())
    assert counts["rows_far_off"] == 0
    assert days(tmp_path / "out")[0] == "2022-04-09" and days(tmp_path / "out")[-1] == "2022-05-05"
    assert len(days(tmp_path / "out")) == 27


# ---- Amazon

def write_amazon(folder: Path, **columns) -> Path:
    folder.mkdir(parents=True)
    table = {"user": [1, 1, 1, 2, 2], "item": [5, 6, 7, 5, 8], "pos": [0, 1, 2, 0, 1],
             "since_first_s": [0, 0, 86_400, 0, 86_400], "timestamp": [1_000_000_000, 1_000_000_000, None, None, None],
             "split": ["train", "valid", "test", "valid", "test"], **columns}
    pq.write_table(pa.table(table), folder / "interactions.parquet")
    with gzip.open(folder / "items.csv.gz", "wt") as file:
        file.write("item,asin,text,attributes\n5,A,nail polish,173 1\n6,B,,2\n7,C,soap,\n8,D,comb,3\n")
    return folder


def test_amazon_times_are_strict_and_reconstructed(tmp_path: Path):
    counts = import_amazon(write_amazon(tmp_path / "src"), tmp_path / "out")
    rows = sorted((r["user_id"], r["timestamp_ms"] - 1_000_000_000_000, r["item_id"])
                  for r in read_log(tmp_path / "out"))
    assert rows == [("1", 0, "5"), ("1", 1, "6"), ("1", 86_400_000, "7"),  # tie: + 1 ms; null: from since_first_s
                    ("2", 0, "5"), ("2", 86_400_000, "8")]  # no time at all: the median first time
    assert (counts["rows_read"], counts["rows_written"], counts["users"], counts["items"]) == (5, 5, 2, 4)
    splits = pq.read_table(tmp_path / "out" / "splits.parquet").to_pylist()
    assert splits[2] == {"user_id": "1", "item_id": "7", "pos": 2, "split": "test"} and len(splits) == 5
    catalog = read_catalog(tmp_path / "out")
    assert catalog["5"]["attributes"] == ["group:173", "group:1"] and catalog["7"]["attributes"] == []
    assert (catalog["5"]["title"], catalog["6"]["title"]) == ("nail polish", None)


def test_amazon_order_survives_times_that_step_back(tmp_path: Path):
    src = write_amazon(tmp_path / "src", timestamp=[1_000_000_500, 1_000_000_000, 1_000_000_000, 999_999_005,
                                                    999_999_004])
    import_amazon(src, tmp_path / "out")
    times = {(r["user_id"], r["item_id"]): r["timestamp_ms"] for r in read_log(tmp_path / "out")}
    assert [times["1", item] - 1_000_000_500_000 for item in "567"] == [0, 1, 2]
    assert [times["2", item] - 999_999_005_000 for item in "58"] == [0, 1]


def test_amazon_text_file_alone(tmp_path: Path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Beauty.txt").write_text("1 5 6 7 9\n2 5 8\n")
    counts = import_amazon(tmp_path / "src", tmp_path / "out")
    splits = [(r["user_id"], r["item_id"], r["split"])
              for r in pq.read_table(tmp_path / "out" / "splits.parquet").to_pylist()]
    assert splits == [("1", "5", "train"), ("1", "6", "train"), ("1", "7", "valid"), ("1", "9", "test"),
                      ("2", "5", "valid"), ("2", "8", "test")]
    assert (counts["rows_written"], counts["days"], counts["items"]) == (6, 4, 5)
    (tmp_path / "src" / "Beauty.txt").write_text("1 5 6\n2 five\n")
    with pytest.raises(DataError, match="line 2 reads '2 five'"):
        import_amazon(tmp_path / "src", tmp_path / "again")


def test_amazon_refuses_a_gap_in_positions(tmp_path: Path):
    with pytest.raises(DataError, match="positions of user 1 do not count up"):
        import_amazon(write_amazon(tmp_path / "src", pos=[0, 1, 3, 0, 1]), tmp_path / "out")


def test_real_amazon_matches_the_published_sequences():
    src = DATA / "amazon" / "Beauty"
    if not src.is_dir():
        pytest.skip(f"{src} is not there; set PINREC_DATA to the folder that holds amazon/")
    reviews, time = read_reviews(src)
    user, item = (reviews[name].to_numpy(zero_copy_only=False) for name in ("user_id", "item_id"))
    assert (np.diff(time)[user[1:] == user[:-1]] > 0).all()
    starts = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
    sequences = {user[a]: item[a:b].tolist() for a, b in zip(starts, [*starts[1:], len(user)], strict=True)}
    lines = [line.split() for line in (src / "Beauty.txt").read_text().splitlines()]
    assert sequences == {line[0]: line[1:] for line in lines} and reviews.num_rows == 198_502


# ---- any table

ROWS = [{"uid": 1, "pin": "007", "when": "2026-03-01T23:30:00Z", "what": "click", "rank": 0},
        {"uid": 1, "pin": "008", "when": "2026-03-02T08:30:00.250", "what": "impression", "rank": None},
        {"uid": 2, "pin": "007", "when": "2026-03-04 00:00:00+08:00", "what": "click", "rank": 3}]
MAPPING = EventMapping(user_id="uid", item_id="pin", timestamp="when", timestamp_unit=TimeUnit.ISO,
                       timezone="Asia/Shanghai", action="what", surface_constant="home", item_type_constant="pin",
                       position="rank")


def write_rows(path: Path, rows: list[dict]) -> Path:
    if ".json" in path.name:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        pacsv.write_csv(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_events_of_every_kind(tmp_path: Path, name: str):
    counts = import_events(write_rows(tmp_path / name, ROWS), tmp_path / "out", MAPPING)
    rows = sorted(read_log(tmp_path / "out"), key=lambda r: r["timestamp_ms"])
    assert [(r["user_id"], r["item_id"], r["action"], r["position"]) for r in rows] == [
        ("1", "007", "click", 0), ("1", "008", "impression", None), ("2", "007", "click", 3)]
    # 23:30 UTC; 08:30:00.250 in China, an hour later; midnight in China
    assert [r["timestamp_ms"] for r in rows] == [1_772_407_800_000, 1_772_411_400_250, 1_772_553_600_000]
    assert {(r["surface"], r["item_type"], r["request_id"]) for r in rows} == {("home", "pin", None)}
    assert days(tmp_path / "out") == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert (counts["rows_read"], counts["rows_written"], counts["empty_days"], counts["items"]) == (3, 3, 1, 2)
    part = next((tmp_path / "out" / "events" / "date=2026-03-02").iterdir())
    assert pq.read_schema(part).names == EVENTS.names and pq.read_schema(part).types == EVENTS.types


@pytest.mark.parametrize(("unit", "text"), [("s", "1772411400.25"), ("ms", "1772411400250"),
                                            ("us", "1772411400250999")])
@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_time_units(tmp_path: Path, unit: str, text: str, name: str):
    value = text if name == "log.csv" else float(text) if unit == "s" else int(text)
    row = {"user_id": 1, "item_id": 2, "item_type": "pin", "surface": "home", "action": "click", "t": value}
    mapping = EventMapping(timestamp="t", timestamp_unit=unit)
    import_events(write_rows(tmp_path / name, [row]), tmp_path / "out", mapping)
    assert [r["timestamp_ms"] for r in read_log(tmp_path / "out")] == [1_772_411_400_250]


def test_timestamp_columns_need_no_unit(tmp_path: Path):
    rows = {"user_id": ["a"], "item_id": ["b"], "item_type": ["pin"], "surface": ["home"], "action": ["click"]}
    naive = pa.array([1_772_411_400_000_000], pa.timestamp("us"))
    pq.write_table(pa.table({**rows, "timestamp_ms": naive}), tmp_path / "log.parquet")
    import_events(tmp_path / "log.parquet", tmp_path / "out", EventMapping(timezone="Asia/Shanghai"))
    assert [r["timestamp_ms"] for r in read_log(tmp_path / "out")] == [1_772_411_400_000 - 8 * 3_600_000]


def test_a_folder_of_files_with_a_catalog(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "log").mkdir()
    write_rows(tmp_path / "log" / "a.csv", ROWS[:1])
    write_rows(tmp_path / "log" / "b.jsonl", ROWS[1:])
    (tmp_path / "log" / "notes.docx").write_text("?")
    write_rows(tmp_path / "log" / "items.jsonl", [
        {"id": "007", "kind": "pin", "vector": [0.5, 1], "tags": "a| b", "name": "tea"},
        {"id": "008", "kind": "pin", "vector": None, "tags": None, "name": None}])
    catalog = CatalogMapping(path="items.jsonl", item_id="id", item_type="kind", content="vector", attributes="tags",
                             attribute_separator="|", title="name")
    counts = import_events(tmp_path / "log", tmp_path / "out", MAPPING.model_copy(update={"catalog": catalog}))
    assert (counts["files"], counts["rows_written"], counts["items"]) == (2, 3, 2)
    assert read_catalog(tmp_path / "out")["007"] == {
        "item_id": "007", "item_type": "pin", "content": [0.5, 1.0], "attributes": ["a", "b"], "title": "tea",
        "created_ms": None}
    assert "notes.docx: not a known kind" in caplog.text


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.jsonl.gz"])
def test_rows_survive_being_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """Pieces smaller than a few lines; in JSON Lines the rank is there in the last line only, and is not lost."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", 300)
    rows = [{**ROWS[0], "uid": n, "rank": 5 if n == 39 else None} for n in range(40)]
    text = "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows)
    if name == "log.csv":
        write_rows(tmp_path / name, rows)
    else:
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    import_events(tmp_path / name, tmp_path / "out", MAPPING)
    found = {r["user_id"]: r["position"] for r in read_log(tmp_path / "out")}
    assert found == {str(n): 5 if n == 39 else None for n in range(40)}


def test_the_row_in_a_message_counts_from_the_start_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "BLOCK_BYTES", 300)
    rows = [{**ROWS[0], "uid": n, "when": "soon" if n == 33 else ROWS[0]["when"]} for n in range(40)]
    with pytest.raises(DataError, match="column 'when' row 33: 'soon'"):
        import_events(write_rows(tmp_path / "log.csv", rows), tmp_path / "out", MAPPING)


def test_rows_with_empty_fields_are_written_and_counted(tmp_path: Path):
    rows = [*ROWS, {**ROWS[0], "uid": None}]
    counts = import_events(write_rows(tmp_path / "log.csv", rows), tmp_path / "out", MAPPING)
    assert (counts["rows_written"], counts["rows_incomplete"]) == (4, 1)
    assert sum(r["user_id"] is None for r in read_log(tmp_path / "out")) == 1


@pytest.mark.parametrize(("change", "mapping", "message"), [
    ({}, {"user_id": "udi"}, "no column 'udi'; did you mean 'uid'"),
    ({"when": "yesterday"}, {}, "column 'when' row 1: 'yesterday' is not an ISO 8601 time"),
    ({"when": None}, {}, "column 'when' row 1: empty"),
    ({"rank": "first"}, {}, "column 'rank' row 1: 'first' is not a whole number"),
    ({"when": "1772411400"}, {}, "column 'when' row 1"),
])
def test_clear_errors(tmp_path: Path, change: dict, mapping: dict, message: str):
    rows = [{key: str(value) if value is not None else None for key, value in row.items()} for row in ROWS]
    rows[1] |= change
    with pytest.raises(DataError, match=message):
        import_events(write_rows(tmp_path / "log.csv", rows), tmp_path / "out", MAPPING.model_copy(update=mapping))
    assert os.listdir(tmp_path) == ["log.csv"]


def test_seconds_read_as_milliseconds_are_refused(tmp_path: Path):
    row = {"user_id": 1, "item_id": 2, "item_type": "pin", "surface": "home", "action": "click",
           "timestamp_ms": 1772411400}
    with pytest.raises(DataError, match="row 0: 1772411400 read as ms is 1970-01-21.* is timestamp_unit right"):
        import_events(write_rows(tmp_path / "log.jsonl", [row]), tmp_path / "out", EventMapping())


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        import_events(tmp_path / "absent.csv", tmp_path / "out", MAPPING)
    (tmp_path / "log.xlsx").write_text("?")
    with pytest.raises(DataError, match="not a known kind of file; known are .parquet"):
        import_events(tmp_path / "log.xlsx", tmp_path / "out", MAPPING)
    with pytest.raises(DataError, match="no file of a known kind"):
        import_events(tmp_path, tmp_path / "out", MAPPING)
    path = write_rows(tmp_path / "log.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="log.parquet: cannot be read as parquet.* is it complete"):
        import_events(path, tmp_path / "out", MAPPING)
    (tmp_path / "bad.csv").write_text("uid,pin,when,what,rank\n1,2\n")
    with pytest.raises(DataError, match="bad.csv: cannot be read as csv.*Expected 5 columns, got 2"):
        import_events(tmp_path / "bad.csv", tmp_path / "out", MAPPING)
    assert not (tmp_path / "out").exists()


def test_an_occupied_destination_is_left_alone(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(IntegrityError, match="already exists"):
        import_events(write_rows(tmp_path / "log.csv", ROWS), tmp_path / "out", MAPPING)
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_a_catalog_names_an_item_once(tmp_path: Path):
    write_rows(tmp_path / "items.csv", [{"item_id": "a", "item_type": "pin"}, {"item_id": "a", "item_type": "pin"}])
    mapping = MAPPING.model_copy(update={"catalog": CatalogMapping(path="items.csv")})
    with pytest.raises(DataError, match="item 'a' is in the catalog 2 times"):
        import_events(write_rows(tmp_path / "log.parquet", ROWS), tmp_path / "out", mapping)


@pytest.mark.parametrize(("text", "message"), [
    ('{"timezone": "Mars/Olympus"}', "no IANA time zone"),
    ('{"surface": "where", "surface_constant": "home"}', "surface has both a column 'where' and a constant 'home'"),
    ('{"surfaec": "where"}', "did you mean 'surface'"),
    ('{"timestamp": ""}', "timestamp names no column"),
])
def test_mappings_are_checked(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        EventMapping.parse(text)


# ---- partitions

def test_local_days_across_a_clock_change():
    zone = "Europe/Berlin"  # 29 March 2026 has 23 hours: it begins at 23:00 UTC and ends at 22:00 UTC
    begins = np.datetime64("2026-03-28T23:00", "ms").astype(np.int64)
    ends = np.datetime64("2026-03-29T22:00", "ms").astype(np.int64)
    found = local_days(np.array([begins - 1, begins, ends - 1, ends]), zone)
    assert found.astype(str).tolist() == ["2026-03-28", "2026-03-29", "2026-03-29", "2026-03-30"]


def test_a_small_buffer_loses_nothing(tmp_path: Path):
    writer = PartitionWriter(tmp_path / "events", buffer_rows=4)
    for start in range(0, 30, 3):
        numbers = np.arange(start, start + 3)
        table = pa.table({name: pa.array(numbers if name == "timestamp_ms" else numbers.astype(str)) if name in (
            "timestamp_ms", "user_id") else pa.nulls(3, EVENTS.field(name).type) for name in EVENTS.names})
        writer.write(table, np.datetime64("2026-01-01") + numbers % 2)
    assert writer.close() == {"rows_written": 30, "days": 2, "empty_days": 0}
    assert sorted(r["timestamp_ms"] for r in read_log(tmp_path)) == list(range(30))
    assert len(list((tmp_path / "events" / "date=2026-01-01").iterdir())) > 1


def test_a_log_over_centuries_is_refused(tmp_path: Path):
    writer = PartitionWriter(tmp_path / "events")
    table = pa.table({name: pa.nulls(2, EVENTS.field(name).type) for name in EVENTS.names})
    writer.write(table, np.array(["1926-01-01", "2026-01-01"], "datetime64[D]"))
    with pytest.raises(DataError, match="events from 1926-01-01 to 2026-01-01, 36526 days"):
        writer.close()


def test_a_lost_file_is_noticed(tmp_path: Path):
    writer = PartitionWriter(tmp_path / "events", buffer_rows=1)
    table = pa.table({name: pa.nulls(2, EVENTS.field(name).type) for name in EVENTS.names})
    writer.write(table, np.array(["2026-01-01"] * 2, "datetime64[D]"))
    next((tmp_path / "events").rglob("*.parquet")).unlink()
    with pytest.raises(IntegrityError, match="2 rows were given, the files hold 0"):
        writer.close()
