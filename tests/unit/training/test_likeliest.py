"""The likeliest items in blocks are those of the plain mixture over the whole catalogue."""

import numpy as np
import pytest
import torch

from pinrec_core.config import ModelConfig
from pinrec_core.data.batch import collate
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.experts import Experts
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import DECAY, Transitions, bonus
from pinrec_core.training import likeliest as likeliest_module
from pinrec_core.training.counts import action_shares
from pinrec_core.training.likeliest import Mixture, likeliest

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, item_bias=True,
                    action_bias=True, exposure_half_life_days=1.0, offsets_s=(0.05, 100.0))
NOW = torch.tensor([10_000, 10_000, 10_000])  # more than 50 ms after the histories' ends, less than 100 s


@pytest.fixture
def asked(dataset):
    """A model that knows transitions and exposures, and three histories, the last one empty."""
    torch.manual_seed(0)
    model = PinRec(MODEL, dataset.log, dataset.items, action_shares(dataset)).eval()
    model.transitions = Transitions(np.array([0, 2] + [3] * 9), np.array([4, 7, 2]), np.array([0.5, 0.1, 0.3]))
    with torch.no_grad():
        for table in (*model.bias.tables, model.bias.log_exposure_SI):
            table.normal_()
    return model, collate([dataset.history(0, 10_000, 8), dataset.history(1, 10_000, 8), dataset.history(2, 0, 8)])


def plain(model, history) -> torch.Tensor:
    """log of the mixture [R, I], every softmax over the whole catalogue at once."""
    vectors, row = model.all_item_vectors(), torch.arange(len(history))
    states, mixture = model.encode(history, vectors), 0
    for action, share in model.action_shares["home"].items():
        told = Conditions(torch.full_like(row, model.log.action_names.index(action)), torch.zeros_like(row),
                          torch.tensor([1, 1, 0]))
        query = model.query(states, row, states.last_B, told)
        logits = model.logits(query, told, vectors, torch.arange(len(vectors)))
        mixture = mixture + share * logits.masked_fill(~model.retrievable_I, -torch.inf).softmax(1)
    return mixture.log()


@pytest.mark.parametrize("scores", [1, 50, 1 << 20], ids=["an item at a time", "a few items", "all items"])
@torch.no_grad()
def test_blocks_of_any_size_give_the_same(asked, monkeypatch, scores):
    model, history = asked
    monkeypatch.setattr(likeliest_module, "SCORES", scores)
    mixture, expected_RI = Mixture(model, model.all_item_vectors(), history, "home", NOW), plain(model, history)
    blocks = list(mixture.log_probabilities())
    assert [first for first, _ in blocks] == np.cumsum([0] + [len(p[0]) for _, p in blocks])[:-1].tolist()
    torch.testing.assert_close(torch.cat([p for _, p in blocks], dim=1), expected_RI)
    experts = (Experts(), Experts(transitions=3.0), Experts(repeats=-2.0), Experts(1.0, -1.0, 0.5))
    found = likeliest(mixture, history, experts, 4)
    for items, weights in zip(found, experts, strict=True):
        told_RI = by_hand(model, history, weights)
        assert told_RI.any() == any(weights)
        assert items.tolist() == (expected_RI + told_RI).topk(4).indices.tolist()


def by_hand(model, history, weights: Experts) -> torch.Tensor:
    """What experts add to the score of every item [R, I]."""
    told_RI = torch.zeros(len(history), model.n_items)
    for row, (items, length) in enumerate(zip(history.item_BT, history.length_B, strict=True)):
        items, followed = items[:length].tolist(), np.zeros(model.n_items)
        for age, item in enumerate(items[::-1]):
            pairs = slice(*model.transitions.offsets_I1[item:item + 2])
            np.add.at(followed, model.transitions.item_P[pairs], DECAY**age * model.transitions.weight_P[pairs])
        told_RI[row] += torch.from_numpy(weights.transitions * bonus(followed)).float()
        told_RI[row, list(set(items))] += weights.repeats
    return told_RI + weights.exposure * model.bias.log_exposure_SI[0] * model.bias.known_I


@torch.no_grad()
def test_fewer_items_than_places(asked):
    model, history = asked
    mixture = Mixture(model, model.all_item_vectors(), history, "search", NOW)
    assert likeliest(mixture, history, (Experts(),), 50).shape == (1, 3, model.n_items)
