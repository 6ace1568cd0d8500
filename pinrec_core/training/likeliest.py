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

import numpy as np
import torch
from torch import Tensor

from pinrec_core.data.batch import HistoryBatch
from pinrec_core.model.conditions import Conditions, elapsed_offset
from pinrec_core.model.experts import Experts, Spoken
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import LATEST, NEIGHBOURS
from pinrec_core.schemas import NO_ITEM

SCORES = 1 << 22  # float32 scores of a block: 16 MB, and a few times that while it is worked on


class Mixture:
    """p(item | history, surface, time of the request): the outcomes' softmaxes, mixed by how often each occurs.

    What is asked for is "now": in a model with time offsets the one that the request is from its history's end.
    """

    def __init__(self, model: PinRec, vectors_ID: Tensor, history: HistoryBatch, surface: str, time_R: Tensor):
        self.model, self.vectors_ID = model, vectors_ID
        states, row_R = model.encode(history, vectors_ID), torch.arange(len(history))
        self.surface = model.log.surface_names.index(surface)
        surface_R = torch.full_like(row_R, self.surface)
        offset_R = elapsed_offset(states.last.time_BL, time_R.to(row_R.device), 0.0, model.config.offsets_s)
        self.log_share, self.asked, self.query_RD = [], [], []  # of each outcome
        for action, share in model.action_shares[surface].items():
            if share > 0:
                action_R = torch.full_like(row_R, model.log.action_names.index(action))
                self.log_share.append(math.log(share))
                self.asked.append(Conditions(action_R, surface_R, offset_R))
                self.query_RD.append(model.query(states, row_R, states.last_B, self.asked[-1]))
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
        """Of each block of items, the logits [R, J] of every outcome."""
        items = torch.arange(len(self.vectors_ID))
        requests = len(self.query_RD[0]) if self.query_RD else 0
        for item_J in items.split(max(1, SCORES // max(requests * len(self.query_RD), 1))):
            given = self.vectors_ID[item_J], item_J
            hidden_J = ~self.model.retrievable_I[item_J]
            yield int(item_J[0]), [self.model.logits(query_RD, asked, *given).masked_fill_(hidden_J, -math.inf)
                                   for query_RD, asked in zip(self.query_RD, self.asked, strict=True)]


def likeliest(mixture: Mixture, history: HistoryBatch, experts: Sequence[Experts], n: int) -> Tensor:
    """Items [W, R, K] of highest log p and what the experts add to it, for each of their weights; K = n or all."""
    told = _Told(mixture, history, experts) if any(map(any, experts)) else None
    best = [(torch.zeros(len(history), 0), torch.zeros(len(history), 0, dtype=torch.int64)) for _ in experts]
    for first, score_RJ in mixture.log_probabilities():
        for number, weights in enumerate(experts):
            best[number] = _merged(*best[number], told.added(first, score_RJ, weights) if told else score_RJ, first, n)
    return torch.stack([item_RK for _, item_RK in best])


def _merged(score_RK: Tensor, item_RK: Tensor, score_RJ: Tensor, first: int, n: int) -> tuple[Tensor, Tensor]:
    """The n best of those so far and a block's."""
    found = score_RJ.topk(min(n, score_RJ.shape[1]), dim=1)
    score = torch.cat([score_RK, found.values], dim=1)
    item = torch.cat([item_RK, found.indices + first], dim=1)
    kept = score.topk(min(n, score.shape[1]), dim=1)
    return kept.values, item.gather(1, kept.indices)


class _Told:
    """What counted experts say of the items, block by block (see model.experts)."""

    def __init__(self, mixture: Mixture, history: HistoryBatch, experts: Sequence[Experts]):
        model, device = mixture.model, history.item_BT.device
        most = min(model.n_items, LATEST * NEIGHBOURS) if any(weights.transitions for weights in experts) else 0
        spoken = Spoken.of(history.to(torch.device("cpu")), model.transitions, model.retrievable_I.cpu().numpy(), most)
        row_X, column_X = np.nonzero(spoken.item_BC != NO_ITEM)
        order = np.argsort(spoken.item_BC[row_X, column_X], kind="stable")
        row_X, column_X = row_X[order], column_X[order]
        self.row_X = torch.from_numpy(row_X).to(device)
        self.item_X = torch.from_numpy(spoken.item_BC[row_X, column_X]).to(device)
        self.log_odds_X = {weights: torch.from_numpy(spoken.log_odds(weights)[row_X, column_X]).to(device)
                           for weights in experts}
        self.exposure_I = None
        if model.bias.counts_exposure:
            self.exposure_I = model.bias.log_exposure_SI[mixture.surface] * model.bias.known_I

    def added(self, first: int, score_RJ: Tensor, weights: Experts) -> Tensor:
        """The scores [R, J] of a block of items, its first item given, with the experts' log-odds on top."""
        stop = first + score_RJ.shape[1]
        here = slice(*torch.searchsorted(self.item_X, torch.tensor([first, stop])).tolist())
        place = self.row_X[here], self.item_X[here] - first
        score_RJ = score_RJ.index_put(place, self.log_odds_X[weights][here].to(score_RJ), accumulate=True)
        return score_RJ + weights.exposure * self.exposure_I[first:stop] if weights.exposure else score_RJ
