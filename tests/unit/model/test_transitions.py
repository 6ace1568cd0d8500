"""Counted transitions by hand: pairs, gaps, what follows a history, what that adds to a score."""

import zipfile

import numpy as np
import pytest

from pinrec_core.model import transitions
from pinrec_core.model.transitions import LATEST, Transitions, bonus, count_transitions, heaviest, latest_first
from pinrec_core.schemas import NO_ITEM


@pytest.fixture
def three() -> Transitions:
    """0 -> 1 (weight 4), 0 -> 2 (1), 1 -> 2 (2); 2 is followed by nothing."""
    return Transitions(np.array([0, 2, 3, 3]), np.array([1, 2, 2]), np.array([4.0, 1.0, 2.0]))


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


def test_a_prior_multiplies_and_ranks_what_follows_nothing():
    # 0 -> 1 twice, 0 -> 2 once, over sqrt(4)
    found = count_transitions(np.array([0, 1, 0, 1, 0, 2]), np.array([3, 3, 4, 4, 5, 5]), np.ones(5, bool))
    prior_I = np.array([0.1, 1.0, 3.0, 0.0, 0.2])
    # asked after 0: mean .3; 1: (1 + .3) 1, 2: (.5 + .3) 3, 4: .3 x .2, 0: .3 x .1; item 3 may not be listed
    assert found.rank(np.array([[0]]), 1.0, 5, prior_I).tolist() == [[2, 1, 4, 0, -1]]
    assert found.rank(np.array([[-1]]), 1.0, 5, prior_I).tolist() == [[2, 1, 4, 0, -1]]


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


def test_engagements_that_count_less_follow_less():
    # 0 -> 1 counts half and 0 -> 2 a quarter (gap 2 of weight .5): a source's own weight does not matter
    found = count_transitions(np.array([0, 1, 2]), np.zeros(3, int), np.ones(3, bool), np.array([9.0, 0.5, 0.5]))
    weights = np.array([0.5, 0.25])
    assert found.item_P[:2].tolist() == [1, 2]
    assert found.weight_P[:2] == pytest.approx(weights / np.sqrt(1 + weights.sum()))


def test_each_item_keeps_its_heaviest_followers(monkeypatch):
    monkeypatch.setattr(transitions, "NEIGHBOURS", 3)
    found = count_transitions(np.arange(6), np.zeros(6, int), np.ones(6, bool))
    assert found.offsets_I1.tolist() == [0, 3, 6, 9, 11, 12, 12]
    assert found.item_P[:3].tolist() == [1, 2, 3]


def test_followers_of_a_history_add_up_heaviest_first(three):
    latest_RL = np.array([[1, 0], [0, NO_ITEM], [2, NO_ITEM], [NO_ITEM, NO_ITEM]])
    item_RC, weight_RC = three.followers(latest_RL, 3)
    # after 1, then 0 at .8: item 1 gets .8 x 4, item 2 gets 2 + .8 x 1
    assert item_RC.tolist() == [[1, 2, -1], [1, 2, -1], [-1, -1, -1], [-1, -1, -1]]
    np.testing.assert_allclose(weight_RC, [[3.2, 2.8, 0], [4, 1, 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6)


def test_only_the_heaviest_followers_are_told_and_blocks_change_nothing(three, monkeypatch):
    latest_RL = np.array([[0], [1], [2], [0]])
    item_RC, weight_RC = three.followers(latest_RL, 1)
    assert item_RC.tolist() == [[1], [2], [-1], [1]] and weight_RC.tolist() == [[4], [2], [0], [4]]
    monkeypatch.setattr(transitions, "_REQUESTS", 1)
    again = three.followers(latest_RL, 1)
    assert (again[0] == item_RC).all() and (again[1] == weight_RC).all()


def test_the_latest_come_first_and_old_ones_not_at_all():
    item_BT = np.array([np.arange(100, 130), np.full(30, NO_ITEM), [7, 8, *[NO_ITEM] * 28]])
    found = latest_first(item_BT, np.array([30, 0, 2]))
    assert found.shape == (3, LATEST)
    assert found[0].tolist() == list(range(129, 109, -1))
    assert (found[1] == NO_ITEM).all()
    assert found[2].tolist() == [8, 7] + [NO_ITEM] * (LATEST - 2)
    assert (latest_first(np.zeros((2, 0), np.int64), np.zeros(2, np.int64)) == NO_ITEM).all()


def test_a_bonus_is_the_logarithm_of_the_odds_ratio():
    assert bonus(np.array([0.0, 0.01, 0.99])) == pytest.approx(np.log([1.0, 2.0, 100.0]))


def test_the_heaviest_columns_ties_to_the_lower_one():
    assert heaviest(np.array([[1.0, 2.0, 1.0, 0.0], [0.0, 0.0, 3.0, 0.0]]), 2).tolist() == [[1, 0], [2, -1]]


def test_saved_twice_the_bytes_are_equal_and_loaded_they_are_the_same(three, tmp_path):
    for name in "ab":
        three.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}, "no time of writing"
    loaded = Transitions.load(tmp_path / "a.npz")
    for column in ("offsets_I1", "item_P", "weight_P"):
        np.testing.assert_array_equal(getattr(loaded, column), getattr(three, column))
        assert getattr(loaded, column).dtype == getattr(three, column).dtype
