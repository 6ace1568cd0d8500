"""Counted experts in the search: joined lists against scoring every item."""

import numpy as np
import pytest
import torch

from pinrec_core.config import GenerationConfig, IndexConfig, ModelConfig
from pinrec_core.model.experts import Experts
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import DECAY, bonus, count_transitions
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.retrieval.search import Adjusted, join
from pinrec_core.schemas import NO_ITEM

SWITCHES = ({}, {"item_bias": True}, {"item_bias": True, "action_bias": True, "exposure_half_life_days": 1.0})


@pytest.fixture(params=SWITCHES, ids=["plain", "with a bias", "with all biases"])
def model(request, dataset) -> PinRec:
    """An untrained model with transitions counted over the dataset."""
    torch.manual_seed(3)
    config = ModelConfig(width=16, layers=1, item_dim=8, max_length=8, id_buckets=64, id_dim=8, transitions=True,
                         **request.param)
    shares = {surface: {"click": 0.6, "save": 0.4} for surface in dataset.log.surface_names}
    model = PinRec(config, dataset.log, dataset.items, shares).eval()
    for table in (*model.bias.tables, model.bias.log_exposure_SI):
        torch.nn.init.normal_(table, std=3.0)
    user_E = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets_U1))
    model.transitions = count_transitions(dataset.item_E, user_E, dataset.retrievable_I)
    return model


def retriever(model: PinRec, steps: int) -> Retriever:
    vectors_ID = model.search_vectors("home").numpy()
    index = ItemIndex.build(vectors_ID, model.retrievable_I.numpy(), IndexConfig())
    return Retriever(model, index, GenerationConfig(steps=steps, candidates=6, overfetch=1.0), vectors_ID)


@pytest.mark.parametrize("experts", [Experts(transitions=0.25), Experts(transitions=2.0), Experts(repeats=-50.0),
                                     Experts(repeats=2.0, exposure=0.5), Experts(0.5, -1.0, -0.5)])
def test_a_query_ranks_by_its_score_and_what_experts_say_of_every_item(model, dataset, experts):
    model.experts = experts
    histories = [dataset.history(user, 10**9, 8) for user in range(dataset.n_users)]
    found = retriever(model, steps=1)
    _, queries = found.retrieve_lists(histories, "home", np.full(len(histories), 1000), n=5, depth=5)
    items, vectors_ID = np.flatnonzero(model.retrievable_I.numpy()), model.search_vectors("home").numpy()
    for request, query, listed in zip(queries.request_M, queries.search_MD, queries.item_MK, strict=True):
        followed = np.zeros(len(vectors_ID))
        for age, item in enumerate(histories[request].item_T[::-1]):
            pairs = slice(*model.transitions.offsets_I1[item:item + 2])
            np.add.at(followed, model.transitions.item_P[pairs], DECAY**age * model.transitions.weight_P[pairs])
        told = experts.transitions * bonus(followed)
        told += experts.repeats * np.isin(np.arange(len(told)), histories[request].item_T)
        score = (vectors_ID @ query + told / model.scale.item())[items]
        np.testing.assert_allclose(np.sort(score)[::-1][:5], score[np.searchsorted(items, listed)], rtol=1e-4)


def test_what_nobody_returns_to_comes_last(model, dataset):
    model.experts = Experts(repeats=-50.0)
    history = dataset.history(0, 10**9, 8)
    found = retriever(model, steps=1).retrieve([history], "home", np.array([1000]), n=9)
    known = np.isin(found.item_RN[0], history.item_T)
    assert known.any() and not known.all() and (np.diff(known.astype(int)) >= 0).all()
    assert len(set(found.item_RN[0].tolist())) == 9


def test_without_weights_experts_change_nothing(model, dataset):
    histories = [dataset.history(0, 10**9, 8)]
    plain = retriever(model, steps=2).retrieve(histories, "home", np.array([1000]))
    model.transitions = None
    np.testing.assert_array_equal(plain.item_RN, retriever(model, steps=2).retrieve(histories, "home",
                                                                                    np.array([1000])).item_RN)


def test_an_adjusted_item_among_the_neighbours_counts_once():
    adjusted = Adjusted(np.array([[7, NO_ITEM]]), np.array([[1.0, 0.0]], np.float32))
    score, item = join(np.array([[[0.9, 0.5, 0.1]]]), np.array([[[4, 7, 2]]]), adjusted, np.array([[[0.5, -np.inf]]]),
                       3)
    assert item.tolist() == [[[7, 4, 2]]]
    assert score.tolist() == [[[1.5, 0.9, 0.1]]]


def test_followers_need_a_history(model, dataset):
    model.experts = Experts(transitions=1.0)
    adjusted = Adjusted.of(model, [dataset.history(2, 10**9, 8), dataset.history(0, 10**9, 8)])
    assert (adjusted.item_BC[0] == NO_ITEM).all() and (adjusted.item_BC[1] != NO_ITEM).any()
