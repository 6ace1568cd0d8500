"""KuaiRand's `video_features_basic*` as a catalog: author, tags, music, type, upload and length become attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.logs.importers.catalog_writer import attribute_lists, labelled, split_labelled, write_catalog
from pinrec_core.logs.importers.reading import read_pieces

ITEM_TYPE = "video"
UTC_OFFSET_MS = 8 * 3_600_000  # upload dates are days in China, which has had no other offset since 1991
DURATION_EDGES_S = np.array([7, 15, 30, 60, 120, 300])
NO_MUSIC = "0"


def write_videos(folder: Path, files: list[Path]) -> int:
    """Write the catalog of `video_features_basic*` files; returns the number of videos. Raises DataError."""
    wanted = ["video_id", "author_id", "video_type", "upload_dt", "upload_type", "video_duration", "music_id", "tag"]
    table = pa.concat_tables([piece.cast(pa.schema([(name, pa.string()) for name in wanted]))
                              for path in files for piece in read_pieces(path, wanted)]).combine_chunks()
    video = {name: table[name].combine_chunks() for name in wanted}
    tags = _without(video["tag"], "unknown", "UNKNOWN", "")
    seconds = pc.cast(pc.round(pc.divide(video["video_duration"].cast(pa.float64()), 1000)), pa.int64())
    attributes = [labelled("author", video["author_id"]), split_labelled("tag", tags, ","),
                  labelled("music", _without(video["music_id"], NO_MUSIC)), labelled("type", video["video_type"]),
                  labelled("upload", video["upload_type"]), labelled("duration", _duration_bucket(seconds))]
    days = pc.strptime(video["upload_dt"], format="%Y-%m-%d", unit="ms", error_is_null=True).cast(pa.int64())
    return write_catalog(folder, {
        "item_id": video["video_id"], "item_type": pa.repeat(pa.scalar(ITEM_TYPE), table.num_rows),
        "attributes": attribute_lists(table.num_rows, attributes), "title": _titles(video["video_id"], tags, seconds),
        "created_ms": pc.subtract(days, UTC_OFFSET_MS)}, str(files[0]))


def _duration_bucket(seconds: pa.Array) -> pa.Array:
    names = [*(f"<{edge}s" for edge in DURATION_EDGES_S), f">={DURATION_EDGES_S[-1]}s"]
    bucket = np.searchsorted(DURATION_EDGES_S, pc.fill_null(seconds, 0).to_numpy(), side="right")
    return pc.if_else(pc.is_valid(seconds), pa.array(names).take(pa.array(bucket)), pa.scalar(None, pa.string()))


def _titles(video_id: pa.Array, tags: pa.Array, seconds: pa.Array) -> pa.Array:
    """Such as "video 123, tag 39, 12 s"; unknown parts are left out."""
    parts = [pc.binary_join_element_wise("video", video_id, " "), pc.binary_join_element_wise("tag", tags, " "),
             pc.binary_join_element_wise(seconds.cast(pa.string()), "s", " ")]
    return pc.binary_join_element_wise(*parts, ", ", null_handling="skip")


def _without(values: pa.Array, *placeholders: str) -> pa.Array:
    """Null where a value is one of the placeholders that mean "not known"."""
    return pc.if_else(pc.is_in(values, pa.array(placeholders)), pa.scalar(None, pa.string()), values)
