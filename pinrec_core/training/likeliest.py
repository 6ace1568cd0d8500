"""The likeliest items of requests under the mixture of outcomes, over any catalogue, a block of items at a time.

Scores of all requests for all items would be the largest thing in a training run: 20 GB for 512 requests of ten
million items. So the catalogue is passed over twice, once for what the softmaxes are to be divided by and once for the
best items, and what is held is SCORES numbers at a time.

Suffixes: R requests, D item dimension, E width of the factors of the logits, I items, J items of a block, K places of a
list, W weights, C items that follow a history, X pairs of a request and such an item.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import LATEST, NEIGHBOURS, bonus, latest_first
from pinrec_core.schemas import NO_ITEM

SCORES = 1 << 23  # float32 scores of a block: 32 MB, and a few times that while it is worked on


class Mixture:
    """p(item | history, surface): the outcomes' softmaxes, mixed by how often each occurs, offsets equally."""

    def __init__(self, model: PinRec, vectors_ID: Tensor, history: HistoryBatch, surface: str):
        self.model, self.vectors_ID = model, vectors_ID
        states, row_R = model.encode(history, vectors_ID), torch.arange(len(history))
        self.surface_R = torch.full_like(row_R, model.log.surface_names.index(surface))
        self.log_share, self.query_RD = [], []  # of each outcome and offset
        offsets = model.config.offset_buckets
        for (action, share), offset in product(model.action_shares[surface].items(), range(offsets)):
            if share > 0:
                action_R = torch.full_like(row_R, model.log.action_names.index(action))
                conditions = Conditions(action_R, self.surface_R, torch.full_like(row_R, offset))
                self.log_share.append(math.log(share / offsets))
                self.query_RD.append(model.query(states, row_R, states.last_B, conditions))
        self.log_z_R = [torch.full((len(history),), -math.inf) for _ in self.query_RD]
        for _, logits in self._logits():
            self.log_z_R = [torch.logaddexp(log_z_R, logits_RJ.logsumexp(1))
                            for log_z_R, logits_RJ in zip(self.log_z_R, logits, strict=True)]

    def log_probabilities(self) -> Iterator[tuple[int, Tensor]]:
        """First item of each block and log p [R, J] of its items; -inf for what is not retrieved."""
        for first, logits in self._logits():
            terms = zip(self.log_share, logits, self.log_z_R, strict=True)
            log_p = [logits_RJ.add_((log_share - log_z_R)[:, None]) for log_share, logits_RJ, log_z_R in terms]
            yield first, log_p[0] if len(log_p) == 1 else torch.stack(log_p).logsumexp(0)

    def _logits(self) -> Iterator[tuple[int, list[Tensor]]]:
        """Of each block of items, the logits [R, J] of every outcome and offset."""
        items = torch.arange(len(self.vectors_ID))
        for item_J in items.split(max(1, SCORES // max(len(self.surface_R) * len(self.query_RD), 1))):
            given = self.vectors_ID[item_J], item_J
            hidden_J = ~self.model.retrievable_I[item_J]
            yield int(item_J[0]), [self.model.logits(query_RD, self.surface_R, *given).masked_fill_(hidden_J, -math.inf)
                                   for query_RD in self.query_RD]


def likeliest(mixture: Mixture, history: HistoryBatch, weights: Sequence[float], n: int) -> Tensor:
    """Items [W, R, K] of highest log p + weight * bonus of the counted transitions, best first; K = n or all items."""
    follows = _Followers(mixture.model, history) if any(weights) else None
    best = [(torch.zeros(len(history), 0), torch.zeros(len(history), 0, dtype=torch.int64)) for _ in weights]
    for first, score_RJ in mixture.log_probabilities():
        bonus_RJ = follows.bonus(first, score_RJ) if follows else torch.zeros(())
        for number, weight in enumerate(weights):
            best[number] = _merged(*best[number], score_RJ + weight * bonus_RJ if weight else score_RJ, first, n)
    return torch.stack([item_RK for _, item_RK in best])


def _merged(score_RK: Tensor, item_RK: Tensor, score_RJ: Tensor, first: int, n: int) -> tuple[Tensor, Tensor]:
    """The n best of those so far and a block's."""
    found = score_RJ.topk(min(n, score_RJ.shape[1]), dim=1)
    score = torch.cat([score_RK, found.values], dim=1)
    item = torch.cat([item_RK, found.indices + first], dim=1)
    kept = score.topk(min(n, score.shape[1]), dim=1)
    return kept.values, item.gather(1, kept.indices)


class _Followers:
    """log(1 + c / FAINT) of how much each item follows the latest of a history, by item."""

    def __init__(self, model: PinRec, history: HistoryBatch):
        latest_RL = latest_first(history.item_BT.cpu().numpy(), history.length_B.cpu().numpy())
        item_RC, weight_RC = model.transitions.followers(latest_RL, min(model.n_items, LATEST * NEIGHBOURS))
        row_X, column_X = np.nonzero(item_RC != NO_ITEM)
        order = np.argsort(item_RC[row_X, column_X], kind="stable")
        row_X, column_X = row_X[order], column_X[order]
        found = row_X, item_RC[row_X, column_X], bonus(weight_RC[row_X, column_X])
        self.row_X, self.item_X, self.bonus_X = (torch.from_numpy(part).to(history.item_BT.device) for part in found)

    def bonus(self, first: int, score_RJ: Tensor) -> Tensor:
        """Bonus [R, J] of the items of a block."""
        start, stop = torch.searchsorted(self.item_X, torch.tensor([first, first + score_RJ.shape[1]])).tolist()
        bonus_RJ = torch.zeros_like(score_RJ)
        bonus_RJ[self.row_X[start:stop], self.item_X[start:stop] - first] = self.bonus_X[start:stop].to(score_RJ)
        return bonus_RJ
