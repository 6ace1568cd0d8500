"""Effective rank by hand, doubles counted, samples bounded."""

import numpy as np
import pytest

from pinrec_core.evaluation import embedding
from pinrec_core.evaluation.embedding import duplicate_share, effective_rank, embedding_health


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def test_effective_rank_is_the_exponential_of_the_entropy_of_the_spectrum():
    singular = np.array([3.0, 2.0, 1.0])
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(50, 3)))[0]
    right = np.linalg.qr(rng.normal(size=(8, 3)))[0]
    share = singular / 6
    expected = np.exp(-(share * np.log(share)).sum())
    assert effective_rank(left * singular @ right.T) == pytest.approx(expected, rel=1e-6)


def test_effective_rank_goes_from_one_to_the_dimension():
    rng = np.random.default_rng(0)
    assert effective_rank(np.repeat(unit(rng.normal(size=(1, 16))), 500, axis=0)) == pytest.approx(1, abs=0.01)
    assert effective_rank(unit(rng.normal(size=(5000, 16)))) == pytest.approx(16, abs=0.1)
    two_directions = unit(np.eye(16)[rng.integers(2, size=500)])
    assert effective_rank(two_directions) == pytest.approx(2, abs=0.01)


def test_doubles_are_those_with_another_near_them_and_not_themselves():
    rng = np.random.default_rng(0)
    apart = unit(rng.normal(size=(400, 32)))
    assert duplicate_share(apart, np.arange(400)) == 0
    near = unit(apart[:30] + 1e-3 * rng.normal(size=(30, 32)))
    both = np.concatenate([apart, near])
    assert duplicate_share(both, np.arange(430)) == pytest.approx(60 / 430)


def test_few_items_or_broken_vectors_give_no_number():
    one = embedding_health(np.ones((1, 4), np.float32) / 2, 0)
    assert one == {"items": 1, "dimension": 4, "effective_rank": None, "duplicate_share": None}
    broken = np.full((5, 4), np.nan, np.float32)
    assert embedding_health(broken, 0)["effective_rank"] is None


def test_of_many_items_a_fixed_sample_is_looked_at(monkeypatch):
    vectors = unit(np.random.default_rng(0).normal(size=(600, 8)))
    whole = embedding_health(vectors, 0)
    monkeypatch.setattr(embedding, "MOST_ITEMS", 200)
    monkeypatch.setattr(embedding, "MOST_PROBES", 50)
    sampled = embedding_health(vectors, 0)
    assert (whole["items"], sampled["items"]) == (600, 200)
    assert sampled == embedding_health(vectors, 0)
    assert sampled["effective_rank"] == pytest.approx(whole["effective_rank"], rel=0.05)
