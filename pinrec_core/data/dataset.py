"""A training dataset as flat numpy columns: users, their engagements and their feed views in CSR form.

Suffixes: U users, E engagements (all users, time-ordered within a user), V feed views, X items shown in views,
1 after a letter = one more (offsets).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pinrec_core.config import LogConfig
from pinrec_core.data.batch import History
from pinrec_core.errors import DataError
from pinrec_core.manifest import Manifest, read_manifest
from pinrec_core.schemas import SPLITS


@dataclass(frozen=True)
class Dataset:
    """What aggregate_logs wrote, opened for reading. Actions are bits, surfaces are codes (see schemas)."""

    manifest: Manifest
    log: LogConfig
    items: pa.Table  # schemas.ITEMS; row = item index
    user_ids: pa.Array
    split_U: np.ndarray  # int8, position in SPLITS
    offsets_U1: np.ndarray  # int64: engagements of user u are [offsets[u], offsets[u + 1])
    item_E: np.ndarray
    actions_E: np.ndarray
    surface_E: np.ndarray
    time_E: np.ndarray  # UTC ms
    view_E: np.ndarray
    view_user_V: np.ndarray  # row in users
    view_surface_V: np.ndarray
    view_start_V: np.ndarray  # UTC ms
    view_context_V: np.ndarray  # item index or NO_ITEM
    view_offsets_V1: np.ndarray
    shown_item_X: np.ndarray
    shown_actions_X: np.ndarray

    @classmethod
    def open(cls, path: Path, verify: bool = True) -> Dataset:
        """Read a complete dataset. Raises IntegrityError if it is incomplete or altered."""
        manifest = read_manifest(path, "dataset", verify=verify)
        sequences, views = _Columns(path / "sequences"), _Columns(path / "views")
        engaged_ids, shown_ids = sequences["user_id"].combine_chunks(), views["user_id"]
        user_ids = _users_of(engaged_ids, shown_ids)
        silent = len(user_ids) - len(engaged_ids)  # users who were shown items and never engaged
        length_U = np.concatenate([_lengths(sequences["item"]), np.zeros(silent, np.int64)])
        split_U = np.full(len(user_ids), SPLITS.index("train"), np.int8)
        view_user_V = pc.index_in(shown_ids, value_set=user_ids).to_numpy().astype(np.int64)
        split_U[view_user_V] = views["split"].to_numpy()
        split_U[: len(engaged_ids)] = sequences["split"].to_numpy()
        return cls(
            manifest=manifest, log=LogConfig.model_validate(manifest.facts["log"]),
            items=pq.read_table(path / "items.parquet"), user_ids=user_ids, split_U=split_U,
            offsets_U1=np.concatenate([[0], np.cumsum(length_U)]),
            item_E=_flat(sequences["item"]), actions_E=_flat(sequences["actions"]),
            surface_E=_flat(sequences["surface"]), time_E=_flat(sequences["timestamp_ms"]),
            view_E=_flat(sequences["view"]), view_user_V=view_user_V,
            view_surface_V=views["surface"].to_numpy(), view_start_V=views["start_ms"].to_numpy(),
            view_context_V=views["context_item"].to_numpy(),
            view_offsets_V1=np.concatenate([[0], np.cumsum(_lengths(views["item"]))]),
            shown_item_X=_flat(views["item"]), shown_actions_X=_flat(views["actions"]))

    @property
    def n_items(self) -> int:
        """Number of rows of the item table."""
        return self.items.num_rows

    @property
    def n_users(self) -> int:
        """Number of users, the never-engaged ones included."""
        return len(self.split_U)

    @property
    def train_end_ms(self) -> int:
        """Start of the evaluation window: nothing at or after it may be trained on."""
        return self.manifest.facts["train_end_ms"]

    @property
    def eval_end_ms(self) -> int:
        """End of the evaluation window, exclusive."""
        return self.manifest.facts["eval_end_ms"]

    @property
    def validation_start_ms(self) -> int:
        """Start of the window on which checkpoints are chosen: as long as the evaluation window, just before it."""
        return self.train_end_ms - (self.eval_end_ms - self.train_end_ms)

    @property
    def retrievable_I(self) -> np.ndarray:
        """bool per item: is it of a type that is retrieved?"""
        codes = [self.log.item_types.index(name) for name in self.log.retrievable_types]
        return np.isin(self.items["item_type"].to_numpy(), codes)

    def users_in(self, split: str) -> np.ndarray:
        """Rows of the users of one split."""
        return np.flatnonzero(self.split_U == SPLITS.index(split))

    def user_index(self, user_id: str) -> int:
        """Row of a user. Raises DataError if the dataset does not know the user."""
        row = pc.index(self.user_ids, user_id).as_py()
        if row < 0:
            raise DataError(f"user {user_id!r} is not among the {self.n_users} users of the dataset; check the id")
        return row

    def before(self, user_N: np.ndarray, time_N: np.ndarray) -> np.ndarray:
        """Position in the E columns of each user's first engagement at or after a time: the history ends just there."""
        first, last = int(self.time_E.min(initial=0)), int(self.time_E.max(initial=0))
        span = last - first + 2  # one sorted key per engagement: user first, then time
        user_E = np.repeat(np.arange(self.n_users), np.diff(self.offsets_U1))
        key_N = user_N.astype(np.int64) * span + np.clip(time_N - first, 0, span - 1)
        return np.searchsorted(user_E * span + (self.time_E - first), key_N, side="left")

    def history(self, user: int, before_ms: int, limit: int) -> History:
        """The user's last `limit` engagements before a time (exclusive), oldest first."""
        start, stop = self.offsets_U1[user], self.offsets_U1[user + 1]
        end = start + np.searchsorted(self.time_E[start:stop], before_ms, side="left")
        rows = slice(max(start, end - limit), end)
        return History(self.item_E[rows], self.actions_E[rows], self.surface_E[rows], self.time_E[rows])


class _Columns:
    """The columns of a table in parts, read one at a time: beside the result one column is held, not a table."""

    def __init__(self, folder: Path):
        self.parts = sorted(folder.glob("*.parquet"))

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return pa.concat_tables([pq.read_table(part, columns=[name]) for part in self.parts])[name]


def _users_of(engaged: pa.Array, shown: pa.ChunkedArray) -> pa.Array:
    shown = pc.unique(shown)
    silent = shown.filter(pc.invert(pc.is_in(shown, value_set=engaged)))
    return pa.concat_arrays([engaged, silent])


def _lengths(column: pa.ChunkedArray) -> np.ndarray:
    return pc.list_value_length(column).to_numpy().astype(np.int64)


def _flat(column: pa.ChunkedArray) -> np.ndarray:
    return pc.list_flatten(column).to_numpy()
