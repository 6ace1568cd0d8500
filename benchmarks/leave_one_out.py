"""The leave-one-out protocol on an imported log: each user's last engagement is the test, the one before it validates.

A model is trained on everything earlier. When testing, the history is all but the last engagement. What is asked, and
with which history, are `Requests` like those of any evaluation; only their times are each user's own: just after the
last engagement that may be known, so that the time of the answer itself is told to nobody.

Suffixes: U users, E engagements, I items, R requests, N list length, H longest history.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests
from pinrec_core.errors import DataError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.importers.amazon import ACTION, ITEM_TYPE, SURFACE, import_amazon
from pinrec_core.retrieval.merge import first_distinct
from pinrec_core.schemas import NO_ITEM, SPLITS

LOG = LogConfig(surfaces=(SURFACE,), positive_actions=(ACTION,), item_types=(ITEM_TYPE,),
                retrievable_types=(ITEM_TYPE,))
VIEW_COLUMNS = ("view_user_V", "view_surface_V", "view_start_V", "view_context_V", "shown_item_X", "shown_actions_X")


@dataclass(frozen=True)
class LeaveOneOut:
    """A dataset cut three ways."""

    full: Dataset  # histories are read from it
    training: Dataset  # without the last two engagements of each user, and without feed views, which would tell them
    validation: Requests
    test: Requests


def open_leave_one_out(source: Path, work: Path) -> LeaveOneOut:
    """Import and aggregate a category folder below `work` (kept for the next time) and cut it.

    Raises DataError if the aggregated order of a user is not the one the source states.
    """
    if not (work / "data").exists():
        import_amazon(source, work / "data")
    days = sorted(path.name.removeprefix("date=") for path in (work / "data/events").iterdir())
    if not (work / "dataset").exists():
        whole = (np.datetime64(days[-1]) - np.datetime64(days[0])).astype(int) + 1
        aggregate = AggregateConfig(lookback_days=int(whole), eval_days=1, validation_user_share=0,
                                    heldout_user_share=0, keep_state=False)
        aggregate_logs(str(work / "data/events"), str(work / "data/catalog"), work / "dataset", log=LOG,
                       aggregate=aggregate, date=days[-1])
    cut = leave_one_out(Dataset.open(work / "dataset"))
    _check_order(cut.full, pq.read_table(work / "data/splits.parquet"))
    return cut


def leave_one_out(full: Dataset) -> LeaveOneOut:
    """Cut off each user's last two engagements; a user with fewer than three trains only."""
    length_U = np.diff(full.offsets_U1)
    user_U = np.flatnonzero(length_U >= 3)
    left_E = np.repeat(full.offsets_U1[1:], length_U) - np.arange(len(full.item_E))  # 1 = the user's last
    kept_E = (left_E > 2) | np.repeat(length_U < 3, length_U)
    counts_I = np.bincount(full.item_E[kept_E], minlength=full.n_items)
    place = full.items.schema.get_field_index("train_count")
    items = full.items.set_column(place, full.items.schema.field(place), pa.array(counts_I, pa.int64()))
    columns = {name: getattr(full, name)[kept_E] for name in ("item_E", "actions_E", "surface_E", "time_E", "view_E")}
    user_E = np.repeat(np.arange(full.n_users), length_U)[kept_E]
    end_ms = int(full.time_E.max(initial=0)) + 1
    manifest = full.manifest.model_copy(
        update={"facts": full.manifest.facts | {"train_end_ms": end_ms, "eval_end_ms": end_ms}})
    training = replace(
        full, manifest=manifest, items=items, split_U=np.full(full.n_users, SPLITS.index("train"), np.int8),
        offsets_U1=np.concatenate([[0], np.cumsum(np.bincount(user_E, minlength=full.n_users))]), **columns,
        view_offsets_V1=np.zeros(1, np.int64), **{name: getattr(full, name)[:0] for name in VIEW_COLUMNS})
    return LeaveOneOut(full, training, _requests(full, user_U, 2), _requests(full, user_U, 1))


def without_seen(item_RM: np.ndarray, seen_RH: np.ndarray, n: int) -> np.ndarray:
    """The first n items of each list that are not in the request's history, [R, n]; NO_ITEM pads both inputs.

    >>> without_seen(np.array([[4, 2, 7, 5]]), np.array([[2, -1]]), 2)
    array([[4, 7]])
    """
    blanked_RM = item_RM.copy()
    for column in range(seen_RH.shape[1]):
        blanked_RM[item_RM == seen_RH[:, column : column + 1]] = NO_ITEM
    place_RN = first_distinct(blanked_RM, n)
    return np.where(place_RN >= 0, np.take_along_axis(item_RM, np.maximum(place_RN, 0), axis=1), NO_ITEM)


def _requests(full: Dataset, user_U: np.ndarray, left: int) -> Requests:
    """The engagement that is `left` from each user's end, asked for right after the one before it."""
    target_R = full.offsets_U1[user_U + 1] - left
    return Requests(SURFACE, user_R=user_U, time_R=full.time_E[target_R - 1] + 1,
                    context_R=np.full(len(user_U), NO_ITEM), offsets_R1=np.arange(len(user_U) + 1),
                    item_T=full.item_E[target_R].astype(np.int64), actions_T=full.actions_E[target_R])


def _check_order(full: Dataset, splits: pa.Table) -> None:
    """The source's own order, user by user, must be that of the dataset."""
    splits = splits.sort_by([("user_id", "ascending"), ("pos", "ascending")])
    mine = full.items["item_id"].combine_chunks().take(pa.array(full.item_E.astype(np.int64)))
    if not mine.equals(splits["item_id"].combine_chunks()):
        raise DataError("the aggregated order differs from splits.parquet; remove the work folder and import again")
