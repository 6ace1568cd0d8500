"""What is counted before training: exposures by hand, and nothing of what must not be known."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.counts import EXPOSURE_PRIOR, log_exposure

MS_IN_DAYS = 1 / 86_400_000  # the fixture's window ends at 1000 ms


@pytest.fixture
def shown(build_dataset):
    """On home, item 1 shown twice 100 ms before the end, item 2 once 200 ms before it; the rest must not count."""
    return build_dataset([
        (0, 0, 900, NO_ITEM, [(1, 1)]), (1, 0, 900, NO_ITEM, [(1, 0)]), (1, 0, 800, NO_ITEM, [(2, 0)]),
        (0, 1, 900, NO_ITEM, [(3, 1)]),  # another surface
        (0, 0, 1000, NO_ITEM, [(4, 1)]),  # in the evaluation window
        (2, 0, 900, NO_ITEM, [(5, 1)]),  # to a validation user
    ], {0: "train", 1: "train", 2: "validation"})


def test_log_exposure_by_hand(shown):
    home = log_exposure(shown, 100 * MS_IN_DAYS)[0]
    count = np.zeros(10)
    count[[1, 2]] = 2 * 0.5, 0.25
    wanted = np.log(count + EXPOSURE_PRIOR * count.mean())
    assert home.tolist() == pytest.approx((wanted - wanted.mean()).tolist(), abs=1e-6)
    assert float(home[1] - home[0]) == pytest.approx(math.log((1 + 0.0125) / 0.0125), abs=1e-5)


def test_each_surface_counts_its_own(shown):
    home, search = log_exposure(shown, 1.0)
    assert search.argmax() == 3 and home.argmax() == 1


def test_nothing_is_said_of_items_never_trained_on_and_of_surfaces_without_views(shown, build_dataset):
    place = shown.items.schema.get_field_index("train_count")
    cold = shown.items.set_column(place, "train_count", pa.array([1, 0] + [1] * 8, pa.int64()))
    assert log_exposure(dataclasses.replace(shown, items=cold), 1.0)[0][1] == 0
    quiet = build_dataset([(0, 0, 900, NO_ITEM, [(1, 1)])], {0: "train"})
    assert log_exposure(quiet, 1.0)[0].any() and not log_exposure(quiet, 1.0)[1].any()
