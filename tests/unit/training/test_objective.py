"""What the loss of a batch is made of, beside the sampled softmax itself."""

import dataclasses

import numpy as np
import pytest
import torch

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.data.windows import engagement_windows
from pinrec_core.errors import ConfigError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.counts import action_shares
from pinrec_core.training.objective import Objective
from pinrec_core.training.optimizer import RowwiseAdamW

MODEL = ModelConfig(width=16, layers=2, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.0,
                    id_dropout=0.0, action_mask=1.0)


def model_of(dataset, **settings) -> PinRec:
    torch.manual_seed(0)
    config = MODEL.model_copy(update=settings)
    return PinRec(config, dataset.log, dataset.items, action_shares(dataset)).train()


def loss(dataset, model: PinRec, **settings) -> torch.Tensor:
    """Loss of one batch of all rows, with the same draws every time."""
    objective = Objective(model, PretrainConfig(random_negatives=16, **settings))
    batch = next(engagement_windows(dataset, 8, 0.0).batches(8, np.random.default_rng(0)))
    torch.manual_seed(1)
    return objective(batch)


def test_the_action_loss_is_added_by_its_weight(dataset):
    model = model_of(dataset)
    without, half, whole = (loss(dataset, model, action_loss=weight).item() for weight in (0.0, 0.5, 1.0))
    assert whole - without == pytest.approx(2 * (half - without), abs=1e-5)
    assert whole - without > 0.1


def test_the_action_loss_needs_masked_actions(dataset):
    with pytest.raises(ConfigError, match="model.action_mask is 0; raise action_mask"):
        loss(dataset, model_of(dataset, action_mask=0.0), action_loss=0.1)


@pytest.mark.parametrize("conditioning", ["none", "outcome", "backbone"])
def test_every_conditioning_trains(dataset, conditioning):
    model = model_of(dataset, conditioning=conditioning)
    optimizer = RowwiseAdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        losses.append(loss(dataset, model))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < 0.7 * losses[0].item()


@pytest.mark.parametrize(("wanted", "first"), [(False, 2), (True, 0)])
def test_cold_items_are_random_negatives_only_if_wanted(dataset, wanted, first):
    cold = dataset.items.set_column(dataset.items.schema.get_field_index("train_count"), "train_count",
                                    [[0, 0] + [1] * 8])
    model = model_of(dataclasses.replace(dataset, items=cold))
    drawn = Objective(model, PretrainConfig(cold_negatives=wanted)).retrievable
    assert drawn.tolist() == list(range(first, 9))  # item 9 is a query
