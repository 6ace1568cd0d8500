"""Requests, histories and the cut of time."""

import numpy as np
import pytest

from pinrec_core.data.batch import collate
from pinrec_core.data.requests import requests_in
from pinrec_core.errors import DataError
from pinrec_core.schemas import NO_ITEM

ALL = np.arange(4)


def targets(requests) -> list[dict]:
    cuts = zip(requests.offsets_R1[:-1], requests.offsets_R1[1:], strict=True)
    return [dict(zip(requests.item_T[a:b].tolist(), requests.actions_T[a:b].tolist(), strict=True)) for a, b in cuts]


def test_a_user_is_one_request_with_the_union_of_targets_and_actions(dataset):
    requests = requests_in(dataset, "home", 1000, 1200, ALL)
    assert requests.user_R.tolist() == [0, 3]
    assert requests.context_R.tolist() == [NO_ITEM, NO_ITEM]
    assert targets(requests) == [{2: 3}, {7: 1}]


def test_views_with_context_are_requests_of_their_own(dataset):
    requests = requests_in(dataset, "search", 1000, 1200, ALL)
    assert requests.user_R.tolist() == [3, 3]
    assert requests.context_R.tolist() == [9, 9]
    assert targets(requests) == [{7: 1}, {7: 1, 8: 1}]


def test_only_asked_users_and_retrievable_targets_count(dataset):
    assert targets(requests_in(dataset, "home", 800, 1000, np.array([1]))) == [{2: 1}]
    assert len(requests_in(dataset, "home", 500, 1000, np.array([2]))) == 0


def test_histories_end_before_the_window_and_carry_the_context(dataset):
    batch = collate(requests_in(dataset, "search", 900, 1000, ALL).histories(dataset, max_length=10))
    assert batch.item_BT.tolist() == [[1, 9]]
    assert batch.time_BT.tolist() == [[500, 900]]
    batch = collate(requests_in(dataset, "home", 1000, 1200, ALL).histories(dataset, max_length=2))
    assert batch.item_BT.tolist() == [[6, 8], [NO_ITEM, NO_ITEM]]
    assert batch.length_B.tolist() == [2, 0]


def test_taking_rows_keeps_their_targets(dataset):
    requests = requests_in(dataset, "search", 1000, 1200, ALL)
    assert targets(requests.take(np.array([1]))) == [{7: 1, 8: 1}]


def test_before_is_exclusive_and_per_user(dataset):
    at = dataset.before(np.array([0, 0, 0, 1, 2, 3]), np.array([0, 200, 201, 10**9, 5, 1100]))
    starts = dataset.offsets_U1[[0, 0, 0, 1, 2, 3]]
    assert (at - starts).tolist() == [0, 2, 3, 4, 0, 0]


def test_an_unknown_user_is_named(dataset):
    assert dataset.user_index("2") == 2
    with pytest.raises(DataError, match="user 'nobody'"):
        dataset.user_index("nobody")
