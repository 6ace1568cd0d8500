"""Amazon reviews 2014, 5-core, leave-one-out (one category folder): the sequence benchmark of the literature.

Reads `interactions.parquet` if it is there, else `NAME.txt` (`user item item ...` in time order), and `items.csv.gz`
(optional) for the catalog, whose texts and attributes also become content vectors. Every review becomes one "purchase"
on the surface "shop".

Order is kept strictly, and times are made up only where the source has none:
- a user's reviews follow `pos`; a time not later than the one before becomes that one plus 1 ms (ties are common, the
  source knows days only);
- a user without any timestamp starts at the median first time of the others and goes on by `since_first_s`;
- NAME.txt alone knows no times: each user's first review is at TEXT_START_MS, the next ones a day apart.

Leave-one-out cannot be told from dates, so dst/splits.parquet (user_id, item_id, pos, split) carries it for the
benchmark that uses it. Suffix: N = reviews, ascending (user, pos).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pinrec_core.errors import DataError
from pinrec_core.logs.importers.catalog_writer import attribute_lists, split_labelled, write_catalog
from pinrec_core.logs.importers.event_writer import (
    DAY_MS,
    WRITTEN_EVENTS,
    PartitionWriter,
    local_days,
    new_directory,
)
from pinrec_core.logs.importers.reading import read_pieces
from pinrec_core.logs.importers.text_vectors import text_vectors

SURFACE, ACTION, ITEM_TYPE = "shop", "purchase", "product"
CONTENT_DIM = 128  # of the vectors made from titles and attributes
TEXT_START_MS = 1_388_534_400_000  # 2014-01-01, the year of the download
SPLITS = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("pos", pa.int32()), ("split", pa.string())])
logger = logging.getLogger("pinrec")


def import_amazon(src: Path, dst: Path) -> dict[str, int]:
    """Write dst/events, dst/catalog and dst/splits.parquet; returns counts.

    Raises DataError for missing or damaged files, IntegrityError if dst exists or rows are lost.
    """
    reviews, time_N = read_reviews(src)
    with new_directory(dst) as aside:
        writer = PartitionWriter(aside / "events")
        known = {"user_id": reviews["user_id"], "item_id": reviews["item_id"], "timestamp_ms": pa.array(time_N),
                 "item_type": pa.repeat(ITEM_TYPE, len(time_N)), "surface": pa.repeat(SURFACE, len(time_N)),
                 "action": pa.repeat(ACTION, len(time_N))}
        columns = [known.get(f.name, pa.nulls(len(time_N), f.type)) for f in WRITTEN_EVENTS]
        writer.write(pa.table(columns, schema=WRITTEN_EVENTS), local_days(time_N, "UTC"))
        counts = {"rows_read": reviews.num_rows, **writer.close()}
        pq.write_table(reviews.select(SPLITS.names).cast(SPLITS), aside / "splits.parquet", compression="zstd")
        counts["users"] = len(pc.unique(reviews["user_id"]))
        counts["items"] = _write_items(aside / "catalog", src / "items.csv.gz", reviews["item_id"])
    return counts


def read_reviews(src: Path) -> tuple[pa.Table, np.ndarray]:
    """Reviews in order of (user, pos) with the columns of SPLITS, and their UTC milliseconds."""
    if (src / "interactions.parquet").is_file():
        path, raw = src / "interactions.parquet", _read_interactions(src / "interactions.parquet")
        start_N = _user_starts(raw["user"].to_numpy())
        time_N = _strictly_later(_reconstructed_ms(path, raw, start_N), start_N)
    else:
        path = _text_file(src)
        raw = _read_text(path)
        start_N = _user_starts(raw["user"].to_numpy())
        time_N = TEXT_START_MS + raw["pos"].to_numpy() * DAY_MS
    gap_N = raw["pos"].to_numpy() - (np.arange(raw.num_rows) - start_N)
    if gap_N.any():
        raise DataError(f"{path}: positions of user {raw['user'][int(np.flatnonzero(gap_N)[0])]} do not count up from "
                        "0 by 1; the file is damaged")
    return pa.table({"user_id": raw["user"].cast(pa.string()), "item_id": raw["item"].cast(pa.string()),
                     "pos": raw["pos"].cast(pa.int32()), "split": raw["split"].cast(pa.string())}), time_N


def _read_interactions(path: Path) -> pa.Table:
    columns = ["user", "item", "pos", "since_first_s", "timestamp", "split"]
    table = pa.concat_tables(list(read_pieces(path, columns))).combine_chunks()
    for name in ("user", "item", "pos", "since_first_s", "split"):
        if table[name].null_count:
            raise DataError(f"{path}: column {name!r} has {table[name].null_count} empty values; the file is damaged")
    return table.sort_by([("user", "ascending"), ("pos", "ascending")])


def _user_starts(user_N: np.ndarray) -> np.ndarray:
    """For every row the row at which its user begins; rows of a user are together."""
    begins = np.flatnonzero(np.append(True, user_N[1:] != user_N[:-1]))
    return np.repeat(begins, np.diff(np.append(begins, len(user_N))))


def _reconstructed_ms(path: Path, raw: pa.Table, start_N: np.ndarray) -> np.ndarray:
    """Milliseconds as the source has them; unknown ones from the user's first time and since_first_s."""
    since_N, known_N = raw["since_first_s"].to_numpy(), pc.is_valid(raw["timestamp"]).to_numpy()
    if not known_N.any():
        raise DataError(f"{path}: column 'timestamp' is empty throughout; remove the file to import NAME.txt instead")
    time_N = pc.fill_null(raw["timestamp"], 0).to_numpy()
    first_N = np.full(len(time_N), np.iinfo(np.int64).max)  # at a user's first row: the start its known times tell
    np.minimum.at(first_N, start_N[known_N], (time_N - since_N)[known_N])
    first_N = first_N[start_N]
    told_N = first_N < np.iinfo(np.int64).max
    if not told_N.all():
        logger.warning("%s: %d reviews of users without any timestamp start at the median first time", path,
                       int((~told_N).sum()))
        first_N[~told_N] = int(np.median(first_N[told_N]))
    return np.where(known_N, time_N, first_N + since_N) * 1000


