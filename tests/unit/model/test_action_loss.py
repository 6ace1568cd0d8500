"""The auxiliary loss: masked past actions are predicted, all others are left alone."""

import math

import pytest
import torch

from pinrec_core.config import Conditioning
from pinrec_core.data.batch import HistoryBatch, collate
from pinrec_core.training.optimizer import RowwiseAdamW

from .small import CONFIG, history, make


def masked_model(conditioning: Conditioning = Conditioning.OUTCOME):
    """A training model that masks every action."""
    return make(CONFIG.model_copy(update={"action_mask": 1.0, "dropout": 0.0, "conditioning": conditioning})).train()


def batch_with(actions: list[int]) -> HistoryBatch:
    """One history with these action bits, beside a shorter one of unknown actions."""
    return collate([history(len(actions))._replace(actions_T=torch.tensor(actions).numpy()),
                    history(1)._replace(actions_T=torch.zeros(1, dtype=torch.long).numpy())])


@pytest.mark.parametrize("conditioning", Conditioning)
def test_the_loss_is_the_mean_over_masked_tokens_of_known_action(conditioning):
    model, batch = masked_model(conditioning), batch_with([1, 0, 3])  # click, unknown, click and save
    with torch.no_grad():
        model.past_action[1].weight.zero_()
        model.past_action[1].bias.copy_(torch.tensor([0.0, math.log(3)]))  # p(click) = 1/2, p(save) = 3/4
    loss = model.action_loss(model.encode(batch), batch.actions_BT)
    by_hand = -(math.log(1 / 2) + math.log(1 / 4) + math.log(1 / 2) + math.log(3 / 4)) / 4
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_nothing_masked_or_nothing_known_costs_nothing():
    model = masked_model()
    unknown = batch_with([0, 0])
    assert model.action_loss(model.encode(unknown), unknown.actions_BT).item() == 0
    known = batch_with([1, 2])
    assert model.eval().action_loss(model.encode(known), known.actions_BT).item() == 0


def test_a_negative_action_is_known_but_no_class_of_its_own():
    model, batch = masked_model(), batch_with([4])  # hide
    with torch.no_grad():
        model.past_action[1].weight.zero_()
        model.past_action[1].bias.zero_()
    assert model.action_loss(model.encode(batch), batch.actions_BT).item() == pytest.approx(math.log(2), abs=1e-6)


def test_it_can_be_learned_from_the_item():
    torch.manual_seed(0)
    model = masked_model()
    one = history(6)
    batch = collate([one._replace(actions_T=1 + one.item_T % 2)])  # even items are clicked, odd ones saved
    optimizer = RowwiseAdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = model.action_loss(model.encode(batch), batch.actions_BT)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * math.log(2)
