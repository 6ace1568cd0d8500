"""A validation that also keeps the time and the hit rate that the literature gives, for benchmarks/train.py.

Suffixes: R requests, M list before the seen items are removed, H longest history, W weights of the counted transitions.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from leave_one_out import LeaveOneOut, without_seen

from pinrec_core.config import PretrainConfig
from pinrec_core.data.batch import collate
from pinrec_core.model.experts import Experts
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.likeliest import Mixture, likeliest
from pinrec_core.training.validation import REQUESTS_AT_ONCE, Validation

WEIGHTS = (0.0, 1.0, 1.5)  # of the counted transitions; a run that ends chooses among these and others
K = 10


class TimedValidation(Validation):
    """The run's own validation; beside it, a curve of (seconds, HR@10 of the network, HR@10 with transitions).

    `training_s` are the seconds between the end of one validation and the beginning of the next.
    """

    def __init__(self, cut: LeaveOneOut, config: PretrainConfig):
        kept = np.random.default_rng(0).permutation(len(cut.validation))[:config.validation_users]
        super().__init__(cut.full, [cut.validation.take(np.sort(kept))], config.validation_metric)
        self.curve: list[tuple[float, float, float]] = []
        self.start, self.training_s, self._left = time.perf_counter(), 0.0, None

    def score(self, model: PinRec) -> float:
        """What the run chooses by; the clock of the training is stopped meanwhile."""
        if self._left is not None:
            self.training_s += time.perf_counter() - self._left
        score, found_W = super().score(model), self.hit_rates(model)
        self.curve.append((time.perf_counter() - self.start, found_W[0], max(found_W)))
        self._left = time.perf_counter()
        return score

    @torch.no_grad()
    def hit_rates(self, model: PinRec) -> list[float]:
        """HR@10 with each weight, seen items removed, mean over the requests (higher is better)."""
        requests, vectors_ID, hits_W = self.requests[0], model.all_item_vectors(), np.zeros(len(WEIGHTS))
        for first in range(0, len(requests), REQUESTS_AT_ONCE):
            part = requests.take(np.arange(first, min(first + REQUESTS_AT_ONCE, len(requests))))
            history = collate(part.histories(self.dataset, model.config.max_length))
            whole = part.histories(self.dataset, int(np.diff(self.dataset.offsets_U1).max()))
            seen_RH = collate(whole).item_BT.numpy()
            mixture = Mixture(model, vectors_ID, history, part.surface, torch.from_numpy(part.time_R))
            weights = WEIGHTS if model.transitions is not None else WEIGHTS[:1]
            experts = [Experts(transitions=weight) for weight in weights]
            for number, item_RM in enumerate(likeliest(mixture, history, experts, K + seen_RH.shape[1]).numpy()):
                list_RK = without_seen(item_RM, np.where(seen_RH >= 0, seen_RH, NO_ITEM), K)
                hits_W[number] += (list_RK == part.item_T[:, None]).any(1).sum()
        return (hits_W / len(requests)).tolist()
