"""What is counted before anything is trained: how often each outcome occurs, what follows what, what was shown lately.

Only what train users did or saw before the evaluation window counts. Suffixes: U users, E engagements, V views,
X items shown, S surfaces, I items.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import per_action, recency_weight
from pinrec_core.model.transitions import Transitions, count_transitions
from pinrec_core.schemas import SPLITS

EXPOSURE_PRIOR = 0.1  # exposures that every item is given, as a share of the mean item's on the surface


def action_shares(data: Dataset) -> dict[str, dict[str, float]]:
    """How often each positive action is taken, per surface.

    A surface without any positive engagement gives every action the same share.
    """
    trained_E = _trained(data) & data.retrievable_I[data.item_E]
    shares = {}
    for code, surface in enumerate(data.log.surface_names):
        _, action = per_action(data.actions_E[trained_E & (data.surface_E == code)], data.log)
        count = np.bincount(action, minlength=len(data.log.positive_actions)).astype(float)
        count = count if count.sum() else np.ones_like(count)
        shares[surface] = dict(zip(data.log.positive_actions, (count / count.sum()).tolist(), strict=True))
    return shares


def transitions_of(data: Dataset, half_life_days: float) -> Transitions:
    """What follows what, whatever the surface; a follower as old as the half life counts half (0 = all the same)."""
    trained_E, user_E = _trained(data), np.repeat(np.arange(data.n_users), np.diff(data.offsets_U1))
    weight_E = recency_weight(data.time_E[trained_E], data.train_end_ms, half_life_days)
    return count_transitions(data.item_E[trained_E], user_E[trained_E], data.retrievable_I, weight_E)


def log_exposure(data: Dataset, half_life_days: float) -> Tensor:
    """float32 [S, I]: log of how often each surface has shown each item, shifted to a mean of 0 over a surface's items.

    A showing counts 0.5 ** (age / half life), acted on or not. Every item is given EXPOSURE_PRIOR of the mean item's on
    top. 0 for an item that nobody engaged with in training, of which nothing is known, and on a surface without views.
    """
    trained_V = (data.view_start_V < data.train_end_ms) & (data.split_U[data.view_user_V] == SPLITS.index("train"))
    view_X = np.repeat(np.arange(len(trained_V)), np.diff(data.view_offsets_V1))
    weight_V = trained_V * recency_weight(data.view_start_V, data.train_end_ms, half_life_days)
    key_X = data.view_surface_V[view_X].astype(np.int64) * data.n_items + data.shown_item_X
    shape = len(data.log.surface_names), data.n_items
    count_SI = np.bincount(key_X, weights=weight_V[view_X], minlength=shape[0] * shape[1]).reshape(shape)
    mean_S1 = count_SI.mean(axis=1, keepdims=True)
    log_SI = np.log(np.where(mean_S1 > 0, count_SI + EXPOSURE_PRIOR * mean_S1, 1.0))
    known_I = data.items["train_count"].to_numpy() > 0
    return torch.from_numpy(((log_SI - log_SI.mean(axis=1, keepdims=True)) * known_I).astype(np.float32))


def _trained(data: Dataset) -> np.ndarray:
    """bool [E]: engagements that may be counted."""
    user_E = np.repeat(np.arange(data.n_users), np.diff(data.offsets_U1))
    return (data.time_E < data.train_end_ms) & np.isin(user_E, data.users_in("train"))
