"""Percentile bootstrap over users: how far a mean could be off because these users were drawn and not others.

All columns see the same resamples, so the interval of a difference column is that of the paired difference.

Legend: U users, C columns (metrics), S resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_CELLS = 20_000_000  # resample weights held at a time


class Estimate(NamedTuple):
    """A mean over users with its interval; value, low and high are NaN when n is 0."""

    value: float
    low: float
    high: float
    n: int


def estimates(value_UC: np.ndarray, samples: int, confidence: float, seed: int) -> list[Estimate]:
    """Mean, percentile interval and number of users of each column; NaN marks users that do not count in a column.

    A resample draws as many users as there are, with replacement. Its mean leaves NaN out; a resample that drew no
    counting user is left out of the interval. The interval is [q(tail), q(1 - tail)], tail = (1 - confidence) / 2.

    >>> estimates(np.array([[2.0], [2.0], [np.nan]]), samples=50, confidence=0.9, seed=0)
    [Estimate(value=2.0, low=2.0, high=2.0, n=2)]
    """
    known_UC = ~np.isnan(value_UC)
    mean_SC = _resampled_means(np.where(known_UC, value_UC, 0.0), known_UC, samples, seed)
    tail = (1 - confidence) / 2
    result = []
    for column in range(value_UC.shape[1]):
        values = value_UC[known_UC[:, column], column]
        means = mean_SC[~np.isnan(mean_SC[:, column]), column]
        if not len(values):
            result.append(Estimate(float("nan"), float("nan"), float("nan"), 0))
            continue
        low, high = np.quantile(means, [tail, 1 - tail]) if len(means) else (np.nan, np.nan)
        result.append(Estimate(float(values.mean()), float(low), float(high), len(values)))
    return result


def _resampled_means(value_UC: np.ndarray, known_UC: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Means of each column over each resample, [S, C]; NaN where a resample drew nobody that counts."""
    U, C = value_UC.shape
    if not U:
        return np.full((samples, C), np.nan)
    rng, chunks = np.random.default_rng(seed), []
    block = max(1, _CELLS // U)
    counts_UC = known_UC.astype(np.float64)
    for start in range(0, samples, block):
        S = min(block, samples - start)
        drawn = rng.integers(U, size=(S, U)) + np.arange(S)[:, None] * U
        weight_SU = np.bincount(drawn.ravel(), minlength=S * U).reshape(S, U).astype(np.float64)
        users_SC = weight_SU @ counts_UC
        chunks.append(np.divide(weight_SU @ value_UC, users_SC, out=np.full((S, C), np.nan), where=users_SC > 0))
    return np.concatenate(chunks)
