"""Metrics by hand: three requests, lists of four."""

import doctest

import numpy as np
import pytest

from pinrec_core.evaluation import bootstrap, embedding, metrics
from pinrec_core.evaluation.metrics import (
    NEVER,
    best_ranks,
    coverage,
    distinct_items,
    hit_rate,
    recall,
    target_ranks,
    user_means,
)
from pinrec_core.model import transitions

LISTS = np.array([[3, 1, 4, 2], [9, 8, 7, -1], [5, 5, 6, 0]])
REQUEST_T, ITEM_T = np.array([0, 0, 0, 1, 2]), np.array([1, 2, 99, 10, 6])


def test_ranks():
    assert target_ranks(LISTS, REQUEST_T, ITEM_T).tolist() == [1, 3, NEVER, NEVER, 2]
    assert target_ranks(LISTS, np.array([1]), np.array([-1])).tolist() == [NEVER]  # padding is no hit
    assert target_ranks(LISTS[:, :0], REQUEST_T, ITEM_T).tolist() == [NEVER] * 5


def test_ranks_in_blocks_are_the_same(monkeypatch):
    whole = target_ranks(LISTS, REQUEST_T, ITEM_T)
    monkeypatch.setattr(metrics, "_CELLS", 8)
    assert (target_ranks(LISTS, REQUEST_T, ITEM_T) == whole).all()


@pytest.mark.parametrize("k, recalls, hits", [(1, [0, 0, 0], [0, 0, 0]), (2, [1 / 3, 0, 0], [1, 0, 0]),
                                              (3, [1 / 3, 0, 1], [1, 0, 1]), (4, [2 / 3, 0, 1], [1, 0, 1])])
def test_recall_and_hit_rate(k, recalls, hits):
    rank_T = target_ranks(LISTS, REQUEST_T, ITEM_T)
    assert recall(rank_T, REQUEST_T, 3, k) == pytest.approx(recalls)
    assert hit_rate(rank_T, REQUEST_T, 3, k) == pytest.approx(hits)


def test_no_targets_is_no_number():
    assert np.isnan(recall(np.zeros(0, int), np.zeros(0, int), 2, 10)).all()
    assert np.isnan(hit_rate(np.zeros(0, int), np.zeros(0, int), 2, 10)).all()


def test_best_rank_over_a_requests_own_queries():
    # request 0 has queries 0 and 1, request 1 has none, request 2 has query 2
    lists, request_M = np.array([[1, 2, 3], [3, 4, 5], [1, 6, 7]]), np.array([0, 0, 2])
    found = best_ranks(lists, request_M, np.array([0, 0, 0, 1, 2, 2]), np.array([3, 5, 6, 1, 1, 2]))
    assert found.tolist() == [0, 2, NEVER, NEVER, 0, NEVER]


def test_a_user_counts_once():
    assert user_means(np.array([1.0, 0.0, 0.5]), np.array([0, 0, 1]), 3)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(user_means(np.array([1.0]), np.array([0]), 2)[1])


def test_spread():
    assert distinct_items(LISTS, 2) == 5 and distinct_items(LISTS, 4) == 10
    assert coverage(LISTS, 2, 20) == 0.25 and np.isnan(coverage(LISTS, 2, 0))


@pytest.mark.parametrize("module", [metrics, bootstrap, embedding, transitions])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
