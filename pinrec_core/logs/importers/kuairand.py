"""KuaiRand (Gao et al., CIKM 2022): many surfaces, impressions, several outcomes.

Reads, from one folder (or its `data/`), Parquet or CSV with the official columns:
`log_standard_*` (required), `video_features_basic*` (required), `history_to_24apr*` (optional).
`log_random_*` is left out: its videos were drawn at random, not shown by a recommender.

One impression row becomes one "impression" event and one event per flag that is set, all at the same time. The
surface is "tab<N>", the partition is the row's `date` (a day in China).

The history file knows no times but that of a user's latest video. Event times are reconstructed, order preserved:
latest = last_time_ms, each earlier one HISTORY_STEP_MS before the next. 15 minutes is longer than the default
`aggregate.view_gap_s`, so that videos seen on different days do not look like one feed view, and short enough for 50
of them to stay within half a day. Their surface, which nobody recorded, is "past".
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.errors import DataError
from pinrec_core.logs.importers.event_writer import WRITTEN_EVENTS, PartitionWriter, local_days, new_directory
from pinrec_core.logs.importers.kuairand_videos import ITEM_TYPE, write_videos
from pinrec_core.logs.importers.reading import kind_of, read_files

TIMEZONE = "Asia/Shanghai"
HISTORY_STEP_MS = 15 * 60_000
PAST = "past"
FLAGS = {"is_click": "click", "long_view": "long_view", "is_like": "like", "is_follow": "follow",
         "is_comment": "comment", "is_forward": "forward", "is_profile_enter": "profile_enter", "is_hate": "hate"}
HISTORY_FLAGS = {"long_view": "long_view", "is_like": "like"}
logger = logging.getLogger("pinrec")


def import_kuairand(src: Path, dst: Path) -> dict[str, int]:
    """Write dst/events and dst/catalog; returns row counts, per action and in all.

    Raises DataError for missing files, columns or impossible values, IntegrityError if dst exists or rows are lost.
    """
    logs, history = _files(src, "log_standard_"), _files(src, "history_to_24apr")
    videos = _files(src, "video_features_basic")
    for files, pattern in ((logs, "log_standard_*"), (videos, "video_features_basic*")):
        if not files:
            raise DataError(f"{src}: no {pattern}.parquet or .csv there; point at the folder with KuaiRand's files")
    counts = {"log_rows": 0, "history_rows": 0, "impression": 0, **dict.fromkeys(FLAGS.values(), 0), "rows_far_off": 0}
    with new_directory(dst) as aside:
        writer = PartitionWriter(aside / "events")
        for path, piece in read_files(logs, ["user_id", "video_id", "date", "time_ms", "tab", *FLAGS]):
            _add_impressions(writer, path, piece, counts)
        for path, piece in read_files(history, ["user_id", "video_id", "pos", "last_time_ms", *HISTORY_FLAGS]):
            _add_history(writer, path, piece, counts)
        counts |= writer.close()
        counts["items"] = write_videos(aside / "catalog", videos)
        _check(src, counts)
    return counts


def _files(src: Path, prefix: str) -> list[Path]:
    folder = src / "data" if (src / "data").is_dir() and not list(src.glob("log_standard_*")) else src
    return sorted(p for p in folder.glob(f"{prefix}*") if kind_of(p) in ("parquet", "csv"))


def _add_impressions(writer: PartitionWriter, path: Path, piece: pa.Table, counts: dict[str, int]) -> None:
    date_N, time_N = _whole(path, piece, "date"), _whole(path, piece, "time_ms")
    day_N = _days(path, date_N)
    counts["log_rows"] += piece.num_rows
    far = np.abs((local_days(time_N, TIMEZONE) - day_N).astype(np.int64)) > 1
    counts["rows_far_off"] += int(far.sum())
    surface = pc.binary_join_element_wise("tab", piece["tab"].cast(pa.string()), "")
    _write(writer, path, piece, (time_N, day_N, surface.combine_chunks()), FLAGS, counts)


def _add_history(writer: PartitionWriter, path: Path, piece: pa.Table, counts: dict[str, int]) -> None:
    pos_N, last_N = _whole(path, piece, "pos"), _whole(path, piece, "last_time_ms")
    if (pos_N >= 0).any():
        raise DataError(f"{path}: pos {pos_N.max()} found, but positions count back from -1 = latest")
    time_N = last_N + (pos_N + 1) * HISTORY_STEP_MS
    counts["history_rows"] += piece.num_rows
    surface = pa.repeat(pa.scalar(PAST), piece.num_rows)
    _write(writer, path, piece, (time_N, local_days(time_N, TIMEZONE), surface), HISTORY_FLAGS, counts)


def _write(writer: PartitionWriter, path: Path, piece: pa.Table, place: tuple, flags: dict[str, str],
           counts: dict[str, int]) -> None:
    """Turn rows into events: every row once as impression, then once per flag that is set."""
    time_N, day_N, surface = place
    actions = ("impression", *flags.values())
    rows = [np.arange(piece.num_rows), *(np.flatnonzero(_flag(path, piece, flag)) for flag in flags)]
    row_E = np.concatenate(rows)
    code_E = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    for action, row in zip(actions, rows, strict=True):
        counts[action] += len(row)
    take = pa.array(row_E)
    known = {"user_id": piece["user_id"].cast(pa.string()).take(take),
             "item_id": piece["video_id"].cast(pa.string()).take(take),
             "item_type": pa.repeat(pa.scalar(ITEM_TYPE), len(row_E)), "surface": surface.take(take),
             "action": pa.array(actions).take(pa.array(code_E)), "timestamp_ms": pa.array(time_N[row_E])}
    columns = [known.get(f.name, pa.nulls(len(row_E), f.type)) for f in WRITTEN_EVENTS]
    writer.write(pa.table(columns, schema=WRITTEN_EVENTS), day_N[row_E])


def _whole(path: Path, piece: pa.Table, column: str) -> np.ndarray:
    """A column as int64. Raises DataError if a value is missing or not a whole number."""
    try:
        values = piece[column].cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: column {column!r} must hold whole numbers: {error}") from error
    if values.null_count:
        raise DataError(f"{path}: column {column!r} has {values.null_count} empty values; the file is damaged")
    return values.to_numpy()


def _flag(path: Path, piece: pa.Table, column: str) -> np.ndarray:
    values = _whole(path, piece, column)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise DataError(f"{path}: column {column!r} must hold 0 or 1, it has {values.min()} to {values.max()}")
    return values


def _days(path: Path, date_N: np.ndarray) -> np.ndarray:
    """Dates written as numbers (20220425) as datetime64[D]."""
    distinct, place_N = np.unique(date_N, return_inverse=True)
    try:
        days = [np.datetime64(f"{d // 10000:04d}-{d // 100 % 100:02d}-{d % 100:02d}", "D") for d in distinct.tolist()]
    except ValueError as error:
        raise DataError(f"{path}: column 'date' must read like 20220425: {error}") from error
    return np.array(days, "datetime64[D]")[place_N]


def _check(src: Path, counts: dict[str, int]) -> None:
    """Rows in must be rows out, and dates must be those of the timestamps."""
    expected = counts["impression"] + sum(counts[action] for action in FLAGS.values())
    read = counts["log_rows"] + counts["history_rows"]
    if counts["impression"] != read or counts["rows_written"] != expected:
        raise DataError(f"{src}: {read} rows read, {counts['impression']} impressions and {counts['rows_written']} of "
                        f"{expected} events written; import again")
    if counts["rows_far_off"]:
        logger.warning("%s: %d rows have a date more than a day off their time_ms (%s); aggregate_logs will quarantine "
                       "them unless aggregate.max_late_days is raised", src, counts["rows_far_off"], TIMEZONE)
