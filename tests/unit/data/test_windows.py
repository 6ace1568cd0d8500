"""Training rows of pretraining and fine-tuning, target by target."""

import numpy as np
import pytest

from pinrec_core.config import FinetuneConfig
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import engagement_windows, pad_ignored, recency_weight
from pinrec_core.schemas import NO_ITEM

EVERY = FinetuneConfig(keep_actionless_views=1.0)


def told(rows, batch_size: int = 100) -> set[tuple]:
    """Every target with the history items that answer it: (user, items before, target, action, surface)."""
    out = []
    for batch in rows.batches(batch_size, np.random.default_rng(0)):
        for row, column, item, action, surface in zip(*(t.tolist() for t in batch.targets[:5]), strict=True):
            before = tuple(batch.history.item_BT[row, :column].tolist())
            out.append((int(batch.user_B[row]), before, item, action, surface))
    assert len(out) == len(set(out))
    return set(out)


def test_every_engagement_before_the_evaluation_window_is_a_target(dataset):
    assert told(engagement_windows(dataset, 10, 0.0)) == {
        (0, (), 1, 0, 0), (0, (1,), 3, 0, 0), (0, (1,), 3, 1, 0), (0, (1, 3), 4, 1, 0), (0, (1, 3, 4), 6, 0, 1),
        (0, (1, 3, 4, 6), 8, 0, 0)}


def test_long_histories_are_cut_from_the_latest_back(dataset):
    targets = told(engagement_windows(dataset, 2, 0.0))
    assert {(before, item) for _, before, item, _, _ in targets} == {
        ((), 1), ((), 3), ((3,), 4), ((), 6), ((6,), 8)}


def test_batches_of_any_size_tell_the_same(dataset):
    assert told(engagement_windows(dataset, 2, 0.0), 1) == told(engagement_windows(dataset, 2, 0.0), 100)


def test_views_are_answered_from_the_history_before_them(dataset):
    assert told(feed_views(dataset, "home", 10, EVERY)) == {
        (0, (), 1, 0, 0), (0, (), 3, 0, 0), (0, (), 3, 1, 0), (0, (1, 3), 4, 1, 0), (0, (1, 3, 4, 6), 8, 0, 0)}


def test_a_context_item_is_the_last_token(dataset):
    assert told(feed_views(dataset, "search", 10, EVERY)) == {(0, (1, 3, 4, 9), 6, 0, 1)}
    assert told(feed_views(dataset, "search", 2, EVERY)) == {(0, (4, 9), 6, 0, 1)}


def test_views_of_other_surfaces_take_part_with_their_weight(dataset):
    config = EVERY.model_copy(update={"other_surfaces": 0.25})
    rows = feed_views(dataset, "home", 10, config)
    assert told(rows) == told(feed_views(dataset, "home", 10, EVERY)) | told(feed_views(dataset, "search", 10, EVERY))
    assert rows.weight_G.tolist() == [1.0 if surface == 0 else 0.25 for surface in rows.surface_G]


def test_every_view_keeps_half_of_the_window(dataset):
    targets = told(feed_views(dataset, "home", 2, EVERY))
    assert {(before[-1:], item) for _, before, item, _, _ in targets} == {((), 1), ((), 3), ((3,), 4), ((6,), 8)}


def test_shown_and_ignored_items_are_negatives_of_their_view(dataset):
    rows = feed_views(dataset, "home", 10, EVERY)
    found = {}
    for batch in rows.batches(10, np.random.default_rng(0)):
        for item, ignored in zip(batch.targets.item_N.tolist(), batch.targets.ignored_NK.tolist(), strict=True):
            found[item] = {i for i in ignored if i != NO_ITEM}
    assert found == {1: {2}, 3: {2}, 4: {5}, 8: {1}}  # 5 was hidden: shown, not acted on positively
    off = feed_views(dataset, "home", 10, FinetuneConfig(impression_negatives=False))
    assert next(off.batches(10, np.random.default_rng(0))).targets.ignored_NK.shape[1] == 0


def test_recency_halves_per_half_life_and_averages_to_one():
    day = 86_400_000
    weight = recency_weight(np.array([0, day, 2 * day]), 2 * day, half_life_days=1.0)
    assert weight[1] / weight[0] == pytest.approx(2) and weight[2] / weight[1] == pytest.approx(2)
    assert weight.mean() == pytest.approx(1)
    assert recency_weight(np.array([0, day]), day, 0.0).tolist() == [1, 1]


def test_ignored_lists_are_padded_and_capped():
    padded = pad_ignored(np.array([0, 0, 0, 2]), np.array([5, 6, 7, 8]), rows=3, most=2)
    assert padded.tolist() == [[5, 6], [NO_ITEM, NO_ITEM], [8, NO_ITEM]]
