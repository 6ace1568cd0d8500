"""Weights of counted experts: chosen on validation, one after the other, unless they are fixed."""

import numpy as np
import pytest
import torch

from pinrec_core.config import ExpertWeights, FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.batch import collate
from pinrec_core.errors import ConfigError
from pinrec_core.model.experts import Experts, Spoken
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training import validation as validation_module
from pinrec_core.training.counts import action_shares, log_exposure
from pinrec_core.training.experts import TRIED, weigh
from pinrec_core.training.finetune import _validation
from pinrec_core.training.validation import Validation

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, repeats=True,
                    exposure_half_life_days=1.0, item_bias=True, initial_temperature=1000.0)  # the network is silent
CHOSEN = ExpertWeights()  # all of them on validation


@pytest.fixture
def world(build_dataset):
    """A validation user knows 1 and is shown 2 next; train users are shown 2 far more often than anything else."""
    views = [(user, 0, 100 + user, NO_ITEM, [(2, 0), (2, 0), (3, 1)]) for user in range(1, 6)]
    return build_dataset([(0, 0, 100, NO_ITEM, [(1, 1)]), (0, 0, 900, NO_ITEM, [(2, 1)]), *views],
                         {0: "validation", **{user: "train" for user in range(1, 6)}})


def weighed(world, monkeypatch, fixed=CHOSEN, chooses=True):
    """A model whose network lists 1, then 4, and says nothing of the rest; weighed by the first place of its list."""
    monkeypatch.setattr(validation_module, "TOP", 1)
    model = PinRec(MODEL, world.log, world.items, action_shares(world))
    with torch.no_grad():
        model.bias.surface_SI[:, 1], model.bias.surface_SI[:, 4] = 1.0, 0.5
        model.bias.log_exposure_SI.copy_(log_exposure(world, 1.0))
    validation = Validation.before_the_window(world, ("home",), PretrainConfig())
    return model, list(weigh(model, validation if chooses else None, fixed))


def test_each_expert_gets_the_first_of_the_best_weights(world, monkeypatch):
    model, told = weighed(world, monkeypatch)
    assert [entry["expert"] for entry in told] == ["repeats", "exposure"]
    assert told[0]["scores"][0] == 0 and told[1]["scores"][0] == 0  # 1 is known, 4 not wanted: exposure must tell
    assert model.experts.exposure == TRIED["exposure"][told[1]["scores"].index(1.0)] > 0
    assert told[-1]["score"] == 1.0


def test_what_is_known_is_put_last_where_nobody_returns(world, monkeypatch):
    model, _ = weighed(world, monkeypatch)
    with torch.no_grad():
        model.bias.surface_SI[:, 2] = 0.9  # second best, and what is wanted
    model.experts = Experts()
    validation = Validation.before_the_window(world, ("home",), PretrainConfig())
    told = list(weigh(model, validation, ExpertWeights(exposure=0.0)))
    assert model.experts == Experts(repeats=-1.0) and told[0]["score"] == 1.0


def test_fixed_weights_are_taken_as_they_are(world, monkeypatch):
    model, told = weighed(world, monkeypatch, ExpertWeights(repeats=0.25, exposure=-1.5))
    assert model.experts == Experts(repeats=0.25, exposure=-1.5) and not told


def test_without_validation_nothing_is_chosen(world, monkeypatch):
    model, told = weighed(world, monkeypatch, ExpertWeights(exposure=1.0), chooses=False)
    assert model.experts == Experts(exposure=1.0) and not told


def test_a_weight_of_an_expert_that_is_not_there_is_refused(world, monkeypatch):
    with pytest.raises(ConfigError, match="experts.transitions is 1, but the model has no such expert"):
        weighed(world, monkeypatch, ExpertWeights(transitions=1.0))


def test_an_item_is_spoken_of_once_and_only_if_it_can_be_retrieved(dataset):
    history = dataset.history(0, 10**9, 8)._replace(item_T=np.array([3, 9, 3, 4, 1, 3, 2]))
    spoken = Spoken.of(collate([history, dataset.history(2, 10**9, 8)]), None, dataset.retrievable_I, 0)
    assert spoken.item_BC[0].tolist() == [1, 2, 3, 4] and spoken.repeated_BC[0].all()  # 9 is a query
    assert (spoken.item_BC[1] == NO_ITEM).all() and not spoken.log_odds(Experts(1.0, 1.0))[1].any()


def test_too_few_requests_of_its_own_let_all_surfaces_choose(build_dataset):
    views = [(0, 0, 900, NO_ITEM, [(1, 1)]), (1, 1, 900, NO_ITEM, [(2, 1)])]
    told = build_dataset(views, {0: "validation", 1: "validation"})
    assert len(_validation(told, "home", FinetuneConfig())) == 1
    assert len(_validation(told, "home", FinetuneConfig(min_validation_requests=2))) == 2
