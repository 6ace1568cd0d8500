"""Item-to-item transitions, counted and not trained: what users engaged with soon after an item, nearer ones more.

A pair (i, j) gets 1 / gap for every time a user engaged with j `gap` <= 10 engagements after i, times how much the
engagement with j still counts (old ones may count less); repeats of i itself do not count. What follows an item is
then divided by the root of its total: otherwise the popular items of a history would drown what is told by the others.
Everything before the cut counts, whatever the surface and whoever the user.

Legend: I items, E engagements before the cut, P distinct pairs sorted by (source, falling weight), R requests,
L latest items of a request, C items that are candidates for some request of a block, N list length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pinrec_core.schemas import NO_ITEM

WINDOW = 10  # engagements after an item that count as following it
NEIGHBOURS = 200  # kept per item
FLOOR = 1.0  # with a prior: what every item gets, relative to the mean weight of an item in the request
_SOURCE = 1 << 31  # keys of pairs are source * _SOURCE + target
_PAIRS = 4_000_000  # pairs counted at a time
_REQUESTS = 64  # requests weighed at a time
FAINT = 0.01  # a weight as small as this doubles the odds of an item
LATEST = 20  # history items that are looked at
DECAY = 0.8  # weight of an item relative to the one after it


@dataclass(frozen=True)
class Transitions:
    """Following items of each item, heaviest first: those of i are [offsets[i], offsets[i + 1])."""

    offsets_I1: np.ndarray
    item_P: np.ndarray
    weight_P: np.ndarray

    def save(self, path: Path) -> None:
        """Write as numpy arrays, without a time stamp: equal transitions give equal bytes."""
        np.savez(path, offsets=self.offsets_I1, item=self.item_P.astype(np.int32), weight=self.weight_P)

    @classmethod
    def load(cls, path: Path) -> Transitions:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["offsets"], arrays["item"].astype(np.int64), arrays["weight"])

    def with_more_items(self, count: int) -> Transitions:
        """The same, knowing `count` more items that follow nothing and are followed by nothing."""
        return Transitions(np.pad(self.offsets_I1, (0, count), mode="edge"), self.item_P, self.weight_P)

    def equals(self, other: Transitions) -> bool:
        """Whether the other says the very same."""
        return all(np.array_equal(getattr(self, name), getattr(other, name))
                   for name in ("offsets_I1", "item_P", "weight_P"))

    def rank(self, latest_RL: np.ndarray, decay: float, n: int, prior_I: np.ndarray | None = None) -> np.ndarray:
        """The n items that follow a request's latest items most, [R, n]; ties to the lower index, NO_ITEM at the end.

        `latest_RL` has the latest item first, NO_ITEM at padding; the l-th counts decay ** l. With `prior_I` (above 0
        for what may be listed) an item's score is (weight + FLOOR * mean weight) * prior, so that the prior alone ranks
        what follows nothing.
        """
        out_RN = np.full((len(latest_RL), n), NO_ITEM, dtype=np.int64)
        always = np.zeros(0, np.int64) if prior_I is None else np.argsort(-prior_I, kind="stable")[:n]
        for start in range(0, len(latest_RL), _REQUESTS):
            part = slice(start, start + _REQUESTS)
            item_C, weight_RC = self._weigh(latest_RL[part], decay, always)
            if prior_I is not None:
                mean_R1 = weight_RC.sum(axis=1, keepdims=True) / len(prior_I)
                weight_RC = (weight_RC + FLOOR * mean_R1 + np.finfo(float).tiny ** 0.5) * prior_I[item_C]
            column_RN = heaviest(weight_RC, n)
            out_RN[part] = np.where(column_RN >= 0, np.append(item_C, NO_ITEM)[column_RN], NO_ITEM)
        return out_RN

    def followers(self, latest_RL: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """What follows a request's latest items: items and weights [R, most], heaviest first; NO_ITEM and 0 pad."""
        item_RC = np.full((len(latest_RL), most), NO_ITEM, dtype=np.int64)
        weight_RC = np.zeros(item_RC.shape, np.float32)
        for start in range(0, len(latest_RL), _REQUESTS):
            part = slice(start, start + _REQUESTS)
            item_C, all_RC = self._weigh(latest_RL[part], DECAY, np.zeros(0, np.int64))
            column_RC = heaviest(all_RC, most)
            item_RC[part] = np.append(item_C, NO_ITEM)[column_RC]
            weight_RC[part] = np.take_along_axis(np.pad(all_RC, ((0, 0), (0, 1))), column_RC, axis=1)
        return item_RC, weight_RC

    def _weigh(self, latest_RL: np.ndarray, decay: float, always: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items that follow any of these requests' latest items, and `always`, ascending; weights per request."""
        request, age = np.nonzero(latest_RL != NO_ITEM)
        source = latest_RL[request, age]
        count = self.offsets_I1[source + 1] - self.offsets_I1[source]
        pair = np.arange(count.sum()) + np.repeat(self.offsets_I1[source] - (np.cumsum(count) - count), count)
        listed_I = np.zeros(len(self.offsets_I1) - 1, dtype=bool)
        listed_I[self.item_P[pair]] = True
        listed_I[always] = True
        item_C = np.flatnonzero(listed_I)
        column = np.cumsum(listed_I)[self.item_P[pair]] - 1
        weights = self.weight_P[pair] * np.repeat(decay ** age.astype(float), count)
        R, C = len(latest_RL), len(item_C)
        flat = np.bincount(np.repeat(request, count) * C + column, weights=weights, minlength=R * C)
        return item_C, flat.reshape(R, C)


def bonus(weight: np.ndarray) -> np.ndarray:
    """log(1 + weight / FAINT): what a transition's weight adds to an item's log-probability, 0 for no transition."""
    return np.log1p(weight / FAINT)


def latest_first(item_BT: np.ndarray, length_B: np.ndarray) -> np.ndarray:
    """The last LATEST items of right-padded histories, latest first, [B, LATEST]; NO_ITEM pads.

    >>> latest_first(np.array([[3, 5, -1], [4, -1, -1]]), np.array([2, 1]))[:, :3]
    array([[ 5,  3, -1],
           [ 4, -1, -1]])
    """
    place_BL = length_B[:, None] - 1 - np.arange(LATEST)
    padded_BT = np.pad(item_BT, ((0, 0), (0, 1)), constant_values=NO_ITEM)
    return np.where(place_BL >= 0, np.take_along_axis(padded_BT, np.maximum(place_BL, 0), axis=1), NO_ITEM)


def count_transitions(item_E: np.ndarray, user_E: np.ndarray, retrievable_I: np.ndarray,
                    weight_E: np.ndarray | None = None) -> Transitions:
    """Transitions from engagements grouped by user in time order; only retrievable items are counted as following.

    `weight_E` says how much each engagement counts as a follower; without it all count 1.
    """
    weight_E = retrievable_I[item_E] * (1.0 if weight_E is None else weight_E)
    items, step = len(retrievable_I), max(1, _PAIRS // WINDOW)
    keys, weights, waiting = np.zeros(0, np.int64), np.zeros(0), []
    for start in range(0, len(item_E), step):
        waiting.append(_summed(*_pairs(item_E, user_E, weight_E, np.arange(start, min(start + step, len(item_E))))))
        if start + step >= len(item_E) or sum(len(key) for key, _ in waiting) > len(keys):  # merge when it doubles
            parts = zip((keys, weights), *waiting, strict=True)
            (keys, weights), waiting = _summed(*(np.concatenate(part) for part in parts)), []
    source, target = keys // _SOURCE, keys % _SOURCE
    weights = weights / np.sqrt(1 + np.bincount(source, weights=weights, minlength=items))[source]
    order = np.lexsort((target, -weights, source))
    source, target, weights = source[order], target[order], weights[order]
    kept = np.arange(len(source)) - np.searchsorted(source, source) < NEIGHBOURS
    offsets_I1 = np.concatenate([[0], np.cumsum(np.bincount(source[kept], minlength=items))])
    return Transitions(offsets_I1, target[kept], weights[kept])


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


def _pairs(item_E: np.ndarray, user_E: np.ndarray, weight_E: np.ndarray,
           place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted (source, target) keys whose source is at one of the given places."""
    keys, weights = [], []
    for gap in range(1, WINDOW + 1):
        source = place[place + gap < len(item_E)]
        first, second, weight = item_E[source].astype(np.int64), item_E[source + gap], weight_E[source + gap] / gap
        counts = (user_E[source] == user_E[source + gap]) & (first != second) & (weight > 0)
        keys.append(first[counts] * _SOURCE + second[counts])
        weights.append(weight[counts])
    return np.concatenate(keys), np.concatenate(weights)
