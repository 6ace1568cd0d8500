"""Who is in a cohort and what counts as a target, on the hand-made dataset."""

import numpy as np
import pytest

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import ConfigError
from pinrec_core.evaluation.cohort import PER_USER, PER_VIEW, build_cohort


def targets(cohort, dataset, items):
    users = dataset.user_ids.to_pylist()
    return [(users[cohort.requests.user_R[r]], items[i], int(a))
            for r, i, a in zip(cohort.request_T, cohort.item_T, cohort.actions_T, strict=True)]


def test_home_has_one_request_per_user(dataset_dir, tiny):
    dataset = Dataset.open(dataset_dir)
    cohort = build_cohort(dataset, "home", EvaluationConfig())
    assert cohort.unit == PER_USER and len(cohort) == 3
    # a: two views joined, bits OR-ed; b: the query q1 is not retrievable; c: p6 is after the window; d: no positive
    assert targets(cohort, dataset, tiny.items) == [("a", "p1", 1), ("a", "p2", 3), ("b", "p2", 2), ("c", "p5", 1)]


def test_search_has_one_request_per_view_with_its_query_last(dataset_dir, tiny):
    dataset = Dataset.open(dataset_dir)
    cohort = build_cohort(dataset, "search", EvaluationConfig())
    assert cohort.unit == PER_VIEW and len(cohort) == 2 and len(cohort.user_U) == 1
    assert targets(cohort, dataset, tiny.items) == [("e", "p3", 1), ("e", "p7", 2), ("e", "p8", 1)]
    first, second = cohort.histories(dataset, 0, 2, limit=8)
    assert [tiny.items[i] for i in first.item_T] == ["p2", "p7", "q0"] and first.actions_T.tolist() == [1, 1, 0]
    assert tiny.items[second.item_T[-1]] == "q1"
    assert len(cohort.histories(dataset, 0, 1, limit=2)[0].item_T) == 2


def test_histories_stop_at_the_window(dataset_dir, tiny):
    dataset = Dataset.open(dataset_dir)
    cohort = build_cohort(dataset, "home", EvaluationConfig())
    names = [[tiny.items[i] for i in history.item_T] for history in cohort.histories(dataset, 0, 3, limit=8)]
    assert names == [["p1", "p2", "p3"], ["p2", "p5"], []]


def test_samples_are_seeded(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    few = [build_cohort(dataset, "home", EvaluationConfig(max_users=2, seed=seed)) for seed in (0, 0, *range(1, 9))]
    assert all(len(cohort.user_U) == 2 for cohort in few)
    assert np.array_equal(few[0].user_U, few[1].user_U)
    assert any(not np.array_equal(few[0].user_U, cohort.user_U) for cohort in few)


def test_unknown_surface_is_refused(dataset_dir):
    with pytest.raises(ConfigError, match="shop"):
        build_cohort(Dataset.open(dataset_dir), "shop", EvaluationConfig())
