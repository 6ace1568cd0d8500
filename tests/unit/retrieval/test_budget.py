"""Budgets: arithmetic by hand, and integers that always sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_core.config import GenerationConfig, LogConfig
from pinrec_core.errors import ConfigError
from pinrec_core.retrieval.budget import query_budgets, resolve_shares, split_budget

LOG = LogConfig(surfaces=("home",), positive_actions=("click", "save", "share"), negative_actions=("hide",))


@pytest.mark.parametrize("total, shares, expected", [
    (10, [0.5, 0.25, 0.25], [5, 3, 2]),  # quotas 5, 2.5, 2.5: the tie goes to the earlier
    (7, [1, 1, 1], [3, 2, 2]),
    (10, [0.62, 0.27, 0.11], [6, 3, 1]),  # remainders .2, .7, .1
    (3, [0.9, 0.1, 0.0], [3, 0, 0]),
    (100, [0.29, 0.57, 0.14], [29, 57, 14]),  # 0.29 * 100 is just below 29 in binary
    (0, [0.3, 0.7], [0, 0]),
])
def test_split_by_hand(total, shares, expected):
    assert split_budget(total, shares) == expected


@given(st.integers(0, 5000), st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda s: sum(s) > 1e-3))
def test_split_sums_and_stays_within_one_of_the_quota(total, shares):
    budgets = split_budget(total, shares)
    quota = np.array(shares) * total / np.sum(shares)
    assert sum(budgets) == total
    assert (np.abs(np.array(budgets) - quota) < 1 + 1e-6).all()


@pytest.mark.parametrize("total, shares", [(5, [0, 0]), (5, [0.5, -0.1]), (5, [float("nan")]), (-1, [1.0])])
def test_split_refuses(total, shares):
    with pytest.raises(ConfigError):
        split_budget(total, shares)


def test_outcomes_are_split_before_steps():
    outcome_Q, decay_Q = np.array([0, 1, 0, 1, 0, 1]), np.array([1, 1, 0.5, 0.5, 0.25, 0.25])
    share_Q = np.array([0.75, 0.25] * 3)
    # 20 -> click 15, save 5; click over weights 4:2:1 = 8.57, 4.29, 2.14 -> 9, 4, 2; save = 2.86, 1.43, .71 -> 3, 1, 1
    step_Q = np.array([0, 0, 1, 1, 2, 2])
    assert query_budgets(20, (outcome_Q, share_Q), (step_Q, decay_Q)).tolist() == [9, 3, 4, 1, 2, 1]


def test_offsets_are_split_between_outcomes_and_steps():
    """2 steps x 2 outcomes x 2 offsets in generation order."""
    step_Q, outcome_Q, offset_Q = (axis.ravel() for axis in np.indices((2, 2, 2)))
    levels = ((outcome_Q, np.array([0.7, 0.3])[outcome_Q]), (offset_Q, np.array([0.5, 0.5])[offset_Q]),
              (step_Q, 0.5**step_Q))
    # 10 -> 7 and 3; 7 -> 4 and 3, 3 -> 2 and 1 over offsets; then steps at 2 : 1: 4 -> 3, 1; 3 -> 2, 1; 2 -> 1, 1
    assert query_budgets(10, *levels).tolist() == [3, 2, 1, 1, 1, 1, 1, 0]


def test_queries_alike_on_every_level_share_one_budget():
    assert query_budgets(5, (np.zeros(3, int), np.ones(3))).tolist() == [5, 0, 0]


shares = st.lists(st.floats(1e-3, 1), min_size=1, max_size=6)


@given(st.integers(0, 1000), shares, shares, st.integers(1, 16), st.floats(0.05, 1))
def test_budgets_of_outcomes_offsets_and_steps_sum_to_what_was_asked(total, outcomes, offsets, steps, decay):
    step_Q, o_Q, f_Q = (axis.ravel() for axis in np.indices((steps, len(outcomes), len(offsets))))
    budget_Q = query_budgets(total, (o_Q, np.array(outcomes)[o_Q]), (f_Q, np.array(offsets)[f_Q]),
                             (step_Q, decay**step_Q))
    assert budget_Q.sum() == total and (budget_Q >= 0).all()
    per_outcome = np.bincount(o_Q, weights=budget_Q)
    assert (np.abs(per_outcome - total * np.array(outcomes) / sum(outcomes)) < 1 + 1e-6).all()
    for outcome, budget in enumerate(per_outcome):
        per_offset = np.bincount(f_Q[o_Q == outcome], weights=budget_Q[o_Q == outcome])
        assert (np.abs(per_offset - budget * np.array(offsets) / sum(offsets)) < 1 + 1e-6).all()


def test_shares_asked_beat_configured_beat_trained():
    generation = GenerationConfig(budgets={"home": {"save": 1.0}})
    trained = {"home": {"click": 0.9, "save": 0.1}}
    assert resolve_shares("home", LOG, generation, trained, {"share": 1, "click": 3}) == {"click": 0.75, "share": 0.25}
    assert resolve_shares("home", LOG, generation, trained) == {"save": 1.0}
    assert resolve_shares("home", LOG, GenerationConfig(), trained) == trained["home"]
    assert list(resolve_shares("else", LOG, generation, trained).values()) == pytest.approx([1 / 3] * 3)


def test_largest_share_comes_first_and_zero_shares_go():
    assert list(resolve_shares("home", LOG, GenerationConfig(), {}, {"click": 0.2, "save": 0, "share": 0.8})) \
        == ["share", "click"]


@pytest.mark.parametrize("asked, name", [({"hide": 1.0}, "hide"), ({"clack": 1.0}, "clack"), ({"click": -1.0}, "click"),
                                         ({"click": 0.0}, "click")])
def test_impossible_shares_are_named(asked, name):
    with pytest.raises(ConfigError, match=name):
        resolve_shares("home", LOG, GenerationConfig(), {}, asked)
