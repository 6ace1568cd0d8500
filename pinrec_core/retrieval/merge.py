"""From the neighbours of several queries to one ranked list per request: shared out by budget, without repeats.

The list interleaves the queries by Webster's rule: a query of budget b claims its r-th neighbour (r from 0) at key
(r + 1/2) / b, and claims are taken in order of their key, the earlier query first at a tie. So every prefix of the list
is split by the budgets as evenly as integers allow, not only the whole of it. An item that several queries found stays
where its smallest key puts it. The place that a repeat leaves free goes to whichever claim is next, which hands the
unused budget to all queries in proportion to theirs.

Legend: B requests, Q queries, K neighbours per query, M = Q * K claims, N list length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinrec_core.schemas import NO_ITEM


class Claims(NamedTuple):
    """Ranked claims of each request without repeats; `source_BN` is the flat position (query * K + rank) of each."""

    source_BN: np.ndarray
    filled_BN: np.ndarray  # bool; False = nothing was left to claim
    complete_B: np.ndarray  # bool; whether deeper neighbours could not change the list


def interleave(item_BQK: np.ndarray, budget_BQ: np.ndarray, n: int) -> Claims:
    """Rank the claims of all queries with a budget and keep the first `n` distinct items of each request.

    Neighbours of a query come best first, NO_ITEM where there are no more. `complete_B` is False for a request whose
    list might differ had the search gone deeper than K: ask again with K = n, which is always deep enough. A request
    whose budgets sum to less than n has no more items than that to wait for.
    """
    B, Q, K = item_BQK.shape
    with np.errstate(divide="ignore"):
        per_place_BQ = np.where(budget_BQ > 0, 1.0 / budget_BQ, np.inf)
    key_BM = (per_place_BQ[:, :, None] * (np.arange(K) + 0.5)).reshape(B, Q * K)
    item_BM = item_BQK.reshape(B, Q * K)
    key_BM = np.where(item_BM == NO_ITEM, np.inf, key_BM)
    order_BM = np.argsort(key_BM, axis=1, kind="stable")
    sorted_key_BM = np.take_along_axis(key_BM, order_BM, axis=1)
    item_sorted_BM = np.where(np.isinf(sorted_key_BM), NO_ITEM, np.take_along_axis(item_BM, order_BM, axis=1))
    place_BN = first_distinct(item_sorted_BM, n)
    filled_BN = place_BN >= 0
    place_BN = np.maximum(place_BN, 0)
    taken_key_BN = np.where(filled_BN, np.take_along_axis(sorted_key_BM, place_BN, axis=1), 0.0)
    last_key_B = taken_key_BN.max(axis=1, initial=0.0)
    unseen_key_B = ((K + 0.5) * per_place_BQ).min(axis=1, initial=np.inf)
    full_B = filled_BN.sum(axis=1) >= np.minimum(n, budget_BQ.sum(axis=1))
    return Claims(np.take_along_axis(order_BM, place_BN, axis=1), filled_BN, full_B & (last_key_B < unseen_key_B))


def first_distinct(item_BM: np.ndarray, n: int) -> np.ndarray:
    """Columns of the first n distinct items of each row in order, [B, n]; -1 where a row has fewer. NO_ITEM is skipped.

    >>> first_distinct(np.array([[7, 7, -1, 3, 7, 5]]), 4)
    array([[ 0,  3,  5, -1]])
    """
    B, M = item_BM.shape
    by_item_BM = np.argsort(item_BM, axis=1, kind="stable")
    grouped_BM = np.take_along_axis(item_BM, by_item_BM, axis=1)
    first_BM = np.ones((B, M), dtype=bool)
    first_BM[:, 1:] = grouped_BM[:, 1:] != grouped_BM[:, :-1]
    keep_BM = np.zeros((B, M), dtype=bool)
    np.put_along_axis(keep_BM, by_item_BM, first_BM & (grouped_BM != NO_ITEM), axis=1)
    rank_BM = np.cumsum(keep_BM, axis=1) - 1
    row, column = np.nonzero(keep_BM & (rank_BM < n))
    out_BN = np.full((B, n), -1, dtype=np.int64)
    out_BN[row, rank_BM[row, column]] = column
    return out_BN
