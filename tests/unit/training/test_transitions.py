"""Transitions of a trained model: counted from what it may know, weighed on validation, kept by fine-tuning."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import engagement_windows
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions
from pinrec_core.schemas import ITEMS, NO_ITEM
from pinrec_core.training.counts import action_shares, transitions_of
from pinrec_core.training.experts import TRIED
from pinrec_core.training.finetune import finetune
from pinrec_core.training.loop import Fit
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.validation import Validation

HOME, SEARCH = 0, 1
SOURCES, FOLLOWERS = 5, 60  # items 0..4 are followed by items 10..69, 12 each, in sequences of 6
NEVER = 125  # follows nothing, and only validation users ever take it
N_ITEMS = 130
MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.0,
                    transitions=True, initial_temperature=1000.0)  # so flat that the network knows nothing
STILL = {"epochs": 1, "learning_rate": 1e-12, "random_negatives": 8, "validation_users": 100}  # nothing is learned


def item_table() -> pa.Table:
    return pa.table({
        "item_id": [f"i{k}" for k in range(N_ITEMS)], "item_type": [0] * N_ITEMS,
        "id_hash": pa.array([k * 0x9E3779B97F4A7C15 % 2**64 for k in range(N_ITEMS)], pa.uint64()),
        "content": [None] * N_ITEMS, "attributes": [[]] * N_ITEMS, "title": [None] * N_ITEMS,
        "created_ms": [None] * N_ITEMS, "train_count": [1] * N_ITEMS}, schema=ITEMS)


@pytest.fixture
def world(build_dataset) -> Dataset:
    """Train users tell what follows 0..4. Validation users know 0..4: on home they go on to a follower, on search to
    an item that follows nothing."""
    views, splits = [], {}

    def user(split: str, *told: tuple) -> None:
        views.extend((len(splits), *view) for view in told)
        splits[len(splits)] = split

    for first in range(10, 10 + FOLLOWERS, 6):
        shown = [((first - 10) // 12, 1), *((first + k, 1) for k in range(6))]
        user("train", (HOME, 100, NO_ITEM, shown), (SEARCH, 300, NO_ITEM, [(6, 1)]))
    for first in range(10, 10 + FOLLOWERS, 6):
        past = (HOME, 100, NO_ITEM, [(source, 1) for source in range(SOURCES)])
        user("validation", past, (HOME, 900, NO_ITEM, [(first, 1)]))
        user("validation", past, (SEARCH, 900, NO_ITEM, [(NEVER, 1)]))
    return dataclasses.replace(build_dataset(views, splits), items=item_table())


def pairs(transitions: Transitions) -> dict[tuple[int, int], float]:
    source_P = np.repeat(np.arange(len(transitions.offsets_I1) - 1), np.diff(transitions.offsets_I1))
    found = zip(source_P.tolist(), transitions.item_P.tolist(), transitions.weight_P.tolist(), strict=True)
    return {(source, item): weight for source, item, weight in found}


def test_only_what_train_users_did_before_the_window_is_counted(build_dataset):
    dataset = build_dataset([
        (0, HOME, 100, NO_ITEM, [(1, 1)]), (0, SEARCH, 999, NO_ITEM, [(2, 1)]),  # 1 -> 2, whatever the surface
        (0, HOME, 1000, NO_ITEM, [(3, 1)]),  # in the window
        (1, HOME, 100, NO_ITEM, [(4, 1), (5, 1)]),  # of a validation user
        (2, HOME, 100, NO_ITEM, [(6, 1), (7, 1)]),  # of a user held out
        (3, HOME, 100, NO_ITEM, [(8, 1), (0, 4), (1, 2)]),  # a negative action is no engagement
    ], {0: "train", 1: "validation", 2: "heldout", 3: "train"})
    assert pairs(transitions_of(dataset, 0.0)) == pytest.approx({(1, 2): 0.5**0.5, (8, 1): 0.5**0.5})


def test_a_transition_as_old_as_the_half_life_counts_half(build_dataset):
    day = 86_400_000  # both sources are followed once, at the end of training and a day before it
    dataset = build_dataset([(0, HOME, 100, NO_ITEM, [(1, 1), (2, 1)]), (1, HOME, 500, NO_ITEM, [(3, 1), (4, 1)])],
                            {0: "train", 1: "train"})
    time_E = np.array([999 - day - 5, 999 - day, 990, 999])
    found = pairs(transitions_of(dataclasses.replace(dataset, time_E=time_E), 1.0))
    mean = (2 + 2 * 0.5) / 4  # of what engagements count, scaled to a mean of 1
    expected = {(1, 2): 0.5 / mean, (3, 4): 1 / mean}
    assert found == pytest.approx({key: w / np.sqrt(1 + w) for key, w in expected.items()}, rel=1e-5)


def unlearned(world: Dataset, path: Path, surface: str) -> Fit:
    """A run in which the network learns nothing; without transitions it lists NEVER and no follower."""
    config = PretrainConfig(**STILL)
    model = PinRec(MODEL.model_copy(update={"item_bias": True}), world.log, world.items, action_shares(world))
    with torch.no_grad():
        model.bias.surface_SI[:, 10 + FOLLOWERS:] = 0.1
        model.bias.surface_SI[:, NEVER] = 0.2
    model.transitions = transitions_of(world, 0.0)
    return Fit("pretrain", model, engagement_windows(world, 8, 0.0),
               Validation.before_the_window(world, (surface,), config), config, path / "metrics.jsonl")


@pytest.mark.parametrize(("surface", "alone"), [("home", 0.0), ("search", 1.0)])
def test_transitions_get_the_weight_that_validation_finds_best(world, tmp_path, surface, alone):
    run = unlearned(world, tmp_path, surface)
    run.run()
    tried = json.loads(run.metrics_path.read_text().splitlines()[-1])
    assert tried["expert"] == "transitions" and tried["weights"] == list(TRIED["transitions"])
    assert tried["scores"][0] == alone
    assert tried["scores"][-1] == 1.0 - alone
    assert run.model.experts.transitions == (0.0 if alone else TRIED["transitions"][int(np.argmax(tried["scores"]))])
    assert run.best.score == tried["score"] == max(tried["scores"]) == 1.0


def test_without_validation_requests_transitions_stay_without_weight(world, tmp_path):
    run = unlearned(world, tmp_path, "home")
    run.validation = Validation(world, [])
    run.run()
    assert run.model.experts.transitions == 0.0


def test_fine_tuning_keeps_the_transitions_and_finds_a_weight_of_its_own(world, save_dataset, tmp_path):
    dataset, base = save_dataset(world, tmp_path / "dataset"), tmp_path / "base"
    pretrain(dataset, base, model=MODEL, pretrain=PretrainConfig(**STILL))
    counted = load_model(base).transitions
    assert pairs(counted) == pairs(transitions_of(world, 0.0))
    weights = {}
    for surface in ("home", "search"):
        finetune(dataset, base, tmp_path / surface, surface=surface, finetune=FinetuneConfig(**STILL))
        weights[surface] = load_model(tmp_path / surface).experts.transitions
        assert (tmp_path / surface / "transitions.npz").read_bytes() == (base / "transitions.npz").read_bytes()
    assert weights["home"] > 0 and weights["search"] == 0


def test_a_model_that_wants_none_has_none(world, save_dataset, tmp_path):
    dataset = save_dataset(world, tmp_path / "dataset")
    plain = MODEL.model_copy(update={"transitions": False})
    pretrain(dataset, tmp_path / "base", model=plain, pretrain=PretrainConfig(**STILL))
    assert not (tmp_path / "base" / "transitions.npz").exists()
    model = load_model(tmp_path / "base")
    assert model.transitions is None and model.experts.transitions == 0
