"""Compression on vectors whose angles are known."""

import numpy as np

from pinrec_core.retrieval.compress import compress, merge_owners, pool_budgets
from pinrec_core.retrieval.generate import Queries
from pinrec_core.retrieval.plan import Plan


def at(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=-1).astype(np.float32)


def test_joins_an_earlier_kept_query_never_a_merged_one():
    # cos 20 = .94, cos 40 = .77: 20 joins 0; 40 is near 20, but 20 was merged, so 40 is kept; 50 joins 40, not 0
    assert merge_owners(at(0, 20, 40, 50)[None], 0.9).tolist() == [[0, 0, 2, 2]]


def test_joins_the_nearest_kept_query():
    assert merge_owners(at(0, 40, 25)[None], 0.9).tolist() == [[0, 1, 1]]


def test_exactly_at_the_limit_is_kept():
    vectors = np.array([[[1, 0], [0, 1]]], np.float32)
    assert merge_owners(vectors, 1e-9).tolist() == [[0, 1]]
    assert merge_owners(np.array([[[1, 0], [1, 0]]], np.float32), 1.0).tolist() == [[0, 1]]


def test_queries_of_different_kinds_never_join():
    assert merge_owners(at(0, 1, 2, 3)[None], 0.9, np.array([0, 1, 0, 1])).tolist() == [[0, 1, 0, 1]]


def test_with_action_biases_each_outcome_is_a_kind(followed_model):
    vector_MD, outcome_Q = np.tile(at(0)[0], (4, 8)), np.array([0, 2, 0, 2])
    told = dict(outcome_Q=outcome_Q, offset_Q=np.zeros(4, int), step_Q=np.arange(4), share_Q=np.ones(4),
                offset_share_Q=np.ones(4), decay_Q=np.ones(4))
    apart = Queries(vector_MD[None], followed_model.search_queries(vector_MD, outcome_Q)[None], Plan(**told))
    assert apart.kind_Q[[0, 0]].tolist() == apart.kind_Q[[0, 2]].tolist() and apart.kind_Q[0] != apart.kind_Q[1]
    assert np.unique(Queries(vector_MD[None], vector_MD[None], Plan(**told)).kind_Q).size == 1


def test_budgets_are_handed_over_and_sum():
    owner_BQ = np.array([[0, 0, 2, 2], [0, 1, 2, 3]])
    assert pool_budgets(np.array([4, 3, 2, 1]), owner_BQ).tolist() == [[7, 0, 3, 0], [4, 3, 2, 1]]


def test_kept_queries_move_to_the_front():
    vector_BQD = np.stack([at(0, 5, 90, 95), at(0, 60, 120, 179)])
    queries = Queries(vector_BQD, vector_BQD, Plan(
        outcome_Q=np.array([0, 1, 0, 1]), offset_Q=np.zeros(4, int), step_Q=np.array([0, 0, 1, 1]),
        share_Q=np.array([0.75, 0.25] * 2), offset_share_Q=np.ones(4), decay_Q=np.ones(4)))
    kept = compress(queries, 0.9, 8)
    assert kept.kept_BP.tolist() == [[True, True, False, False], [True] * 4]
    assert kept.budget_BP[0, :2].tolist() == [4, 4] and kept.budget_BP[1].tolist() == [3, 1, 3, 1]
    assert kept.step_BP[0, :2].tolist() == [0, 1]
    assert (kept.budget_BP * kept.kept_BP).sum(axis=1).tolist() == [8, 8]
