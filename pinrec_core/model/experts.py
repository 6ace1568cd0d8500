"""Counted experts: what is known of items without training, in one score with the network (a product of experts,
Hinton 2002).

    log p(item) = network + transitions * log(1 + c / FAINT) + repeats * [item in the history] + exposure * log e

c is how much the item follows the request's latest items, e how often the surface has shown it lately. Each expert's
weight is one number of the model, chosen on validation or configured; 0 leaves the expert out.

Legend: B requests, C items that experts speak of, T history tokens, I items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.transitions import Transitions, bonus, latest_first
from pinrec_core.schemas import NO_ITEM


class Experts(NamedTuple):
    """What each counted expert is worth: its factor in the log-probability of an item."""

    transitions: float = 0.0  # of what follows the request's latest items
    repeats: float = 0.0  # of having been engaged with already; below 0 where nobody returns to an item
    exposure: float = 0.0  # of being shown on the surface lately


class Spoken(NamedTuple):
    """The items of each request that its own history speaks of, NO_ITEM-padded; an item stands once per request."""

    item_BC: np.ndarray
    followed_BC: np.ndarray  # float32: log(1 + c / FAINT)
    repeated_BC: np.ndarray  # bool: the history has it

    @classmethod
    def of(cls, history: HistoryBatch, transitions: Transitions | None, retrievable_I: np.ndarray,
           most: int) -> Spoken:
        """The `most` heaviest followers of each history, and its own items; only what can be retrieved."""
        item_BT = history.item_BT.numpy()
        own_BT = np.where((item_BT != NO_ITEM) & retrievable_I[item_BT], item_BT, NO_ITEM)
        item_BM, weight_BM = own_BT, np.zeros(own_BT.shape, np.float32)
        if transitions is not None and most:
            follower_BM, follows_BM = transitions.followers(latest_first(item_BT, history.length_B.numpy()), most)
            item_BM = np.concatenate([follower_BM, own_BT], axis=1)
            weight_BM = np.concatenate([bonus(follows_BM), weight_BM], axis=1)
        repeated_BM = np.zeros(item_BM.shape, bool)
        repeated_BM[:, item_BM.shape[1] - own_BT.shape[1]:] = True
        return _once(item_BM, weight_BM, repeated_BM, len(retrievable_I))

    def log_odds(self, experts: Experts) -> np.ndarray:
        """What the experts add to the items' log-probabilities, float32 [B, C]."""
        return np.float32(experts.transitions) * self.followed_BC + np.float32(experts.repeats) * self.repeated_BC


def _once(item_BM: np.ndarray, weight_BM: np.ndarray, repeated_BM: np.ndarray, items: int) -> Spoken:
    """Equal items of a request as one."""
    row, column = np.nonzero(item_BM != NO_ITEM)
    key, place = np.unique(row * items + item_BM[row, column], return_inverse=True)
    row_K, item_K = key // items, key % items
    seat_K = np.arange(len(key)) - np.searchsorted(row_K, row_K)
    shape = (len(item_BM), int(seat_K.max(initial=-1)) + 1)
    item_BC, followed_BC = np.full(shape, NO_ITEM, np.int64), np.zeros(shape, np.float32)
    repeated_BC = np.zeros(shape, bool)
    item_BC[row_K, seat_K] = item_K
    followed_BC[row_K, seat_K] = np.bincount(place, weights=weight_BM[row, column], minlength=len(key))
    repeated_BC[row_K, seat_K] = np.bincount(place, weights=repeated_BM[row, column], minlength=len(key)) > 0
    return Spoken(item_BC, followed_BC, repeated_BC)
