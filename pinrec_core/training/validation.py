"""Recall on users kept from training: the number by which checkpoints are chosen. Suffixes: R requests, D, I items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import HistoryBatch, collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests, requests_in
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec

RECALL_AT = 50
REQUESTS_AT_ONCE = 512


class Validation:
    """Requests with known answers, asked of the model after every epoch."""

    def __init__(self, dataset: Dataset, requests: Sequence[Requests]):
        self.dataset, self.requests = dataset, [part for part in requests if len(part)]

    @classmethod
    def before_the_window(cls, dataset: Dataset, surfaces: Sequence[str], config: TrainConfig) -> Validation:
        """The validation users' requests in the window before the evaluation window, one set per surface."""
        users, generator, found = dataset.users_in("validation"), np.random.default_rng(config.seed), []
        for surface in surfaces:
            requests = requests_in(dataset, surface, dataset.validation_start_ms, dataset.train_end_ms, users)
            kept = generator.permutation(len(requests))[:config.validation_users]
            found.append(requests.take(np.sort(kept)))
        return cls(dataset, found)

    def __len__(self) -> int:
        return sum(len(requests) for requests in self.requests)

    @torch.no_grad()
    def recall(self, model: PinRec) -> float:
        """Mean over requests of the share of targets among the 50 likeliest items (higher is better)."""
        model.eval()
        vectors_ID = model.all_item_vectors()
        return float(np.concatenate([self._recalls(model, vectors_ID, r) for r in self.requests]).mean())

    def _recalls(self, model: PinRec, vectors_ID: Tensor, requests: Requests) -> np.ndarray:
        out = []
        for first in range(0, len(requests), REQUESTS_AT_ONCE):
            part = requests.take(np.arange(first, min(first + REQUESTS_AT_ONCE, len(requests))))
            history = collate(part.histories(self.dataset, model.config.max_length))
            top_RK = outcome_mixture(model, vectors_ID, history, part.surface).topk(
                min(RECALL_AT, len(vectors_ID)), dim=1).indices.numpy()
            for r, top_K in enumerate(top_RK):
                items = part.item_T[part.offsets_R1[r]:part.offsets_R1[r + 1]]
                out.append(np.isin(items, top_K).mean())
        return np.array(out)


def outcome_mixture(model: PinRec, vectors_ID: Tensor, history: HistoryBatch, surface: str) -> Tensor:
    """p(item | history, surface) [R, I]: the outcomes' softmaxes, mixed by how often each occurs, offsets equally."""
    states, row_R = model.encode(history, vectors_ID), torch.arange(len(history))
    code_R = torch.full_like(row_R, model.log.surface_names.index(surface))
    mixture, items = torch.zeros(len(history), len(vectors_ID)), torch.arange(len(vectors_ID))
    offsets = model.config.offset_buckets
    for (action, share), offset in product(model.action_shares[surface].items(), range(offsets)):
        if share > 0:
            action_R = torch.full_like(row_R, model.log.action_names.index(action))
            conditions = Conditions(action_R, code_R, torch.full_like(row_R, offset))
            logits = model.logits(model.query(states, row_R, states.last_B, conditions), code_R, vectors_ID, items)
            mixture += share / offsets * logits.masked_fill(~model.retrievable_I, float("-inf")).softmax(1)
    return mixture
