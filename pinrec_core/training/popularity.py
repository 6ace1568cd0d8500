"""What is popular on a surface lately, as the start of its score bias.

Without any history, the softmax of log counts is the share each item has of the engagements, so the best bias that a
model can have at the start is the log of how often each item was engaged with lately. Fine-tuning goes on from there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pinrec_core.data.dataset import Dataset
from pinrec_core.model.pinrec import PinRec

_DAY_MS = 86_400_000


def log_popularity(dataset: Dataset, surface: str, half_life_days: float, prior: float) -> Tensor:
    """float32 [I]: log of the engagements of train users with each item on the surface, shifted to a mean of 0.

    Only those before the evaluation window count, each 0.5 ** (age / half life). Every item gets `prior` times the mean
    count on top, which keeps small surfaces from taking one engagement for popularity. All 0 without any engagement.
    """
    user_E = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets_U1))
    counts_E = (dataset.time_E < dataset.train_end_ms) & np.isin(user_E, dataset.users_in("train"))
    counts_E &= dataset.surface_E == dataset.log.surface_names.index(surface)
    weight_E = np.exp2((dataset.time_E[counts_E] - dataset.train_end_ms) / (half_life_days * _DAY_MS))
    count_I = np.bincount(dataset.item_E[counts_E], weights=weight_E, minlength=dataset.n_items)
    if not count_I.any():
        return torch.zeros(dataset.n_items)
    log_I = np.log(count_I + prior * count_I.mean())
    return torch.from_numpy((log_I - log_I.mean()).astype(np.float32))


@torch.no_grad()
def start_bias(model: PinRec, dataset: Dataset, surface: str, half_life_days: float, prior: float) -> None:
    """Set the model's bias of one surface to the log popularity there."""
    row = model.log.surface_names.index(surface)
    model.item_bias[row] = log_popularity(dataset, surface, half_life_days, prior)
