"""The loss of one batch: encode histories, ask for every target's outcome, score against its negatives.

Suffixes: N targets, P pool, K ignored items of the view, U distinct items of the batch, D item dimension.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.losses import sampled_softmax
from pinrec_core.training.negatives import draw_negatives
from pinrec_core.training.sketch import CountMinSketch


class Objective:
    """Sampled softmax over a batch; keeps the sketch of how often each item has been a target."""

    def __init__(self, model: PinRec, config: TrainConfig):
        if config.action_loss and not model.config.action_mask:
            raise ConfigError(f"action_loss {config.action_loss} predicts masked actions, but model.action_mask is 0; "
                              "raise action_mask or set action_loss to 0")
        self.model, self.config = model, config
        self.sketch = CountMinSketch(config.sketch_width, config.sketch_depth, config.seed)
        # Items that are never a positive would teach that an item without an id is a bad one: zero-shot would be lost.
        self.retrievable = (model.retrievable_I & model.trained_I).nonzero().squeeze(1)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Mean weighted loss (scalar) of the batch's targets, and of the masked actions if they are to be predicted."""
        targets, history = batch.targets, batch.history
        self.sketch.add(targets.item_N)
        negatives = draw_negatives(targets, batch.user_B, self.retrievable, self.sketch, self.config)
        groups = (history.item_BT, targets.item_N, negatives.item_P, targets.ignored_NK)
        vectors_UD, (item_BT, item_N, item_P, ignored_NK) = self._encode_once(groups)
        states = self.model.encode(dataclasses.replace(history, item_BT=item_BT), vectors_UD)
        conditions = Conditions(targets.action_N, targets.surface_N, torch.zeros_like(targets.action_N))
        query_ND = self.model.query(states, targets.row_N, targets.column_N, conditions)
        scaled_ND = self.model.scale * query_ND
        loss_N = sampled_softmax(
            (scaled_ND * vectors_UD[item_N]).sum(1), scaled_ND @ vectors_UD[item_P].T, negatives,
            self._view_logits(scaled_ND, vectors_UD, ignored_NK, targets.ignored_NK),
            correct_positive=self.config.correct_positive)
        loss = (loss_N * targets.weight_N).mean()
        if self.config.action_loss:
            loss = loss + self.config.action_loss * self.model.action_loss(states, history.actions_BT)
        return loss

    def _encode_once(self, groups: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Vectors of the distinct items of all groups, and each group as rows of them (padding becomes row 0)."""
        flat = torch.cat([group.clamp(min=0).flatten() for group in groups])
        distinct, place = flat.unique(return_inverse=True)
        places = place.split([group.numel() for group in groups])
        return self.model.item_vectors(distinct), [p.view(g.shape) for p, g in zip(places, groups, strict=True)]

    @staticmethod
    def _view_logits(scaled_ND: Tensor, vectors_UD: Tensor, place_NK: Tensor, ignored_NK: Tensor) -> Tensor | None:
        """Logits [N, K] of the shown and ignored items, -inf at padding; None without any."""
        if not ignored_NK.shape[1]:
            return None
        logits_NK = torch.einsum("nd,nkd->nk", scaled_ND, vectors_UD[place_NK])
        return logits_NK.masked_fill(ignored_NK == NO_ITEM, float("-inf"))
