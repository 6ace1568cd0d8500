"""What a column must predict: the next few, their time offsets, and what of a feed view shares a loss."""

import numpy as np
import pytest

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.ahead import FEED_AHEAD, NEXT, Ahead, offset_bucket
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import engagement_windows
from pinrec_core.schemas import NO_ITEM

OFFSETS_S = (0.05, 0.15)  # the hand-made dataset counts in milliseconds


def groups(rows) -> list[set[tuple]]:
    """Each group's targets: (history items before, item, action, offset bucket), in the order of their histories."""
    found = {}
    for number, batch in enumerate(rows.batches(1, np.random.default_rng(0))):
        told = batch.targets
        assert set(told.group_N.tolist()) == set(range(len(told.group_N.unique())))
        for row, column, item, action, offset, group in zip(*(t.tolist() for t in (
                told.row_N, told.column_N, told.item_N, told.action_N, told.offset_N, told.group_N)), strict=True):
            before = tuple(batch.history.item_BT[row, :column].tolist())
            found.setdefault((number, group), set()).add((before, item, action, offset))
    return sorted(found.values(), key=lambda group: sorted(group))


def items(found: list[set[tuple]]) -> list[tuple]:
    """(history, items of the group) without actions and offsets."""
    return [(next(iter(group))[0], sorted({target[1] for target in group})) for group in found]


def test_bounds_are_exclusive_and_no_offsets_are_one_bucket():
    assert offset_bucket(np.array([0, 49, 50, 149, 150, 10**9]), OFFSETS_S).tolist() == [0, 0, 1, 1, 2, 2]
    assert offset_bucket(np.array([0, 10**9]), ()).tolist() == [0, 0]


def test_plain_is_the_next_engagement_alone(dataset):
    found = groups(engagement_windows(dataset, 10, 0.0, NEXT))
    assert found == [{((), 1, 0, 0)}, {((1,), 3, 0, 0)}, {((1,), 3, 1, 0)}, {((1, 3), 4, 1, 0)},
                     {((1, 3, 4), 6, 0, 0)}, {((1, 3, 4, 6), 8, 0, 0)}]


def test_the_next_three_under_their_true_gaps(dataset):
    """Engagements of user 0: 1 at 100, 3 at 102 (two actions), 4 at 200, 6 at 300, 8 at 400; 1000 is too late."""
    found = groups(engagement_windows(dataset, 10, 0.0, Ahead(3, offsets_s=OFFSETS_S)))
    assert all(len(group) == 1 for group in found)
    assert set.union(*found) == {
        ((), 1, 0, 0), ((), 3, 0, 0), ((), 3, 1, 0), ((), 4, 1, 1),  # no last token: counted from the next engagement
        ((1,), 3, 0, 0), ((1,), 3, 1, 0), ((1,), 4, 1, 1), ((1,), 6, 0, 2),  # 2, 100, 200 ms after item 1
        ((1, 3), 4, 1, 1), ((1, 3), 6, 0, 2), ((1, 3), 8, 0, 2),  # 98, 198, 298
        ((1, 3, 4), 6, 0, 1), ((1, 3, 4), 8, 0, 2), ((1, 3, 4, 6), 8, 0, 1)}


def test_a_view_is_one_group_of_every_item_and_action(dataset):
    found = groups(engagement_windows(dataset, 10, 0.0, Ahead(relaxed=True)))
    assert found == [{((), 1, 0, 0), ((), 3, 0, 0), ((), 3, 1, 0)}, {((1,), 3, 0, 0), ((1,), 3, 1, 0)},
                     {((1, 3), 4, 1, 0)}, {((1, 3, 4), 6, 0, 0)}, {((1, 3, 4, 6), 8, 0, 0)}]


