"""Retrieval metrics. Everything follows from one number per target: its rank in a list (0 = first).

Values are per user and then averaged over users, so a heavy user counts like any other. What nothing can be said about
is NaN, never 0; a mean leaves NaN out and says over how many users it is (`n`).

Legend: R requests, N list length, T targets of all requests, U users, M query lists, K their length.
"""

from __future__ import annotations

import numpy as np

from pinrec_core.schemas import NO_ITEM

NEVER = np.iinfo(np.int64).max  # rank of a target that is not in the list
_CELLS = 8_000_000  # comparisons made at a time


def target_ranks(item_RN: np.ndarray, request_T: np.ndarray, item_T: np.ndarray) -> np.ndarray:
    """Rank of each target in the list of its request, from 0; NEVER if it is not there. Padding (NO_ITEM) never hits.

    A list with repeats counts the first place.

    >>> target_ranks(np.array([[4, 2, 7], [5, -1, -1]]), np.array([0, 0, 1]), np.array([7, 9, 5])) == [2, NEVER, 0]
    array([ True,  True,  True])
    """
    rank_T = np.full(len(item_T), NEVER, dtype=np.int64)
    if not item_RN.shape[1]:
        return rank_T
    block = max(1, _CELLS // item_RN.shape[1])
    for start in range(0, len(item_T), block):
        part = slice(start, start + block)
        match_TN = item_RN[request_T[part]] == item_T[part, None]
        found_T = match_TN.any(axis=1) & (item_T[part] != NO_ITEM)
        rank_T[part][found_T] = match_TN[found_T].argmax(axis=1)
    return rank_T


def best_ranks(item_MK: np.ndarray, request_M: np.ndarray, request_T: np.ndarray, item_T: np.ndarray) -> np.ndarray:
    """Rank of each target in the best of its request's query lists; NEVER if none has it. `request_M` ascends.

    >>> lists = np.array([[4, 2], [2, 7], [9, 9]])
    >>> best_ranks(lists, np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([2, 7, 9]))
    array([0, 1, 0])
    """
    first_T = np.searchsorted(request_M, request_T, side="left")
    count_T = np.searchsorted(request_M, request_T, side="right") - first_T
    target = np.repeat(np.arange(len(item_T)), count_T)
    query = np.arange(count_T.sum()) + np.repeat(first_T - (np.cumsum(count_T) - count_T), count_T)
    best_T = np.full(len(item_T), NEVER, dtype=np.int64)
    np.minimum.at(best_T, target, target_ranks(item_MK, query, item_T[target]))
    return best_T


def recall(rank_T: np.ndarray, request_T: np.ndarray, requests: int, k: int) -> np.ndarray:
    """recall@k of each request: targets among the first k / all its targets, in [0, 1], higher is better.

    The denominator is not capped at k: a request with 20 targets reaches at most 0.5 at k = 10. A request without
    targets has no recall: NaN. With `best_ranks` this is unordered recall: the best of all queries counts.

    >>> recall(np.array([0, 12, 3]), np.array([0, 0, 2]), 3, k=10)
    array([0.5, nan, 1. ])
    """
    targets_R = np.bincount(request_T, minlength=requests)
    hits_R = np.bincount(request_T, weights=rank_T < k, minlength=requests)
    return np.divide(hits_R, targets_R, out=np.full(requests, np.nan), where=targets_R > 0)


def hit_rate(rank_T: np.ndarray, request_T: np.ndarray, requests: int, k: int) -> np.ndarray:
    """hit rate@k of each request: 1 if any target is among the first k, else 0; NaN without targets; higher is better.

    >>> hit_rate(np.array([0, 12, 30]), np.array([0, 0, 2]), 3, k=10)
    array([ 1., nan,  0.])
    """
    share_R = recall(rank_T, request_T, requests, k)
    return np.where(np.isnan(share_R), np.nan, share_R > 0)


def ndcg(rank_T: np.ndarray, request_T: np.ndarray, requests: int, k: int) -> np.ndarray:
    """NDCG@k of each request, all its targets equally good; NaN without targets; in [0, 1], higher is better.

    Sum over targets among the first k of 1 / log2(rank + 2), over what min(targets, k) best places would give
    (Jarvelin and Kekalainen, 2002).

    >>> ndcg(np.array([0, 2, 12]), np.array([0, 0, 2]), 3, k=10).round(3)
    array([0.92,  nan, 0.  ])
    """
    gain_T = np.where(rank_T < k, 1 / np.log2(np.minimum(rank_T, k) + 2.0), 0.0)
    gain_R = np.bincount(request_T, weights=gain_T, minlength=requests)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2.0))])
    best_R = ideal[np.minimum(np.bincount(request_T, minlength=requests), k)]
    return np.divide(gain_R, best_R, out=np.full(requests, np.nan), where=best_R > 0)


def user_means(value_R: np.ndarray, user_row_R: np.ndarray, users: int) -> np.ndarray:
    """Mean over each user's requests, NaN requests left out; NaN for a user of whom nothing is left.

    >>> user_means(np.array([1.0, 0.0, np.nan, np.nan]), np.array([0, 0, 0, 1]), 2)
    array([0.5, nan])
    """
    known_R = ~np.isnan(value_R)
    count_U = np.bincount(user_row_R[known_R], minlength=users)
    sum_U = np.bincount(user_row_R[known_R], weights=value_R[known_R], minlength=users)
    return np.divide(sum_U, count_U, out=np.full(users, np.nan), where=count_U > 0)


def distinct_items(item_RN: np.ndarray, k: int) -> int:
    """Number of different items in the first k places of all lists; padding does not count. Higher is more diverse.

    >>> distinct_items(np.array([[1, 2, 3], [1, -1, -1]]), 2)
    2
    """
    items = np.unique(item_RN[:, :k])
    return int((items != NO_ITEM).sum())


def coverage(item_RN: np.ndarray, k: int, retrievable: int) -> float:
    """Share of the retrievable items that some list has in its first k places, in [0, 1]; NaN without items.

    It grows with the number of lists, so compare it only between rows over the same requests.

    >>> coverage(np.array([[1, 2, 3], [1, -1, -1]]), 2, retrievable=8)
    0.25
    """
    return distinct_items(item_RN, k) / retrievable if retrievable else float("nan")
