"""The negatives of a step and how often each was to be expected among them.

Two pools serve every target of the batch: the distinct targets of the batch (popular items, hard) and uniform random
items (the rest of the catalogue); either may be off. With several processes N, Q and B are of one's own rows of the
batch, C and P of the whole batch. Suffixes: N targets, Q distinct queries that ask for them, B batch rows, C draws
(distinct pairs of user and item), P pool, X pairs of a query and a place in the pool.
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
    banned: Banned
    whole: bool = False


class Banned(NamedTuple):
    """What is no negative of a query: what it asks for, and other positives of its user. Ascending by query.

    A few places in a thousand: as pairs they cost nothing beside a bool for every query and place.
    """

    query_X: Tensor
    place_X: Tensor  # in the pool

    @classmethod
    def none(cls) -> Banned:
        """Every place is a negative of every query."""
        return cls(*torch.zeros(2, 0, dtype=torch.int64))


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

    return Negatives(item_P, log_expected(item_P), log_expected(targets.item_N),
                     _banned(query_N, targets.item_N, draws, item_P, in_batch))


def _whole_catalogue(targets: Targets, retrievable: Tensor) -> Negatives:
    """Every item once."""
    return Negatives(retrievable, torch.zeros(len(retrievable)), torch.zeros(len(targets.item_N)), Banned.none(),
                     whole=True)


def _banned(query_N: Tensor, item_N: Tensor, draws: Draws, item_P: Tensor, in_batch: Tensor) -> Banned:
    """A query's own targets wherever they stand in the pool, its user's other positives in the in-batch part."""
    if not len(query_N):  # a rank without targets in this batch
        return Banned.none()
    asked_X, own_X = _places(item_N, item_P)
    drawn_X, place_X = _places(draws.item_C, in_batch)  # ascending by user, as draws are
    queries = int(query_N.max()) + 1
    user_Q = query_N.new_zeros(queries).index_put((query_N,), draws.user_N)
    first_U = torch.searchsorted(draws.user_C[drawn_X], torch.arange(int(draws.user_C.max()) + 2))
    query_X, among_X = _ranges(first_U[user_Q], first_U[user_Q + 1])
    pair_X = torch.cat([query_N[asked_X] * len(item_P) + own_X, query_X * len(item_P) + place_X[among_X]]).unique()
    return Banned(pair_X // len(item_P), pair_X % len(item_P))


def _places(item_N: Tensor, item_P: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs (n, p) with item_N[n] == item_P[p], ascending by n."""
    sorted_P, order_P = item_P.sort()
    n_X, at_X = _ranges(torch.searchsorted(sorted_P, item_N), torch.searchsorted(sorted_P, item_N, right=True))
    return n_X, order_P[at_X]


def _ranges(first_N: Tensor, stop_N: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs (n, x) for every x in [first, stop) of each n."""
    count_N = stop_N - first_N
    n_X = torch.arange(len(count_N)).repeat_interleave(count_N)
    return n_X, torch.arange(len(n_X)) + (first_N - (count_N.cumsum(0) - count_N))[n_X]
