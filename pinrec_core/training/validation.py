"""Recall or NDCG on users kept from training: the number by which checkpoints are chosen.

Suffixes: R requests, D item dimension, I items, K places of a list, W weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pinrec_core.config import TrainConfig, ValidationMetric
from pinrec_core.data.batch import HistoryBatch, collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests, requests_in
from pinrec_core.model.conditions import Conditions, elapsed_offset
from pinrec_core.model.experts import Experts, Spoken
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import LATEST, NEIGHBOURS
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.ranks import ALONE, Ranks

TOP = 50  # items of a list that are looked at
REQUESTS_AT_ONCE = 512
ITEMS_AT_ONCE = 8192


class Validation:
    """Requests with known answers, asked of the model after every epoch."""

    def __init__(self, dataset: Dataset, requests: Sequence[Requests],
                 metric: ValidationMetric = ValidationMetric.RECALL, ranks: Ranks = ALONE):
        self.dataset, self.requests, self.metric = dataset, [part for part in requests if len(part)], metric
        self.ranks = ranks

    @classmethod
    def before_the_window(cls, dataset: Dataset, surfaces: Sequence[str], config: TrainConfig,
                          ranks: Ranks = ALONE) -> Validation:
        """The validation users' requests in the window before the evaluation window, one set per surface."""
        users, generator, found = dataset.users_in("validation"), np.random.default_rng(config.seed), []
        for surface in surfaces:
            requests = requests_in(dataset, surface, dataset.validation_start_ms, dataset.train_end_ms, users)
            kept = generator.permutation(len(requests))[:config.validation_users]
            found.append(requests.take(np.sort(kept)))
        return cls(dataset, found, config.validation_metric, ranks)

    def __len__(self) -> int:
        return sum(len(requests) for requests in self.requests)

    @property
    def name(self) -> str:
        """The metric as metrics.jsonl and the log call it."""
        return f"{self.metric}@{TOP}"

    def score(self, model: PinRec) -> float:
        """The metric over the 50 likeliest items, mean over requests (higher is better)."""
        return self.scores(model, [Experts()])[0]

    @torch.no_grad()
    def scores(self, model: PinRec, experts: Sequence[Experts]) -> list[float]:
        """The same with counted experts joining the score, for each of the given weights of them.

        Each rank encodes a part of the catalogue and asks a part of the requests; all get the same numbers.
        """
        model.eval()
        ranks = self.ranks
        own_P = ranks.own_part(torch.arange(model.n_items))
        vectors_ID = ranks.join_parts(torch.cat([model.item_vectors(part) for part in own_P.split(ITEMS_AT_ONCE)]),
                                      model.n_items)
        found = [found for requests in self.requests
                 for found in self._found(model, vectors_ID, requests.take(np.arange(len(requests))[ranks.rows]),
                                          experts)]
        sum_W = ranks.all_sum(torch.tensor(found, dtype=torch.float64).view(-1, len(experts)).sum(0))
        return (sum_W / len(self)).tolist()

    def _found(self, model: PinRec, vectors_ID: Tensor, requests: Requests,
               experts: Sequence[Experts]) -> Iterator[list[float]]:
        """Per request, the metric with each of the experts' weights."""
        for first in range(0, len(requests), REQUESTS_AT_ONCE):
            part = requests.take(np.arange(first, min(first + REQUESTS_AT_ONCE, len(requests))))
            history = collate(part.histories(self.dataset, model.config.max_length))
            score_RI = outcome_mixture(model, vectors_ID, history, part.surface, torch.from_numpy(part.time_R)).log()
            top_WRK = [(score_RI + told_RI).topk(min(TOP, len(vectors_ID)), dim=1).indices.numpy()
                       for told_RI in _told(model, history, part.surface, experts)]
            for row, items in enumerate(np.split(part.item_T, part.offsets_R1[1:-1])):
                yield [METRICS[self.metric](np.isin(top_RK[row], items), len(items)) for top_RK in top_WRK]


def _recall(hit_K: np.ndarray, targets: int) -> float:
    return hit_K.sum() / targets


def _ndcg(hit_K: np.ndarray, targets: int) -> float:
    """All targets equally good; against the best that any list of this length could be."""
    gain_K = 1 / np.log2(np.arange(len(hit_K)) + 2)
    return gain_K[hit_K].sum() / gain_K[:targets].sum()


METRICS = {ValidationMetric.RECALL: _recall, ValidationMetric.NDCG: _ndcg}


def _told(model: PinRec, history: HistoryBatch, surface: str, experts: Sequence[Experts]) -> Iterator[Tensor]:
    """What counted experts add to the log-probability of every item, [R, I], for each of their weights."""
    most = min(model.n_items, LATEST * NEIGHBOURS) if any(weights.transitions for weights in experts) else 0
    spoken = Spoken.of(history, model.transitions, model.retrievable_I.numpy(), most)
    place_RC = torch.from_numpy(np.where(spoken.item_BC == NO_ITEM, model.n_items, spoken.item_BC))
    for weights in experts:
        told_RI = torch.zeros(len(history), model.n_items + 1)
        told_RI.scatter_(1, place_RC, torch.from_numpy(spoken.log_odds(weights)))
        if weights.exposure:
            told_RI[:, :-1] += weights.exposure * model.bias.log_exposure_SI[model.log.surface_names.index(surface)]
        yield told_RI[:, :-1]


def outcome_mixture(model: PinRec, vectors_ID: Tensor, history: HistoryBatch, surface: str, time_R: Tensor) -> Tensor:
    """p(item | history, surface, time of the request) [R, I]: the outcomes' softmaxes, mixed by how often each occurs.

    What is asked for is "now": in a model with time offsets the one that the request is from its history's end.
    """
    states, row_R = model.encode(history, vectors_ID), torch.arange(len(history))
    code_R = torch.full_like(row_R, model.log.surface_names.index(surface))
    offset_R = elapsed_offset(states.last.time_BL, time_R, 0.0, model.config.offsets_s)
    mixture, items = torch.zeros(len(history), len(vectors_ID)), torch.arange(len(vectors_ID))
    for action, share in model.action_shares[surface].items():
        if share > 0:
            conditions = Conditions(torch.full_like(row_R, model.log.action_names.index(action)), code_R, offset_R)
            logits = model.logits(model.query(states, row_R, states.last_B, conditions), conditions, vectors_ID, items)
            mixture += share * logits.masked_fill(~model.retrievable_I, float("-inf")).softmax(1)
    return mixture
