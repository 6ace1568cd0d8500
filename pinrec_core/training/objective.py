"""The loss of one batch: encode histories, ask for every target's outcome, score against its negatives.

With several processes each does this for its rows of the batch; the pool of negatives is that of the whole batch, its
vectors made by all and gathered with gradient.
Suffixes: N targets, Q distinct queries that ask for them, P pool, K ignored items of the view, U distinct items of the
batch, D item dimension.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import Targets, TrainingBatch
from pinrec_core.errors import ConfigError
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.rows import round_up
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.losses import least_of_groups, sampled_softmax
from pinrec_core.training.negatives import draw_negatives, draws_of
from pinrec_core.training.pool import log_z
from pinrec_core.training.precision import Products
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.sketch import CountMinSketch


class DistinctQueries(NamedTuple):
    """Targets of one column, action, surface and offset have one query, which is made and scored once."""

    row_Q: Tensor
    column_Q: Tensor
    asked: Conditions  # of Q
    place_N: Tensor  # the query of each target


def distinct_queries(targets: Targets) -> DistinctQueries:
    """The queries that a batch's targets need."""
    parts = (targets.row_N, targets.column_N, targets.action_N, targets.surface_N, targets.offset_N)
    key_N = torch.zeros_like(targets.row_N)
    for part_N in parts:
        key_N = key_N * (int(part_N.max()) + 1 if len(part_N) else 1) + part_N
    distinct, place_N = key_N.unique(return_inverse=True)
    first_Q = place_N.new_zeros(len(distinct)).index_put((place_N,), torch.arange(len(place_N)))
    row_Q, column_Q, *asked = (part_N[first_Q] for part_N in parts)
    return DistinctQueries(row_Q, column_Q, Conditions(*asked), place_N)


class Objective:
    """Sampled softmax over a batch; keeps the sketch of how often each item has been a target."""

    def __init__(self, model: PinRec, config: TrainConfig, ranks: Ranks = ALONE):
        if config.action_loss and not model.config.action_mask:
            raise ConfigError(f"action_loss {config.action_loss} predicts masked actions, but model.action_mask is 0; "
                              "raise action_mask or set action_loss to 0")
        self.model, self.config, self.ranks = model, config, ranks
        self.generator = torch.Generator().manual_seed(config.seed)  # of the negatives: in one state on all ranks
        self.products = Products.of(config, model.log_temperature.device)
        self.sketch = CountMinSketch(config.sketch_width, config.sketch_depth, config.seed)
        # Cold items are never a positive: as negatives they may teach that an item without an id is a bad one.
        drawn_I = model.retrievable_I if config.cold_negatives else model.retrievable_I & model.trained_I
        self.retrievable = drawn_I.nonzero().squeeze(1)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Weighted loss (scalar): the mean over the batch's targets or groups, and the action loss if there is one.

        With several ranks this is one rank's part of it, and their sum is the loss.
        """
        targets, history = batch.targets, batch.history
        draws = draws_of(targets, batch.user_B, self.ranks)
        self.sketch.add(draws.item_C)
        queries = distinct_queries(targets)
        negatives = draw_negatives(targets, queries.place_N, draws, self.retrievable, self.sketch, self.config,
                                   generator=self.generator)
        groups = (history.item_BT, targets.item_N, self.ranks.own_part(negatives.item_P), targets.ignored_NK)
        with self.products.rounded():
            vectors_UD, (item_BT, item_N, own_P, ignored_NK) = self._encode_once(groups)
        pool_PD = self.ranks.join_parts(vectors_UD[own_P], len(negatives.item_P))
        with self.products.ragged():
            states = self.model.encode(dataclasses.replace(history, item_BT=item_BT), vectors_UD)
            query_QD = self.model.query(states, queries.row_Q, queries.column_Q, queries.asked)
        asked = query_QD[queries.place_N], Conditions(targets.action_N, targets.surface_N, targets.offset_N)
        positive_N = self.model.paired_logits(*asked, vectors_UD[item_N][:, None], targets.item_N[:, None])[:, 0]
        factors = self.model.factors(query_QD, queries.asked, pool_PD, negatives.item_P)
        loss_N = sampled_softmax(
            positive_N, log_z(*factors, negatives, self.products.kind), queries.place_N, negatives,
            self._view_logits(asked, vectors_UD, ignored_NK, targets.ignored_NK),
            correct_positive=self.config.correct_positive)
        loss = self.ranks.share(targets.groups) * least_of_groups(loss_N, targets.weight_N, targets.group_N)
        if self.config.action_loss:
            share = self.ranks.share(int((states.masked_BT & (history.actions_BT > 0)).sum()))
            loss = loss + share * self.config.action_loss * self.model.action_loss(states, history.actions_BT)
        return loss

    def _encode_once(self, groups: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Vectors of the distinct items of all groups, and each group as rows of them (padding becomes row 0)."""
        flat = torch.cat([group.clamp(min=0).flatten() for group in groups])
        distinct, place = flat.unique(return_inverse=True)
        places = place.split([group.numel() for group in groups])
        vectors_UD = self.model.item_vectors(round_up(distinct))
        return vectors_UD, [p.view(g.shape) for p, g in zip(places, groups, strict=True)]

    def _view_logits(self, asked: tuple[Tensor, Conditions], vectors_UD: Tensor, place_NK: Tensor,
                     ignored_NK: Tensor) -> Tensor | None:
        """Logits [N, K] of the shown and ignored items, -inf at padding; None without any."""
        if not ignored_NK.shape[1]:
            return None
        logits_NK = self.model.paired_logits(*asked, vectors_UD[place_NK], ignored_NK.clamp(min=0))
        return logits_NK.masked_fill(ignored_NK == NO_ITEM, float("-inf"))
