"""The likeliest items in blocks are those of the plain mixture over the whole catalogue."""

import numpy as np
import pytest
import torch

from pinrec_core.config import ModelConfig
from pinrec_core.data.batch import collate
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions
from pinrec_core.training import likeliest as likeliest_module
from pinrec_core.training.likeliest import Mixture, likeliest
from pinrec_core.training.pretrain import action_shares

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, item_bias=True,
                    offsets_s=(0.05,))


@pytest.fixture
def asked(dataset):
    """A model that knows transitions, and three histories."""
    torch.manual_seed(0)
    model = PinRec(MODEL, dataset.log, dataset.items, action_shares(dataset)).eval()
    model.transitions = Transitions(np.array([0, 2] + [3] * 9), np.array([4, 7, 2]), np.array([0.5, 0.1, 0.3]))
    with torch.no_grad():
        model.item_bias.normal_()
    return model, collate([dataset.history(0, 10_000, 8), dataset.history(1, 10_000, 8), dataset.history(2, 0, 8)])


def plain(model, history) -> torch.Tensor:
    """log of the mixture [R, I], every softmax over the whole catalogue at once."""
    vectors, row = model.all_item_vectors(), torch.arange(len(history))
    states, mixture = model.encode(history, vectors), 0
    for action, share in model.action_shares["home"].items():
        for offset in range(2):
            told = [torch.full_like(row, code) for code in (model.log.action_names.index(action), 0, offset)]
            query = model.query(states, row, states.last_B, Conditions(*told))
            logits = model.logits(query, told[1], vectors, torch.arange(len(vectors)))
            mixture = mixture + share / 2 * logits.masked_fill(~model.retrievable_I, -torch.inf).softmax(1)
    return mixture.log()


@pytest.mark.parametrize("scores", [1, 50, 1 << 20], ids=["an item at a time", "a few items", "all items"])
@torch.no_grad()
def test_blocks_of_any_size_give_the_same(asked, monkeypatch, scores):
    model, history = asked
    monkeypatch.setattr(likeliest_module, "SCORES", scores)
    mixture, expected_RI = Mixture(model, model.all_item_vectors(), history, "home"), plain(model, history)
    blocks = list(mixture.log_probabilities())
    assert [first for first, _ in blocks] == np.cumsum([0] + [len(p[0]) for _, p in blocks])[:-1].tolist()
    torch.testing.assert_close(torch.cat([p for _, p in blocks], dim=1), expected_RI)
    found = likeliest(mixture, history, (0.0, 3.0), 4)
    assert found[0].tolist() == expected_RI.topk(4).indices.tolist()
    bonus_RI = likeliest_module._Followers(model, history).bonus(0, expected_RI)
    assert bonus_RI.any()
    assert found[1].tolist() == (expected_RI + 3.0 * bonus_RI).topk(4).indices.tolist()


@torch.no_grad()
def test_fewer_items_than_places(asked):
    model, history = asked
    mixture = Mixture(model, model.all_item_vectors(), history, "search")
    assert likeliest(mixture, history, (0.0,), 50).shape == (1, 3, model.n_items)
