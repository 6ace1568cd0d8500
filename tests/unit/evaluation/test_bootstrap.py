"""Intervals: means by hand, coverage of the truth, pairing, NaN, determinism."""

import numpy as np
import pytest

from pinrec_core.evaluation import bootstrap
from pinrec_core.evaluation.bootstrap import estimates


def test_value_and_n_leave_nan_out():
    value_UC = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, np.nan], [0.5, np.nan]])
    some, none = estimates(value_UC, 100, 0.95, 0)
    assert (some.value, some.n) == (0.5, 3) and some.low < 0.5 < some.high
    assert none.n == 0 and np.isnan([none.value, none.low, none.high]).all()


def test_nobody_gives_no_number():
    assert estimates(np.zeros((0, 1)), 10, 0.95, 0)[0].n == 0


def test_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(0).random(400)
    found = estimates(values[:, None], 4000, 0.95, 1)[0]
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.004)
    assert found.high == pytest.approx(values.mean() + half, abs=0.004)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = estimates((rng.random((150, 1)) < 0.3).astype(float), 300, 0.9, trial)[0]
        covered += found.low <= 0.3 <= found.high
    assert 0.84 <= covered / 200 <= 0.96


def test_pairing_narrows_the_difference():
    base = np.random.default_rng(2).random(200)
    a, b, difference = estimates(np.stack([base + 0.01, base, np.full(200, 0.01)], axis=1), 500, 0.95, 0)
    assert difference.low == pytest.approx(0.01) and difference.high == pytest.approx(0.01)
    assert a.low < b.high  # the single intervals overlap, the paired one is decided


def test_seeded_and_independent_of_blocks(monkeypatch):
    values = np.random.default_rng(3).random((30, 2))
    first = estimates(values, 64, 0.95, 5)
    assert estimates(values, 64, 0.95, 5) == first != estimates(values, 64, 0.95, 6)
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    for block, whole in zip(estimates(values, 64, 0.95, 5), first, strict=True):
        assert block == pytest.approx(whole)  # sums may differ in the last bit
