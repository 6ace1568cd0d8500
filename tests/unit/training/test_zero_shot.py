"""Items that nobody engaged with while training are retrieved by their content, and by nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.data.batch import collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import requests_in
from pinrec_core.data.windows import engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import ITEMS, NO_ITEM
from pinrec_core.training.counts import action_shares
from pinrec_core.training.likeliest import Mixture
from pinrec_core.training.loop import Fit
from pinrec_core.training.validation import Validation

CLUSTERS, SIZE, HELD_OUT = 20, 12, 3  # the last HELD_OUT items of each cluster are never engaged with
USERS, ENGAGEMENTS = 200, 8
CLUSTER_I, RANK_I = np.divmod(np.arange(CLUSTERS * SIZE), SIZE)
COLD_I = RANK_I >= SIZE - HELD_OUT
CONFIG = PretrainConfig(epochs=20, batch_size=16, learning_rate=0.003, random_negatives=32, patience=100)


def item_table() -> pa.Table:
    """Items whose content is that of their cluster with noise; an id says nothing of the cluster."""
    rng = np.random.default_rng(0)
    content = rng.normal(size=(CLUSTERS, 16))[CLUSTER_I] + 0.3 * rng.normal(size=(len(CLUSTER_I), 16))
    count = len(CLUSTER_I)
    return pa.table({
        "item_id": [f"i{k}" for k in range(count)], "item_type": [0] * count,
        "id_hash": pa.array(rng.integers(1 << 62, size=count), pa.uint64()), "content": content.tolist(),
        "attributes": [[]] * count, "title": [None] * count, "created_ms": [None] * count,
        "train_count": np.where(COLD_I, 0, 1)}, schema=ITEMS)


@pytest.fixture
def world(build_dataset) -> Dataset:
    """Each user engages with items of one cluster; users of the validation split ask at time 900."""
    rng = np.random.default_rng(1)
    views = [(user, 0, 100 * step + 100, NO_ITEM, [(int(item), 1)]) for user in range(USERS)
             for step, item in enumerate(user % CLUSTERS * SIZE + rng.integers(SIZE - HELD_OUT, size=ENGAGEMENTS))]
    splits = {user: "validation" if user >= USERS - CLUSTERS else "train" for user in range(USERS)}
    return dataclasses.replace(build_dataset(views, splits), items=item_table())


def trained(world: Dataset, path, train: PretrainConfig = CONFIG, **switches) -> PinRec:
    """A small model trained on the world."""
    torch.manual_seed(0)
    config = ModelConfig(width=32, layers=2, heads=2, item_dim=16, max_length=8, id_buckets=512, id_dim=16, dropout=0.1,
                         **switches)
    model = PinRec(config, world.log, world.items, action_shares(world))
    validation = Validation.before_the_window(world, ("home",), train)
    Fit("pretrain", model, engagement_windows(world, config.max_length, 0.0), validation, train,
        path / "metrics.jsonl").run()
    return model


@torch.no_grad()
def cold_recall(world: Dataset, model: PinRec) -> tuple[float, float]:
    """How well users find the held-out items of their own cluster, mean over users.

    Share of these among as many best ranked of all held-out items (chance 1 / 20), and recall in the first 20 of the
    whole catalogue (chance 20 / 240).
    """
    requests = requests_in(world, "home", 800, 1000, np.arange(USERS))
    mixture = Mixture(model, model.all_item_vectors(), collate(requests.histories(world, 8)), "home",
                      torch.from_numpy(requests.time_R))
    scores_RI = torch.cat([log_p for _, log_p in mixture.log_probabilities()], dim=1)
    cluster_R = CLUSTER_I[requests.item_T[requests.offsets_R1[:-1]]]
    own_RI = COLD_I & (cluster_R[:, None] == CLUSTER_I)
    best_RK = np.flatnonzero(COLD_I)[scores_RI[:, COLD_I].topk(HELD_OUT).indices.numpy()]
    found_RK = np.take_along_axis(own_RI, scores_RI.topk(20).indices.numpy(), axis=1)
    return float(np.take_along_axis(own_RI, best_RK, axis=1).mean()), float(found_RK.sum(1).mean() / HELD_OUT)


@pytest.mark.parametrize("switches", [{}, {"use_ids": False}, {"conditioning": "backbone"}],
                         ids=["content and ids", "content", "conditioned in the backbone"])
def test_items_held_out_from_training_are_found_by_their_content(world, tmp_path, switches):
    among_cold, among_all = cold_recall(world, trained(world, tmp_path, **switches))
    assert among_cold > 5 / CLUSTERS and among_all > 4 * 20 / len(COLD_I)


def test_without_content_they_are_not_found(world, tmp_path):
    among_cold, among_all = cold_recall(world, trained(world, tmp_path, use_content=False))
    assert among_cold == pytest.approx(1 / CLUSTERS, abs=0.01) and among_all < 20 / len(COLD_I)
