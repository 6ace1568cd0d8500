"""Untrained item-to-item neighbours: what users engaged with soon after an item, nearer ones counting more.

A pair (i, j) gets 1 / gap for every time a user engaged with j `gap` <= 10 engagements after i; repeats of i itself do
not count. Everything before the cut counts, whatever the surface and whoever the user.

Legend: I items, E engagements before the cut, P distinct pairs sorted by (source, falling weight), R requests,
L latest items of a request, C items that are candidates for some request of a block, N list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pinrec_core.schemas import NO_ITEM

WINDOW = 10  # engagements after an item that count as following it
NEIGHBOURS = 200  # kept per item
_PAIRS = 4_000_000  # pairs counted at a time
_REQUESTS = 64  # requests weighed at a time


@dataclass(frozen=True)
class Neighbours:
    """Following items of each item, heaviest first: those of i are [offsets[i], offsets[i + 1])."""

    offsets_I1: np.ndarray
    item_P: np.ndarray
    weight_P: np.ndarray

    def rank(self, latest_RL: np.ndarray, decay: float, n: int) -> np.ndarray:
        """The n items that follow a request's latest items most, [R, n]; ties to the lower index, NO_ITEM at the end.

        `latest_RL` has the latest item first, NO_ITEM at padding; the l-th counts decay ** l.
        """
        out_RN = np.full((len(latest_RL), n), NO_ITEM, dtype=np.int64)
        for start in range(0, len(latest_RL), _REQUESTS):
            part = slice(start, start + _REQUESTS)
            item_C, weight_RC = self._weigh(latest_RL[part], decay)
            column_RN = heaviest(weight_RC, n)
            out_RN[part] = np.where(column_RN >= 0, np.append(item_C, NO_ITEM)[column_RN], NO_ITEM)
        return out_RN

    def _weigh(self, latest_RL: np.ndarray, decay: float) -> tuple[np.ndarray, np.ndarray]:
        """The items that follow any of these requests' latest items, ascending, and their weight for each request."""
        request, age = np.nonzero(latest_RL != NO_ITEM)
        source = latest_RL[request, age]
        count = self.offsets_I1[source + 1] - self.offsets_I1[source]
        pair = np.arange(count.sum()) + np.repeat(self.offsets_I1[source] - (np.cumsum(count) - count), count)
        followed_I = np.zeros(len(self.offsets_I1) - 1, dtype=bool)
        followed_I[self.item_P[pair]] = True
        item_C = np.flatnonzero(followed_I)
        column = np.cumsum(followed_I)[self.item_P[pair]] - 1
        weights = self.weight_P[pair] * np.repeat(decay ** age.astype(float), count)
        R, C = len(latest_RL), len(item_C)
        flat = np.bincount(np.repeat(request, count) * C + column, weights=weights, minlength=R * C)
        return item_C, flat.reshape(R, C)


def count_followers(item_E: np.ndarray, user_E: np.ndarray, retrievable_I: np.ndarray) -> Neighbours:
    """Neighbours from engagements grouped by user in time order; only retrievable items are counted as following."""
    items, step = len(retrievable_I), max(1, _PAIRS // WINDOW)
    keys, weights, waiting = np.zeros(0, np.int64), np.zeros(0), []
    for start in range(0, len(item_E), step):
        waiting.append(_summed(*_pairs(item_E, user_E, retrievable_I, start, min(start + step, len(item_E)))))
        if start + step >= len(item_E) or sum(len(key) for key, _ in waiting) > len(keys):  # merge when it doubles
            parts = zip((keys, weights), *waiting, strict=True)
            (keys, weights), waiting = _summed(*(np.concatenate(part) for part in parts)), []
    source, target = keys // max(items, 1), keys % max(items, 1)
    order = np.lexsort((target, -weights, source))
    source, target, weights = source[order], target[order], weights[order]
    kept = np.arange(len(source)) - np.searchsorted(source, source) < NEIGHBOURS
    offsets_I1 = np.concatenate([[0], np.cumsum(np.bincount(source[kept], minlength=items))])
    return Neighbours(offsets_I1, target[kept], weights[kept])


def heaviest(weight_RC: np.ndarray, n: int) -> np.ndarray:
    """Columns of the n largest weights above 0 of each row, heaviest first, [R, n]; ties to the lower column, -1 pads.

    >>> heaviest(np.array([[1.0, 2.0, 1.0, 0.0], [0.0, 0.0, 3.0, 0.0]]), 2)
    array([[ 1,  0],
           [ 2, -1]])
    """
    R, C = weight_RC.shape
    # torch's topk is several times faster here than numpy's partition; it only finds the level, ties are settled below
    least_R1 = torch.from_numpy(weight_RC).topk(n, dim=1).values[:, -1:].numpy() if n < C else np.zeros((R, 1))
    above_RC = weight_RC > least_R1
    level_RC = (weight_RC == least_R1) & (weight_RC > 0)
    taken_RC = above_RC | (level_RC & (np.cumsum(level_RC, axis=1) <= n - above_RC.sum(axis=1, keepdims=True)))
    row, column = np.nonzero(taken_RC)
    order = np.lexsort((column, -weight_RC[row, column], row))
    row, column = row[order], column[order]
    out_RN = np.full((R, n), -1, dtype=np.int64)
    out_RN[row, np.arange(len(row)) - np.searchsorted(row, row)] = column
    return out_RN


def _summed(key: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and the sum of their weights."""
    keys, inverse = np.unique(key, return_inverse=True)
    return keys, np.bincount(inverse, weights=weight, minlength=len(keys))


def _pairs(item_E: np.ndarray, user_E: np.ndarray, retrievable_I: np.ndarray, start: int,
           stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Weighted (source, target) keys whose source is one of the engagements [start, stop)."""
    keys, weights = [], []
    for gap in range(1, WINDOW + 1):
        source = np.arange(start, min(stop, len(item_E) - gap))
        first, second = item_E[source].astype(np.int64), item_E[source + gap]
        counts = (user_E[source] == user_E[source + gap]) & (first != second) & retrievable_I[second]
        keys.append(first[counts] * len(retrievable_I) + second[counts])
        weights.append(np.full(int(counts.sum()), 1.0 / gap))
    return np.concatenate(keys), np.concatenate(weights)
