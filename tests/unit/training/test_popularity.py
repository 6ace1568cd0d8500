"""The score bias starts from what train users engaged with on the surface, recent days counting more."""

import math

import numpy as np
import pytest
import torch

from pinrec_core.config import ModelConfig
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.popularity import log_popularity, start_bias
from pinrec_core.training.pretrain import action_shares

MS_IN_DAYS = 1 / 86_400_000  # the fixture's window ends at 1000 ms


@pytest.fixture
def visits(build_dataset):
    """Item 1 twice 100 ms before the end, item 2 once 200 ms before it; the rest must not count."""
    views = [(0, 0, 900, NO_ITEM, [(1, 1)]), (1, 0, 900, NO_ITEM, [(1, 1)]), (1, 0, 800, NO_ITEM, [(2, 1)]),
             (0, 1, 900, NO_ITEM, [(3, 1)]),  # another surface
             (0, 0, 1000, NO_ITEM, [(4, 1)]),  # in the evaluation window
             (2, 0, 900, NO_ITEM, [(5, 1)])]  # a validation user
    return build_dataset(views, {0: "train", 1: "train", 2: "validation"})


def test_log_popularity_by_hand(visits):
    found = log_popularity(visits, "home", 100 * MS_IN_DAYS, prior=0.8)
    count = np.zeros(10)
    count[[1, 2]] = 2 * 0.5, 0.25
    wanted = np.log(count + 0.8 * 0.125)
    assert found.tolist() == pytest.approx((wanted - wanted.mean()).tolist(), abs=1e-6)
    assert float(found[1] - found[0]) == pytest.approx(math.log(1.1 / 0.1), abs=1e-5)


def test_only_the_bias_of_the_surface_is_started(visits):
    config = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16,
                         item_bias=True)
    model = PinRec(config, visits.log, visits.items, action_shares(visits))
    start_bias(model, visits, "home", 1.0, 1.0)
    assert torch.equal(model.item_bias[0], log_popularity(visits, "home", 1.0, 1.0))
    assert not model.item_bias[1:].any()


def test_a_surface_nobody_used_has_no_popularity(build_dataset):
    quiet = build_dataset([(0, 0, 900, NO_ITEM, [(1, 1)])], {0: "train"})
    assert not log_popularity(quiet, "search", 1.0, 1.0).any()
