"""Histories and training rows as right-padded torch batches.

Suffixes: B rows of a batch, T history tokens, N targets of a batch, K impression negatives of a target's view.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pinrec_core.schemas import NO_ITEM


class History(NamedTuple):
    """One user's engagements, oldest first: numpy arrays of one length."""

    item_T: np.ndarray
    actions_T: np.ndarray  # action bits; 0 = unknown
    surface_T: np.ndarray
    time_T: np.ndarray  # UTC ms

    def followed_by(self, item: int, surface: int, time_ms: int) -> History:
        """The history with a context token (query or close-up item) appended; its action is unknown."""
        return History(*(np.append(column, value) for column, value in
                         zip(self, (item, 0, surface, time_ms), strict=True)))

    @property
    def packed_T4(self) -> np.ndarray:
        """All columns side by side, int64 [T, 4]."""
        packed_T4 = np.empty((len(self.item_T), 4), np.int64)
        for number, column_T in enumerate(self):
            packed_T4[:, number] = column_T
        return packed_T4


@dataclass(frozen=True)
class HistoryBatch:
    """Right-padded histories; everything past `length_B` is padding (item NO_ITEM)."""

    item_BT: Tensor
    actions_BT: Tensor
    surface_BT: Tensor
    time_BT: Tensor
    length_B: Tensor

    def __len__(self) -> int:
        return len(self.length_B)

    def to(self, device: torch.device) -> HistoryBatch:
        """The same on another device."""
        return HistoryBatch(*(_moved(getattr(self, field.name), device) for field in fields(self)))


class Targets(NamedTuple):
    """What a batch must predict: one row per (engagement, action)."""

    row_N: Tensor  # row of the batch
    column_N: Tensor  # hidden column that answers: number of history tokens before the target
    item_N: Tensor
    action_N: Tensor  # bit number
    surface_N: Tensor
    weight_N: Tensor  # float, >= 0
    ignored_NK: Tensor  # items shown beside the target and not acted on, NO_ITEM at padding; K may be 0
    offset_N: Tensor  # time-offset bucket of the target, 0 = "now"
    group_N: Tensor  # from 0 without gaps: of the targets of one group the least loss counts; often each is alone

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group_N.max()) + 1 if len(self.group_N) else 0


class TrainingBatch(NamedTuple):
    """Histories with their targets; rows of one user share `user_B`."""

    history: HistoryBatch
    user_B: Tensor
    targets: Targets

    def to(self, device: torch.device) -> TrainingBatch:
        """The same on another device; to a CUDA device the copies run beside what it is computing."""
        return TrainingBatch(self.history.to(device), _moved(self.user_B, device),
                             Targets(*(_moved(tensor, device) for tensor in self.targets)))


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def collate(histories: list[History]) -> HistoryBatch:
    """Pad histories to one length."""
    length_B = np.array([len(history.item_T) for history in histories], np.int64)
    row = np.repeat(np.arange(len(histories)), length_B)
    column = np.concatenate([np.arange(n) for n in length_B]) if len(histories) else np.zeros(0, int)
    flat = [np.concatenate([history[i] for history in histories]) for i in range(4)]
    return _pad(row, column, flat, length_B)


def slice_windows(columns: tuple[np.ndarray, ...], start_B: np.ndarray, end_B: np.ndarray) -> HistoryBatch:
    """Rows [start, end) of flat (item, actions, surface, time) columns as one padded batch."""
    length_B = (end_B - start_B).astype(np.int64)
    row = np.repeat(np.arange(len(length_B)), length_B)
    column = np.arange(length_B.sum()) - np.repeat(np.cumsum(length_B) - length_B, length_B)
    source = start_B[row] + column
    return _pad(row, column, [values[source] for values in columns], length_B)


def _pad(row: np.ndarray, column: np.ndarray, flat: list[np.ndarray], length_B: np.ndarray) -> HistoryBatch:
    shape = (len(length_B), int(length_B.max(initial=0)))
    padded = []
    for values, fill in zip(flat, (NO_ITEM, 0, 0, 0), strict=True):
        out = np.full(shape, fill, np.int64)
        out[row, column] = values
        padded.append(torch.from_numpy(out))
    return HistoryBatch(*padded, torch.from_numpy(length_B))
