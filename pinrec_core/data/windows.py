"""Training rows: windows of a user's history with the targets that its hidden columns must predict.

A causal model answers every position of a window at once, so one row carries all targets of a user that fall into it;
only a target with a context token needs a row of its own. Suffixes: R rows, G targets of the whole set, E engagements,
A columns of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pinrec_core.config import LogConfig
from pinrec_core.data.ahead import NEXT, Ahead, loss_groups, offset_bucket, targets_ahead
from pinrec_core.data.batch import Targets, TrainingBatch, slice_windows
from pinrec_core.data.dataset import Dataset
from pinrec_core.schemas import NO_ITEM

BUCKET_BATCHES = 128  # rows of this many batches are sorted by length together: on Amazon Beauty 3 % padding (32: 10 %)


@dataclass(frozen=True)
class TrainingSet:
    """All rows and targets of one training stage; `batches` shuffles and pads them."""

    columns: tuple[np.ndarray, ...]  # item, actions, surface, time over E
    start_R: np.ndarray  # window = E rows [start, end)
    end_R: np.ndarray
    user_R: np.ndarray
    row_G: np.ndarray  # targets, grouped by row in ascending order
    column_G: np.ndarray  # history tokens before the target within its window
    item_G: np.ndarray
    action_G: np.ndarray
    surface_G: np.ndarray
    weight_G: np.ndarray
    offset_G: np.ndarray  # time-offset bucket
    group_G: np.ndarray  # number of a group: of the targets of one group the least loss counts
    view_G: np.ndarray | None = None  # index into `ignored_VK`, with impression negatives
    ignored_VK: np.ndarray | None = None  # NO_ITEM-padded shown and ignored items per view

    def __len__(self) -> int:
        return len(self.start_R)

    def steps(self, batch_size: int) -> int:
        """Batches in one epoch."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size: int, generator: np.random.Generator, first: int = 0,
                rows: slice = slice(None)) -> Iterator[TrainingBatch]:
        """One epoch in random order, rows of similar length together, from its batch number `first` (from 0) on.

        What is left out does not change what follows: all that is drawn is drawn in this very call. `rows` are
        those of each batch that are wanted: it shares batches out to several processes; a part may be empty.
        """
        order = generator.permutation(len(self))
        length_R = self.end_R - self.start_R
        span = batch_size * BUCKET_BATCHES
        chunks = []
        for start in range(0, len(order), span):
            part = order[start:start + span]
            part = part[np.argsort(length_R[part], kind="stable")]
            chunks += [part[i:i + batch_size] for i in range(0, len(part), batch_size)]
        return (self._batch(chunks[i][rows]) for i in generator.permutation(len(chunks))[first:])

    def _batch(self, rows: np.ndarray) -> TrainingBatch:
        first, last = np.searchsorted(self.row_G, rows), np.searchsorted(self.row_G, rows, side="right")
        count = last - first
        row = np.repeat(np.arange(len(rows)), count)
        g = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
        ignored = np.zeros((len(g), 0), np.int64) if self.view_G is None else self.ignored_VK[self.view_G[g]]
        targets = (row, self.column_G[g], self.item_G[g], self.action_G[g], self.surface_G[g])
        group = np.unique(self.group_G[g], return_inverse=True)[1]
        history = slice_windows(self.columns, self.start_R[rows], self.end_R[rows])
        return TrainingBatch(
            history, torch.from_numpy(self.user_R[rows]),
            Targets(*(torch.from_numpy(t.astype(np.int64)) for t in targets),
                    weight_N=torch.from_numpy(self.weight_G[g].astype(np.float32)),
                    ignored_NK=torch.from_numpy(ignored.astype(np.int64)),
                    offset_N=torch.from_numpy(self.offset_G[g].astype(np.int64)), group_N=torch.from_numpy(group)))


