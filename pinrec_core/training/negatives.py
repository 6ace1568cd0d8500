"""The negatives of a step and how often each was to be expected among them.

Two pools serve every target of the batch: the distinct targets of the batch (popular items, hard) and uniform random
items (the rest of the catalogue). Suffixes: N targets, B batch rows, P pool, I items.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import Targets
from pinrec_core.training.sketch import CountMinSketch


class Negatives(NamedTuple):
    """Pool items with the log of their expected number of occurrences in the pool.

    A pool that is `whole` holds every item once, the targets' own included, and bans none: the full softmax.
    """

    item_P: Tensor
    log_expected_P: Tensor  # float32
    log_expected_N: Tensor  # the same for each target's own item, for the classic correction
    banned_NP: Tensor  # bool: not a negative of this target (its own item, or another positive of its user)
    whole: bool = False


def draw_negatives(targets: Targets, user_B: Tensor, retrievable: Tensor, sketch: CountMinSketch,
                   config: TrainConfig) -> Negatives:
    """Draw the pools of one step.

    An item i that is a share p of all targets is among n targets with probability 1 - (1 - p)^n; the distinct targets
    are thinned to `in_batch_negatives` with probability r; uniform draws add R / I. So
    E[count_i] = r (1 - (1 - p)^n) + R / I.
    """
    if config.random_negatives >= len(retrievable):
        return _whole_catalogue(targets, retrievable)
    distinct = targets.item_N.unique()
    kept = min(len(distinct), config.in_batch_negatives)
    in_batch = distinct[torch.randperm(len(distinct))[:kept]]
    random = retrievable[torch.randint(len(retrievable), (config.random_negatives,))]
    item_P = torch.cat([in_batch, random])

    def log_expected(item: Tensor) -> Tensor:
        seen = -torch.expm1(len(targets.item_N) * torch.log1p(-sketch.frequency(item).clamp(max=1 - 1e-9)))
        return (kept / len(distinct) * seen + len(random) / len(retrievable)).log().float()

    banned_NP = targets.item_N[:, None] == item_P
    banned_NP[:, :kept] |= _own_positives(targets, user_B, in_batch)
    return Negatives(item_P, log_expected(item_P), log_expected(targets.item_N), banned_NP)


def _whole_catalogue(targets: Targets, retrievable: Tensor) -> Negatives:
    """Every item once."""
    return Negatives(retrievable, torch.zeros(len(retrievable)), torch.zeros(len(targets.item_N)),
                     torch.zeros(1, 1, dtype=torch.bool), whole=True)


def _own_positives(targets: Targets, user_B: Tensor, in_batch_P: Tensor) -> Tensor:
    """bool [N, P]: is the in-batch item a positive of the target's own user, in any row of the batch?"""
    _, user_N = user_B[targets.row_N].unique(return_inverse=True)
    order = in_batch_P.argsort()
    place_N = torch.searchsorted(in_batch_P[order], targets.item_N).clamp(max=len(in_batch_P) - 1)
    found_N = in_batch_P[order][place_N] == targets.item_N
    owned = torch.zeros(int(user_N.max()) + 1, len(in_batch_P), dtype=torch.bool)
    owned[user_N[found_N], order[place_N[found_N]]] = True
    return owned[user_N]
