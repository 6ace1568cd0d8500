"""Baselines by hand, on the hand-made dataset and on a sequence whose pairs can be counted."""

from typing import get_args

import numpy as np
import pytest

from pinrec_core.config import EvaluationConfig
from pinrec_core.config.gate import Baseline, SliceKind
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.baselines import baseline_lists, fading, latest_items, shown_lately
from pinrec_core.evaluation.cohort import build_cohort
from pinrec_core.evaluation.slices import slices_of
from pinrec_core.model.transitions import count_transitions


@pytest.fixture
def names(tiny):
    return lambda list_N: [tiny.items[item] if item >= 0 else "" for item in list_N]


@pytest.fixture
def lists(dataset_dir):
    dataset = Dataset.open(dataset_dir)
    settings = EvaluationConfig()
    return baseline_lists(dataset, build_cohort(dataset, "home", settings), n=6, evaluation=settings)


def test_the_gate_may_name_every_baseline_and_every_kind_of_slice(lists, dataset_dir):
    dataset = Dataset.open(dataset_dir)
    assert set(get_args(Baseline)) == set(lists)
    assert set(get_args(SliceKind)) == set(slices_of(build_cohort(dataset, "home", EvaluationConfig()), dataset))


def test_popularity_counts_only_the_past(lists, names):
    # before the window: p2 x3 (a, b, e); p1, p3, p5, p7 once each, ties by index; nothing else was engaged with
    assert names(lists["popularity"][0]) == ["p2", "p1", "p3", "p5", "p7", ""]


def test_own_surface_popularity_then_the_rest(lists, names):
    assert names(lists["surface_popularity"][0]) == ["p2", "p1", "p5", "p7", "p3", ""]


def test_recent_own_surface_popularity_then_the_rest(lists, names):
    assert names(lists["recent_surface_popularity"][0])[:2] == ["p5", "p2"]  # only b's p5 is from days 8 and 9


def test_recent_exposure_counts_what_was_shown_and_ignored(dataset_dir, names):
    dataset = Dataset.open(dataset_dir)
    cohort = build_cohort(dataset, "home", EvaluationConfig())
    shown_I, start_ms = shown_lately(dataset, cohort, 2.0), cohort.requests.start_ms
    by_hand = np.zeros(dataset.n_items)
    for view in np.flatnonzero((dataset.view_surface_V == 0) & (dataset.view_start_V < start_ms)):
        rows = slice(*dataset.view_offsets_V1[view:view + 2])
        days = (start_ms - dataset.view_start_V[view]) / 86_400_000
        np.add.at(by_hand, dataset.shown_item_X[rows], 0.5 ** (days / 2))
    assert shown_I == pytest.approx(by_hand * dataset.retrievable_I) and shown_I.any()
    ignored = np.flatnonzero((shown_I > 0) & (np.bincount(dataset.item_E, minlength=dataset.n_items) == 0))
    assert len(ignored), "the fixture shows an item that nobody engages with"


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


def test_old_engagements_follow_less():
    fresh, old = count_transitions(np.array([0, 1, 0, 2]), np.array([3, 3, 4, 4]), np.ones(3, bool),
                                 fading(np.array([9.0, 8.0, 1.0, 0.0]), 4.0)).weight_P[:2]
    assert old / fresh == pytest.approx(0.25)
    assert (fading(np.array([0.0, 700.0]), 0.0) == 1).all()


def test_cooccurrence_x_recent_prefers_what_is_recent_here(lists, names):
    # p5 was engaged with on this surface a day before the window, p3 never: what follows alone puts p3 first
    assert names(lists["cooccurrence_x_recent"][0])[:2] == ["p5", "p2"]
