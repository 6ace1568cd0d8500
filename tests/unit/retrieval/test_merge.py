"""Interleaving by budget: lists worked out by hand."""

import numpy as np

from pinrec_core.retrieval.merge import first_distinct, interleave


def ranked(item_BQK, budget_BQ, n):
    item_BQK = np.array(item_BQK)
    claims = interleave(item_BQK, np.array(budget_BQ), n)
    flat = item_BQK.reshape(len(item_BQK), -1)
    items = np.where(claims.filled_BN, np.take_along_axis(flat, claims.source_BN, axis=1), -1)
    return items.tolist(), claims.complete_B.tolist()


def test_places_follow_the_budgets():
    # keys: first query (r + .5) / 3 = .17 .5 .83 1.17, second (r + .5) / 1 = .5 1.5; the earlier wins the tie at .5
    assert ranked([[[1, 2, 3, 4], [11, 12, 13, 14]]], [[3, 1]], 5) == ([[1, 2, 11, 3, 4]], [True])


def test_a_repeat_keeps_its_best_place_and_frees_the_other():
    # item 2 is claimed at .75 by the first and at .25 by the second, so the first goes on to item 3
    assert ranked([[[1, 2, 3, 4], [2, 8, 9, 10]]], [[2, 2]], 4)[0] == [[1, 2, 8, 3]]


def test_a_query_without_budget_claims_nothing():
    assert ranked([[[1, 2], [8, 9]]], [[2, 0]], 2)[0] == [[1, 2]]


def test_too_shallow_is_told():
    assert ranked([[[1, 2], [1, 2]]], [[2, 2]], 4) == ([[1, 2, -1, -1]], [False])
    # filled, but the first query's unseen third item (key 2.5 / 2) would come before 7 (key 1.5 / 1)
    assert ranked([[[1, 2], [6, 7]]], [[2, 1]], 4) == ([[1, 6, 2, 7]], [False])


def test_absent_neighbours_are_skipped():
    assert ranked([[[1, -1, -1], [1, 5, -1]]], [[1, 1]], 3)[0] == [[1, 5, -1]]


def test_first_distinct_pads_short_rows():
    assert first_distinct(np.array([[3, 3, 4], [5, 6, 7]]), 3).tolist() == [[0, 2, -1], [0, 1, 2]]