def test_relaxed_and_multi_token_keep_a_group_for_each_view_and_offset(dataset):
    found = groups(engagement_windows(dataset, 10, 0.0, Ahead(3, relaxed=True, offsets_s=(0.15,))))
    assert [group for group in found if next(iter(group))[0] == (1,)] == [
        {((1,), 3, 0, 0), ((1,), 3, 1, 0)}, {((1,), 4, 1, 0)}, {((1,), 6, 0, 1)}]


def test_a_view_reaches_past_its_window_but_not_into_the_evaluation(dataset):
    found = items(groups(engagement_windows(dataset, 2, 0.0, Ahead(relaxed=True))))
    assert found == [((), [1, 3]), ((), [3]), ((), [6]), ((3,), [4]), ((6,), [8])]
    far = groups(engagement_windows(dataset, 10, 0.0, Ahead(50)))
    assert {item for group in far for _, item, _, _ in group} == {1, 3, 4, 6, 8}


def test_long_views_are_capped_and_interleaved_ones_kept_apart(build_dataset):
    long = build_dataset([(0, 0, 100, NO_ITEM, [(item % 9, 1) for item in range(12)])], {0: "train"})
    rows = engagement_windows(long, 20, 0.0, Ahead(relaxed=True))
    assert np.bincount(rows.group_G).tolist() == [FEED_AHEAD] * 5 + [7, 6, 5, 4, 3, 2, 1]
    mixed = build_dataset([(0, 0, 100, NO_ITEM, [(1, 1), (2, 0), (3, 1), (4, 0), (5, 1)]),
                           (0, 1, 101, NO_ITEM, [(6, 1), (7, 0), (8, 1)])], {0: "train"})
    found = items(groups(engagement_windows(mixed, 20, 0.0, Ahead(relaxed=True))))
    assert found == [((), [1, 3, 5]), ((1,), [6, 8]), ((1, 6), [3, 5]), ((1, 6, 3), [8]), ((1, 6, 3, 8), [5])]


def test_targets_of_a_column_weigh_as_its_next_engagement(dataset):
    rows = engagement_windows(dataset, 10, 1e-6, Ahead(3))
    assert all(len(set(rows.weight_G[rows.column_G == column].tolist())) == 1 for column in range(5))


def test_positives_of_a_feed_view_are_one_group(dataset):
    relaxed = FinetuneConfig(feed_relaxation=True)
    found = groups(feed_views(dataset, "home", 10, relaxed, OFFSETS_S))
    # the view at 200 comes 98 ms after the last token (102), the one at 400 is 100 ms after 300
    assert found == [{((), 1, 0, 0), ((), 3, 0, 0), ((), 3, 1, 0)}, {((1, 3), 4, 1, 1)}, {((1, 3, 4, 6), 8, 0, 1)}]
    assert len(groups(feed_views(dataset, "home", 10, FinetuneConfig(), OFFSETS_S))) == 5


def test_behind_a_context_item_everything_is_now(dataset):
    assert groups(feed_views(dataset, "search", 10, FinetuneConfig(), OFFSETS_S)) == [{((1, 3, 4, 9), 6, 0, 0)}]


def test_long_views_keep_all_their_positives(build_dataset):
    long = build_dataset([(0, 0, 100, NO_ITEM, [(item % 9, 1) for item in range(12)])], {0: "train"})
    rows = feed_views(long, "home", 20, FinetuneConfig(feed_relaxation=True))
    assert sorted(np.bincount(rows.group_G).tolist()) == [4, FEED_AHEAD]


def test_a_run_looks_ahead_as_configured():
    assert Ahead.of(ModelConfig(offsets_s=(30, 60)), PretrainConfig(future_targets=4, feed_relaxation=True)) \
        == Ahead(4, True, (30, 60))


@pytest.mark.parametrize("offsets_s", [(60, 30), (30, 30), (0, 30), (-1,)])
def test_offsets_ascend_from_above_zero(offsets_s):
    with pytest.raises(ValueError, match="ascending"):
        ModelConfig(offsets_s=offsets_s)
