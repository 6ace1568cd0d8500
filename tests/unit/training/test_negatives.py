"""Who is a negative of whom, how often each was expected, and the sketch that estimates it."""

import math

import pytest
import torch

from pinrec_core.config import PretrainConfig
from pinrec_core.data.batch import Targets
from pinrec_core.training.negatives import draw_negatives
from pinrec_core.training.sketch import CountMinSketch


def targets(row, item) -> Targets:
    n = len(row)
    return Targets(torch.tensor(row), torch.zeros(n, dtype=torch.long), torch.tensor(item),
                   torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long), torch.ones(n),
                   torch.zeros(n, 0, dtype=torch.long))


def sketch_of(items) -> CountMinSketch:
    sketch = CountMinSketch(1024, 2)
    sketch.add(torch.tensor(items))
    return sketch


def test_own_item_and_other_positives_of_the_user_are_no_negatives():
    torch.manual_seed(0)
    asked = targets([0, 0, 1, 2], [5, 6, 7, 8])
    user_B = torch.tensor([10, 20, 10])  # rows 0 and 2 are the same user
    drawn = draw_negatives(asked, user_B, torch.arange(9), sketch_of([5, 6, 7, 8]), PretrainConfig(random_negatives=1))
    in_batch = drawn.item_P[:4].tolist()
    allowed = [[item for item, banned in zip(in_batch, row[:4].tolist(), strict=True) if not banned]
               for row in drawn.banned_NP]
    assert allowed[0] == allowed[1] == allowed[3] == [7]
    assert sorted(allowed[2]) == [5, 6, 8]


def test_a_random_draw_of_the_positive_is_banned():
    drawn = draw_negatives(targets([0], [3]), torch.tensor([0]), torch.full((6,), 3), sketch_of([3]),
                           PretrainConfig(random_negatives=5))
    assert drawn.banned_NP.all()


def test_expected_counts_by_hand():
    sketch = sketch_of([1, 1, 1, 2])
    drawn = draw_negatives(targets([0, 1], [1, 2]), torch.tensor([0, 1]), torch.arange(10), sketch,
                           PretrainConfig(random_negatives=5))
    by_item = dict(zip(drawn.item_P.tolist(), drawn.log_expected_P.tolist(), strict=True))
    assert by_item[1] == pytest.approx(math.log(1 - 0.25**2 + 0.5), rel=1e-5)
    assert by_item[2] == pytest.approx(math.log(1 - 0.75**2 + 0.5), rel=1e-5)


def test_the_in_batch_pool_is_thinned_and_its_expectation_with_it():
    asked = targets(list(range(8)), list(range(8)))
    drawn = draw_negatives(asked, torch.arange(8), torch.arange(100), sketch_of(list(range(8))),
                           PretrainConfig(random_negatives=1, in_batch_negatives=2))
    assert len(drawn.item_P) == 3
    assert drawn.log_expected_P[0].item() == pytest.approx(math.log(2 / 8 * (1 - (7 / 8) ** 8) + 0.01), rel=1e-5)


def test_a_pool_as_large_as_the_catalogue_is_every_item_once():
    drawn = draw_negatives(targets([0, 0], [3, 4]), torch.tensor([0]), torch.arange(2, 7), sketch_of([3, 4]),
                           PretrainConfig(random_negatives=5))
    assert drawn.item_P.tolist() == [2, 3, 4, 5, 6]
    assert drawn.whole and not drawn.log_expected_P.any() and not drawn.banned_NP.any()


def test_the_sketch_never_counts_too_little_and_is_exact_when_wide():
    items = torch.randint(0, 500, (20_000,), generator=torch.Generator().manual_seed(0))
    truth = items.bincount(minlength=500) / len(items)
    narrow, wide = CountMinSketch(64, 2), CountMinSketch(1 << 20, 2)
    narrow.add(items)
    wide.add(items)
    every = torch.arange(500)
    assert (narrow.frequency(every) >= truth - 1e-12).all()
    assert narrow.frequency(every).sum() > 1.5  # collisions show
    assert wide.frequency(every).tolist() == pytest.approx(truth.tolist())
