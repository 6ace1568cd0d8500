"""How much of an event log would be trained on, counted without aggregating it; see `pinrec config validate --events`.

Legend: U users.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregation.files import absolute
from pinrec_core.logs.aggregation.partitions import find_partitions
from pinrec_core.logs.aggregation.reading import read_batches
from pinrec_core.logs.aggregation.window import open_window

_COLUMNS = ["user_id", "surface", "action"]


def positives_per_user(events: str, date: str, log: LogConfig, aggregate: AggregateConfig) -> np.ndarray:
    """Rows with a positive action per user with one, int64 [U], over the partitions of the training days.

    Each row counts, also where the aggregation would drop a duplicate or join several actions on one item. Raises
    DataError if a partition is missing or cannot be read.
    """
    window = open_window(date, aggregate)
    training = len(window.dates) - window.eval_days
    counted = [_counted(batch, log) for day, file in find_partitions(absolute(events), window) if day < training
               for batch in read_batches(file, columns=_COLUMNS)]
    users = pa.concat_tables(counted).group_by("user_id").aggregate([("rows", "sum")])
    return users["rows_sum"].to_numpy()


def _counted(batch: pa.RecordBatch, log: LogConfig) -> pa.Table:
    wanted = pc.is_in(_text(batch, "action"), value_set=pa.array(log.positive_actions))
    if not log.pooled_surface:
        wanted = pc.and_(wanted, pc.is_in(_text(batch, "surface"), value_set=pa.array(log.surfaces)))
    users = pa.table({"user_id": _text(batch, "user_id").filter(wanted)})
    return users.group_by("user_id").aggregate([([], "count_all")]).rename_columns(["user_id", "rows"])


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch[name].cast(pa.string())
