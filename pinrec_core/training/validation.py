"""Recall or NDCG on users kept from training: the number by which checkpoints are chosen.

Suffixes: R requests, D item dimension, I items, K places of a list, W weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pinrec_core.config import TrainConfig, ValidationMetric
from pinrec_core.data.batch import collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests, requests_in
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.likeliest import Mixture, likeliest

TOP = 50  # items of a list that are looked at
REQUESTS_AT_ONCE = 512


class Validation:
    """Requests with known answers, asked of the model after every epoch."""

    def __init__(self, dataset: Dataset, requests: Sequence[Requests],
                 metric: ValidationMetric = ValidationMetric.RECALL):
        self.dataset, self.requests, self.metric = dataset, [part for part in requests if len(part)], metric

    @classmethod
    def before_the_window(cls, dataset: Dataset, surfaces: Sequence[str], config: TrainConfig) -> Validation:
        """The validation users' requests in the window before the evaluation window, one set per surface."""
        users, generator, found = dataset.users_in("validation"), np.random.default_rng(config.seed), []
        for surface in surfaces:
            requests = requests_in(dataset, surface, dataset.validation_start_ms, dataset.train_end_ms, users)
            kept = generator.permutation(len(requests))[:config.validation_users]
            found.append(requests.take(np.sort(kept)))
        return cls(dataset, found, config.validation_metric)

    def __len__(self) -> int:
        return sum(len(requests) for requests in self.requests)

    @property
    def name(self) -> str:
        """The metric as metrics.jsonl and the log call it."""
        return f"{self.metric}@{TOP}"

    def score(self, model: PinRec) -> float:
        """The metric over the 50 likeliest items, mean over requests (higher is better)."""
        return self.scores(model, (0.0,))[0]

    @torch.no_grad()
    def scores(self, model: PinRec, transition_weights: Sequence[float]) -> list[float]:
        """The same with counted transitions joining the score, for each of their weights."""
        model.eval()
        vectors_ID = model.all_item_vectors()
        found = [found for requests in self.requests
                 for found in self._found(model, vectors_ID, requests, transition_weights)]
        return np.mean(found, axis=0).tolist()

    def _found(self, model: PinRec, vectors_ID: Tensor, requests: Requests,
               weights: Sequence[float]) -> Iterator[list[float]]:
        """Per request, the metric with each weight."""
        for first in range(0, len(requests), REQUESTS_AT_ONCE):
            part = requests.take(np.arange(first, min(first + REQUESTS_AT_ONCE, len(requests))))
            history = collate(part.histories(self.dataset, model.config.max_length)).to(vectors_ID.device)
            mixture = Mixture(model, vectors_ID, history, part.surface)
            top_WRK = likeliest(mixture, history, weights, TOP).cpu().numpy()
            for row, items in enumerate(np.split(part.item_T, part.offsets_R1[1:-1])):
                yield [METRICS[self.metric](np.isin(top_RK[row], items), len(items)) for top_RK in top_WRK]


def _recall(hit_K: np.ndarray, targets: int) -> float:
    return hit_K.sum() / targets


def _ndcg(hit_K: np.ndarray, targets: int) -> float:
    """All targets equally good; against the best that any list of this length could be."""
    gain_K = 1 / np.log2(np.arange(len(hit_K)) + 2)
    return gain_K[hit_K].sum() / gain_K[:targets].sum()


METRICS = {ValidationMetric.RECALL: _recall, ValidationMetric.NDCG: _ndcg}