def _strictly_later(time_N: np.ndarray, start_N: np.ndarray) -> np.ndarray:
    """Raise times within a user just enough that each is at least 1 ms after the one before."""
    rank_N = np.arange(len(time_N)) - start_N
    slack_N = time_N - rank_N  # non-decreasing slack <=> strictly increasing times
    low = slack_N.min()
    band = int(slack_N.max() - low) + 1  # lifts every user above all earlier ones, so that one running maximum serves
    _, user_N = np.unique(start_N, return_inverse=True)
    lifted_N = np.maximum.accumulate(slack_N - low + user_N * band)
    return lifted_N - user_N * band + low + rank_N


def _text_file(src: Path) -> Path:
    files = sorted(src.glob("*.txt"))
    if len(files) != 1:
        raise DataError(f"{src}: neither interactions.parquet nor exactly one NAME.txt there ({len(files)} .txt "
                        "files); point at one category's folder")
    return files[0]


def _read_text(path: Path) -> pa.Table:
    """`user item item ...` lines as the columns of interactions.parquet, leave-one-out splits included."""
    lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        if len(line) < 2 or not all(map(str.isdigit, line)):
            raise DataError(f"{path}: line {number} reads {' '.join(line)[:60]!r}, expected 'user item item ...'")
    length_U = np.array([len(line) - 1 for line in lines])
    pos_N = np.concatenate([np.arange(length) for length in length_U])
    left_N = np.repeat(length_U, length_U) - pos_N  # 1 = the user's last
    split = pa.array(["test", "valid", "train"]).take(pa.array(np.minimum(left_N, 3) - 1))
    items = np.array([item for line in lines for item in line[1:]], np.int64)
    return pa.table({"user": np.repeat([int(line[0]) for line in lines], length_U), "item": items, "pos": pos_N,
                     "split": split}).sort_by([("user", "ascending"), ("pos", "ascending")])


def _write_items(folder: Path, path: Path, reviewed: pa.ChunkedArray) -> int:
    if not path.is_file():
        ids = pc.unique(reviewed)
        logger.warning("%s: not there; the catalog has ids only", path)
        return write_catalog(folder, {"item_id": ids, "item_type": pa.repeat(ITEM_TYPE, len(ids))}, str(path))
    table = pa.concat_tables(list(read_pieces(path, ["item", "text", "attributes"]))).combine_chunks()
    labels = attribute_lists(table.num_rows, [split_labelled("group", table["attributes"].combine_chunks(), " ")])
    titles = table["text"].combine_chunks()
    return write_catalog(folder, {
        "item_id": table["item"].combine_chunks(), "title": titles, "attributes": labels,
        "content": text_vectors(titles.to_pylist(), labels.to_pylist(), CONTENT_DIM),
        "item_type": pa.repeat(ITEM_TYPE, table.num_rows)}, str(path))