def per_action(actions: np.ndarray, log: LogConfig) -> tuple[np.ndarray, np.ndarray]:
    """One (row, action bit) pair per positive action of each row, in row order."""
    bits = np.arange(len(log.positive_actions))
    return np.nonzero((actions[:, None] >> bits) & 1)


def recency_weight(time: np.ndarray, end_ms: int, half_life_days: float) -> np.ndarray:
    """0.5 ** (age / half life) scaled to a mean of 1; 1 everywhere when the half life is 0."""
    if not half_life_days or not len(time):
        return np.ones(len(time), np.float32)
    weight = np.exp2((time - end_ms) / (half_life_days * 86_400_000))
    return (weight / weight.mean()).astype(np.float32)


def engagement_windows(dataset: Dataset, max_length: int, half_life_days: float,
                       ahead: Ahead = NEXT) -> TrainingSet:
    """Pretraining rows: each train user's engagements in windows of at most max_length + 1.

    Every column is asked for the engagements `ahead` of it; the weight of its targets is that of its next engagement.
    The last token of a window is only a target, so a window shows max_length tokens. Targets may lie in the next
    window of the user, never at or after the evaluation window.
    """
    users = dataset.users_in("train")
    start_U = dataset.offsets_U1[users]
    stop_U = dataset.before(users, np.full(len(users), dataset.train_end_ms))
    user_R, start_R, end_R = _cut(start_U, stop_U, max_length)
    length_R = end_R - start_R
    row_A = np.repeat(np.arange(len(end_R)), length_R)
    column_A = np.arange(length_R.sum()) - np.repeat(np.cumsum(length_R) - length_R, length_R)
    anchor_A = start_R[row_A] + column_A
    a, e = targets_ahead(anchor_A, stop_U[user_R[row_A]], dataset.view_E, ahead)
    wanted = dataset.retrievable_I[dataset.item_E[e]]
    a, e = a[wanted], e[wanted]
    pair, action = per_action(dataset.actions_E[e], dataset.log)
    a, e = a[pair], e[pair]
    last_G = anchor_A[a] - (column_A[a] > 0)  # an empty history has no last token: there the next engagement is "now"
    offset_G = offset_bucket(dataset.time_E[e] - dataset.time_E[last_G], ahead.offsets_s)
    return TrainingSet(
        _columns(dataset), start_R, end_R, users[user_R], row_A[a], column_A[a], dataset.item_E[e], action,
        dataset.surface_E[e], recency_weight(dataset.time_E[anchor_A[a]], dataset.train_end_ms, half_life_days),
        offset_G, loss_groups(a, dataset.view_E[e], offset_G, ahead.relaxed))


def _cut(start_U: np.ndarray, stop_U: np.ndarray, max_length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, start and end of each window, cut from the latest back: the newest window is always full."""
    pieces_U = -(-(stop_U - start_U) // max_length)
    user_R = np.repeat(np.arange(len(pieces_U)), pieces_U)
    piece_R = np.arange(len(user_R)) - np.repeat(np.cumsum(pieces_U) - pieces_U, pieces_U)
    end_R = stop_U[user_R] - piece_R * max_length
    return user_R, np.maximum(end_R - max_length, start_U[user_R]), end_R


def _columns(dataset: Dataset) -> tuple[np.ndarray, ...]:
    return dataset.item_E, dataset.actions_E, dataset.surface_E, dataset.time_E


def pad_ignored(row_X: np.ndarray, item_X: np.ndarray, rows: int, most: int) -> np.ndarray:
    """[rows, K] items per row in given order, NO_ITEM-padded, at most `most`; row_X ascends."""
    first = np.searchsorted(row_X, np.arange(rows))
    slot = np.arange(len(row_X)) - first[row_X]
    keep = slot < most
    width = int(slot[keep].max(initial=-1)) + 1
    out = np.full((rows, width), NO_ITEM, np.int64)
    out[row_X[keep], slot[keep]] = item_X[keep]
    return out
