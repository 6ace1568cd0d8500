"""Requests of a time window: who is asked about, with which history and context, and what they then engaged with.

The unit that validation, evaluation and verification share. Suffixes: R requests, T targets of all requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.schemas import NO_ITEM


@dataclass(frozen=True)
class Requests:
    """One surface's requests. A user is one request; where feeds answer a context item, each feed view is one."""

    surface: str
    user_R: np.ndarray  # ascending
    time_R: np.ndarray  # UTC ms of each request: its history ends before it
    context_R: np.ndarray  # item index or NO_ITEM
    offsets_R1: np.ndarray  # targets of request r are [offsets[r], offsets[r + 1])
    item_T: np.ndarray
    actions_T: np.ndarray  # bits of all actions the user took on the item in the request

    def __len__(self) -> int:
        return len(self.user_R)

    @property
    def start_ms(self) -> int:
        """Time of the earliest request: what happened before it may be known to all of them; 0 without requests."""
        return int(self.time_R.min()) if len(self) else 0

    def take(self, rows: np.ndarray) -> Requests:
        """The requests at the given rows."""
        count = self.offsets_R1[rows + 1] - self.offsets_R1[rows]
        t = np.arange(count.sum()) + np.repeat(self.offsets_R1[rows] - (np.cumsum(count) - count), count)
        return Requests(self.surface, self.user_R[rows], self.time_R[rows], self.context_R[rows],
                        np.concatenate([[0], np.cumsum(count)]), self.item_T[t], self.actions_T[t])

    def histories(self, dataset: Dataset, max_length: int) -> list[History]:
        """History of each request before its time, at most `max_length` tokens, its context item last."""
        code, histories = dataset.log.surface_names.index(self.surface), []
        for user, time_ms, context in zip(self.user_R, self.time_R, self.context_R, strict=True):
            history = dataset.history(user, time_ms, max_length - (context != NO_ITEM))
            histories.append(history if context == NO_ITEM else history.followed_by(context, code, time_ms))
        return histories


def requests_in(dataset: Dataset, surface: str, start_ms: int, end_ms: int, users: np.ndarray) -> Requests:
    """Requests of the given users on a surface whose feed views start in [start, end) and hold a positive target.

    Targets are items of retrievable types with a positive action. Where more than half of the views answer a context
    item, each such view is a request of its own; elsewhere a user's views are one request with the union of targets.
    """
    in_window_V = (dataset.view_surface_V == dataset.log.surface_names.index(surface))
    in_window_V &= (dataset.view_start_V >= start_ms) & (dataset.view_start_V < end_ms)
    in_window_V &= np.isin(dataset.view_user_V, users)
    view_V = np.flatnonzero(in_window_V)
    has_context_V = dataset.view_context_V[view_V] != NO_ITEM
    per_view = has_context_V.mean() > 0.5 if len(view_V) else False
    if per_view:
        view_V = view_V[has_context_V]
    count_V = dataset.view_offsets_V1[view_V + 1] - dataset.view_offsets_V1[view_V]
    x = np.arange(count_V.sum()) + np.repeat(dataset.view_offsets_V1[view_V] - (np.cumsum(count_V) - count_V), count_V)
    view_X = np.repeat(view_V, count_V)
    item_X, actions_X = dataset.shown_item_X[x], dataset.shown_actions_X[x] & dataset.log.positive_mask
    wanted = (actions_X > 0) & dataset.retrievable_I[item_X]
    view_X, item_X, actions_X = view_X[wanted], item_X[wanted], actions_X[wanted]
    context_X = dataset.view_context_V[view_X] if per_view else np.full(len(view_X), NO_ITEM)
    unit_X = view_X if per_view else np.zeros(len(view_X), np.int64)
    return _group(surface, start_ms, dataset.view_user_V[view_X], unit_X, context_X, item_X, actions_X)


def _group(surface: str, start_ms: int, user_X, unit_X, context_X, item_X, actions_X) -> Requests:
    """Group flat targets by (user, unit); an item named twice in a request is one target with both actions."""
    order = np.lexsort((item_X, unit_X, user_X))
    user_X, unit_X, context_X, item_X, actions_X = (a[order] for a in (user_X, unit_X, context_X, item_X, actions_X))
    new_request = _changes(user_X) | _changes(unit_X)
    new_target = new_request | _changes(item_X)
    first_T, first_R = np.flatnonzero(new_target), np.flatnonzero(new_request)
    actions_T = np.bitwise_or.reduceat(actions_X, first_T) if len(first_T) else actions_X
    offsets = np.append(np.searchsorted(first_T, first_R), len(first_T))
    return Requests(surface, user_X[first_R], np.full(len(first_R), start_ms), context_X[first_R], offsets,
                    item_X[first_T], actions_T)


def _changes(values: np.ndarray) -> np.ndarray:
    """True where a value differs from the one before it; True at the start."""
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]
