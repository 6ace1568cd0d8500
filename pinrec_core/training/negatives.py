"""The negatives of a step and how often each was to be expected among them.

Two pools serve every target of the batch: the distinct targets of the batch (popular items, hard) and uniform random
items (the rest of the catalogue); either may be off. With several processes N, Q and B are of one's own rows of the
batch, C and P of the whole batch. Suffixes: N targets, Q distinct queries that ask for them, B batch rows, C draws
(distinct pairs of user and item), U distinct items of the pool, P pool.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import Targets
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.sketch import CountMinSketch

ITEM_BITS = 31  # an item index lies below 2^31 (see sketch)
NEVER = 1e-9  # least expected count: a batch of one user has no in-batch negatives, and their log must stay finite


class Negatives(NamedTuple):
    """Pool items with the log of their expected number of occurrences in the pool.

    A pool that is `whole` holds every item once, the targets' own included, and bans none: the full softmax.
    """

    item_P: Tensor
    log_expected_P: Tensor  # float32
    log_expected_N: Tensor  # the same for each target's own item, for the classic correction
    banned_QP: Tensor  # bool: not a negative of this query (what it asks for, or another positive of its user)
    whole: bool = False


class Draws(NamedTuple):
    """What the batch drew from the distribution of targets: an item counts once per user, however often it is asked."""

    user_C: Tensor  # 0 .. users of the batch
    item_C: Tensor
    user_N: Tensor  # the same user numbers for the targets

    @property
    def of_others(self) -> float:
        """How many of the draws come from other users than a target's own, on average over users."""
        users = int(self.user_C.max()) + 1
        return len(self.user_C) * (1 - 1 / users)


def draws_of(targets: Targets, user_B: Tensor, ranks: Ranks = ALONE) -> Draws:
    """The distinct (user, item) pairs of a batch, of all ranks' rows."""
    asking_N = user_B[targets.row_N]
    pair_C = ((asking_N << ITEM_BITS) | targets.item_N).unique()
    if ranks.size > 1:
        pair_C = ranks.gather(pair_C).unique()  # rows of one user may lie on several ranks
    users, user_C = (pair_C >> ITEM_BITS).unique(return_inverse=True)
    return Draws(user_C, pair_C & ((1 << ITEM_BITS) - 1), torch.searchsorted(users, asking_N))


def draw_negatives(targets: Targets, query_N: Tensor, draws: Draws, retrievable: Tensor, sketch: CountMinSketch,
                   config: TrainConfig, *, generator: torch.Generator | None = None) -> Negatives:
    """Draw the pools of one step; `query_N` numbers the query of each target.

    What a target meets of the in-batch pool comes from the m draws of other users. An item that is a share p of all
    draws is among them with probability 1 - (1 - p)^m; the distinct items are thinned to `in_batch_negatives` with
    probability r; R uniform draws from I retrievable items add R / I. So

        E[count_i] = r (1 - (1 - p)^m) + R / I.

    Without random negatives (R = 0) an item that is no one's target never enters the pool: the estimate of Z covers
    the items that are targets, and says nothing of the rest of the catalogue. Ranks that have a generator in the same
    state draw the same pools.
    """
    if config.random_negatives >= len(retrievable):
        return _whole_catalogue(targets, retrievable)
    distinct = draws.item_C.unique()
    kept = min(len(distinct), config.in_batch_negatives)
    in_batch = distinct[torch.randperm(len(distinct), generator=generator)[:kept]]
    random = retrievable[torch.randint(len(retrievable), (config.random_negatives,), generator=generator)]
    item_P = torch.cat([in_batch, random])

    def log_expected(item: Tensor) -> Tensor:
        seen = -torch.expm1(draws.of_others * torch.log1p(-sketch.frequency(item).clamp(max=1 - 1e-9)))
        expected = kept / len(distinct) * seen + len(random) / len(retrievable)
        return expected.clamp(min=NEVER).log().float()

    banned_QP = _hits(query_N, targets.item_N, item_P)
    user_Q = query_N.new_zeros(len(banned_QP)).index_put((query_N,), draws.user_N)
    banned_QP[:, :kept] |= _hits(draws.user_C, draws.item_C, in_batch)[user_Q]
    return Negatives(item_P, log_expected(item_P), log_expected(targets.item_N), banned_QP)


def _whole_catalogue(targets: Targets, retrievable: Tensor) -> Negatives:
    """Every item once."""
    return Negatives(retrievable, torch.zeros(len(retrievable)), torch.zeros(len(targets.item_N)),
                     torch.zeros(1, 1, dtype=torch.bool), whole=True)


def _hits(owner_N: Tensor, item_N: Tensor, item_P: Tensor) -> Tensor:
    """bool [owners, P]: does one of the owner's items stand at this place of the pool?"""
    item_U, place_P = item_P.unique(return_inverse=True)
    found_N = torch.isin(item_N, item_U)
    hit = torch.zeros(int(owner_N.max()) + 1 if len(owner_N) else 0, len(item_U), dtype=torch.bool)
    hit[owner_N[found_N], torch.searchsorted(item_U, item_N[found_N])] = True
    return hit[:, place_P]
