"""Which engagements a history column must predict, under which time offset, and which of them share one loss.

Plain: the next one. Multi-token: the next few, each under the bucket of its gap. Relaxed: whatever follows in the same
feed view as well, of which the easiest counts (paper section 3). Suffixes: A anchors (a column's next engagement),
E engagements of all users, L lags, G targets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinrec_core.config import ModelConfig, PretrainConfig

FEED_AHEAD = 8  # most engagements of a feed view that share a loss: few views hold more, and each costs a target


class Ahead(NamedTuple):
    """How far a column looks."""

    targets: int = 1  # engagements it predicts
    relaxed: bool = False  # and those after them in the feed view of the next one; the least loss of a view counts
    offsets_s: tuple[float, ...] = ()  # upper bounds of the time-offset buckets, seconds; () = one bucket

    @classmethod
    def of(cls, model: ModelConfig, pretrain: PretrainConfig) -> Ahead:
        """What a pretraining run asks for."""
        return cls(pretrain.future_targets, pretrain.feed_relaxation, model.offsets_s)


NEXT = Ahead()


def offset_bucket(gap_ms: np.ndarray, offsets_s: tuple[float, ...]) -> np.ndarray:
    """Bucket of each gap (ms): the number of upper bounds it has reached; 0 = "now".

    >>> offset_bucket(np.array([0, 29_999, 30_000, 10**9]), (30, 60)).tolist()
    [0, 0, 1, 2]
    """
    return np.searchsorted(np.asarray(offsets_s, np.float64) * 1000, gap_ms, side="right")


def targets_ahead(anchor_A: np.ndarray, stop_A: np.ndarray, view_E: np.ndarray,
                  ahead: Ahead) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (position in A, engagement) that columns must predict, ordered by column, then time.

    `anchor_A` is the engagement after each column, `stop_A` the end of what its user may be trained on (exclusive).
    """
    lag_L = np.arange(max(ahead.targets, FEED_AHEAD if ahead.relaxed else 1))
    e_AL = anchor_A[:, None] + lag_L
    wanted_AL = (e_AL < stop_A[:, None]) & (lag_L < ahead.targets)
    if ahead.relaxed:
        same_view_AL = view_E[np.minimum(e_AL, len(view_E) - 1)] == view_E[anchor_A][:, None]
        wanted_AL |= (e_AL < stop_A[:, None]) & same_view_AL & (lag_L < FEED_AHEAD)
    a, lag = np.nonzero(wanted_AL)
    return a, anchor_A[a] + lag


def loss_groups(column_G: np.ndarray, view_G: np.ndarray, offset_G: np.ndarray, relaxed: bool) -> np.ndarray:
    """Number of each target's group, whose least loss counts. `column_G` tells columns apart, `view_G` feed views.

    Relaxed, the targets of one column, view and offset bucket are a group: their order in the feed means nothing, yet
    every offset keeps a term of its own. Otherwise each target is alone.
    """
    if not relaxed or not len(column_G):
        return np.arange(len(column_G))
    key_G = (column_G * (int(view_G.max()) + 1) + view_G) * (int(offset_G.max()) + 1) + offset_G
    return np.unique(key_G, return_inverse=True)[1]
