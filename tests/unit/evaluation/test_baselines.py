"""Baselines by hand, on the hand-made dataset and on a sequence whose pairs can be counted."""

import numpy as np
import pytest

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.baselines import baseline_lists, fading, latest_items
from pinrec_core.evaluation.cohort import build_cohort
from pinrec_core.model import transitions
from pinrec_core.model.transitions import count_transitions


@pytest.fixture
def names(tiny):
    return lambda list_N: [tiny.items[item] if item >= 0 else "" for item in list_N]


@pytest.fixture
def lists(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    settings = EvaluationConfig()
    return baseline_lists(dataset, build_cohort(dataset, "home", settings), n=6, evaluation=settings)


def test_popularity_counts_only_the_past(lists, names):
    # before the window: p2 x3 (a, b, e); p1, p3, p5, p7 once each, ties by index; nothing else was engaged with
    assert names(lists["popularity"][0]) == ["p2", "p1", "p3", "p5", "p7", ""]


def test_own_surface_popularity_then_the_rest(lists, names):
    assert names(lists["surface_popularity"][0]) == ["p2", "p1", "p5", "p7", "p3", ""]


def test_recent_own_surface_popularity_then_the_rest(lists, names):
    assert names(lists["recent_surface_popularity"][0])[:2] == ["p5", "p2"]  # only b's p5 is from days 8 and 9


def test_neighbours_of_the_last_item(lists, names):
    # last items: a p3 (nothing ever followed it), b p5 (nothing), c none: own-surface popularity fills up
    assert names(lists["last_item_neighbour"][0]) == names(lists["surface_popularity"][0])
    # a's p1 -> p2 1, p3 1/2, over sqrt(2.5); p2 -> p3 1 (a), p5 1 (b), p7 1 (e), over sqrt(4). History p3, p2, p1:
    # .8 p2's followers + .64 p1's: p3 = .4 + .20, p5 = .4, p7 = .4, p2 = .40 (.64 / 1.58)
    assert names(lists["cooccurrence"][0]) == ["p3", "p2", "p5", "p7", "p1", ""]


def test_context_items_count_as_the_latest(dataset_dir, names):
    dataset = Dataset.open(dataset_dir)
    cohort = build_cohort(dataset, "search", EvaluationConfig())
    assert [names(row) for row in latest_items(dataset, cohort, 3)] == [["q0", "p7", "p2"], ["q1", "p7", "p2"]]


def test_pairs_stay_within_a_user_and_skip_repeats(monkeypatch):
    item_E, user_E = np.array([0, 1, 0, 2, 1]), np.array([7, 7, 7, 7, 8])
    retrievable_I = np.array([True, True, False])
    # 0 -> 0 is a repeat, 2 is not retrievable, the last 1 is another user's; each weight is over sqrt(1 + 1)
    expected = {(0, 1): 0.5**0.5, (1, 0): 0.5**0.5}
    for pairs_at_once in (4_000_000, 10):
        monkeypatch.setattr(transitions, "_PAIRS", pairs_at_once)
        found = count_transitions(item_E, user_E, retrievable_I)
        pairs = {(i, int(j)): w for i in range(3) for j, w in zip(
            found.item_P[found.offsets_I1[i]:found.offsets_I1[i + 1]],
            found.weight_P[found.offsets_I1[i]:found.offsets_I1[i + 1]], strict=True)}
        assert pairs == pytest.approx(expected)


def test_gaps_weigh_inversely_up_to_the_window():
    found = count_transitions(np.arange(13), np.zeros(13, int), np.ones(13, bool))
    followers = found.item_P[found.offsets_I1[0]:found.offsets_I1[1]]
    assert followers.tolist() == list(range(1, 11))
    weights = 1 / np.arange(1, 11)
    assert found.weight_P[:10] == pytest.approx(weights / np.sqrt(1 + weights.sum()))


def test_old_engagements_follow_less():
    fresh, old = count_transitions(np.array([0, 1, 0, 2]), np.array([3, 3, 4, 4]), np.ones(3, bool),
                                 fading(np.array([9.0, 8.0, 1.0, 0.0]), 4.0)).weight_P[:2]
    assert old / fresh == pytest.approx(0.25)
    assert (fading(np.array([0.0, 700.0]), 0.0) == 1).all()


def test_a_prior_multiplies_and_ranks_what_follows_nothing():
    # 0 -> 1 twice, 0 -> 2 once, over sqrt(4)
    found = count_transitions(np.array([0, 1, 0, 1, 0, 2]), np.array([3, 3, 4, 4, 5, 5]), np.ones(5, bool))
    prior_I = np.array([0.1, 1.0, 3.0, 0.0, 0.2])
    # asked after 0: mean .3; 1: (1 + .3) 1, 2: (.5 + .3) 3, 4: .3 x .2, 0: .3 x .1; item 3 may not be listed
    assert found.rank(np.array([[0]]), 1.0, 5, prior_I).tolist() == [[2, 1, 4, 0, -1]]
    assert found.rank(np.array([[-1]]), 1.0, 5, prior_I).tolist() == [[2, 1, 4, 0, -1]]


def test_cooccurrence_x_recent_prefers_what_is_recent_here(lists, names):
    # p5 was engaged with on this surface a day before the window, p3 never: what follows alone puts p3 first
    assert names(lists["cooccurrence_x_recent"][0])[:2] == ["p5", "p2"]


def test_ranks_in_blocks_are_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    found = count_transitions(rng.integers(50, size=2000), np.repeat(np.arange(100), 20), np.ones(50, bool))
    latest_RL = rng.integers(-1, 50, size=(30, 4))
    whole = found.rank(latest_RL, 0.5, 12)
    brute_RI = np.zeros((30, 50))
    for request, age in zip(*np.nonzero(latest_RL >= 0), strict=True):
        mine = slice(*found.offsets_I1[latest_RL[request, age] + np.arange(2)])
        brute_RI[request, found.item_P[mine]] += found.weight_P[mine] * 0.5**age
    assert (np.argsort(-brute_RI.round(9), axis=1, kind="stable")[:, :3] == whole[:, :3]).mean() > 0.95
    monkeypatch.setattr(transitions, "_REQUESTS", 7)
    assert (found.rank(latest_RL, 0.5, 12) == whole).all()
