"""Relaxation and offsets in the objective: groups by hand from their plain losses, offsets that reach the query."""

import json

import numpy as np
import pytest
import torch

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.ahead import Ahead
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.counts import action_shares
from pinrec_core.training.loop import Fit
from pinrec_core.training.objective import Objective, distinct_queries
from pinrec_core.training.validation import Validation

OFFSETS_S = (0.05, 0.15)
MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.0,
                    id_dropout=0.0, action_mask=0.0, offsets_s=OFFSETS_S)


def objective(dataset, **config) -> Objective:
    torch.manual_seed(0)
    return Objective(PinRec(MODEL, dataset.log, dataset.items, action_shares(dataset)), PretrainConfig(**config))


def loss_of(dataset, batch) -> float:
    torch.manual_seed(1)  # the same random negatives each time
    return objective(dataset)(batch).item()


def test_the_relaxed_loss_is_the_mean_of_each_groups_least(dataset):
    """Losses of single targets, taken from the same batch by weighing all others 0, give the relaxed loss."""
    rows = engagement_windows(dataset, 8, 0.0, Ahead(3, True, OFFSETS_S))
    batch = next(rows.batches(10, np.random.default_rng(0)))
    targets = batch.targets
    count = len(targets.item_N)
    alone = targets._replace(group_N=torch.arange(count))
    losses = [loss_of(dataset, batch._replace(targets=alone._replace(weight_N=count * torch.eye(count)[n])))
              for n in range(count)]
    groups = targets.group_N.tolist()
    least = [min(loss for loss, group in zip(losses, groups, strict=True) if group == g) for g in set(groups)]
    assert len(least) < count
    assert loss_of(dataset, batch) == pytest.approx(np.mean(least), rel=1e-5)
    assert loss_of(dataset, batch._replace(targets=alone)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_query_is_made_once_for_all_targets_that_ask_alike(dataset):
    batch = next(engagement_windows(dataset, 8, 0.0, Ahead(3, True, OFFSETS_S)).batches(9, np.random.default_rng(0)))
    queries = distinct_queries(batch.targets)
    told = batch.targets
    keys = list(zip(*(t.tolist() for t in (told.row_N, told.column_N, told.action_N, told.surface_N, told.offset_N)),
                    strict=True))
    made = list(zip(queries.row_Q.tolist(), queries.column_Q.tolist(), *(a.tolist() for a in queries.asked),
                    strict=True))
    assert len(made) == len(set(keys)) < len(keys)
    assert [made[place] for place in queries.place_N.tolist()] == keys


def test_each_target_is_asked_for_under_its_own_offset(dataset):
    rows = engagement_windows(dataset, 8, 0.0, Ahead(1, False, OFFSETS_S))
    batch, run = next(rows.batches(10, np.random.default_rng(0))), objective(dataset)
    run(batch).backward()
    moved = run.model.condition.tables["offset_N"].weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, True, False]  # gaps of the next engagement: 0, 2, 98, 100, 100 ms


@pytest.fixture
def pairs(build_dataset):
    """Views of two engagements, 10 ms apart in time, then a pause: users walk in twos round the items 0..8."""
    views = [(user, 0, 80 * step + user, NO_ITEM, [((user + 2 * step) % 9, 1), ((user + 2 * step + 1) % 9, 1)])
             for user in range(8) for step in range(12)]
    return build_dataset(views, {user: "validation" if user == 3 else "train" for user in range(8)})


@pytest.mark.parametrize("in_batch, random", [(64, 6), (0, 6), (64, 0), (0, 9)])
def test_everything_switched_on_trains(pairs, tmp_path, in_batch, random):
    """Pretraining with relaxation, offsets and several targets, then fine-tuning on views, lower their losses."""
    config = PretrainConfig(epochs=15, batch_size=4, learning_rate=0.01, random_negatives=random, patience=100,
                            in_batch_negatives=in_batch, feed_relaxation=True, future_targets=4)
    tuned = FinetuneConfig(**config.model_dump(exclude={"future_targets"}))
    torch.manual_seed(0)
    model = PinRec(MODEL, pairs.log, pairs.items, action_shares(pairs))
    for stage, rows, settings in (
            ("pretrain", engagement_windows(pairs, 8, 0.0, Ahead.of(MODEL, config)), config),
            ("finetune", feed_views(pairs, "home", 8, tuned, OFFSETS_S), tuned)):
        validation = Validation.before_the_window(pairs, ("home",), settings)
        run = Fit(stage, model, rows, validation, settings, tmp_path / f"{stage}.jsonl")
        run.run()
        told = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
        losses = [line["loss"] for line in told if "loss" in line]
        assert losses[-1] < 0.8 * losses[0], (stage, losses)
        assert run.place.bad_steps == 0 and run.best.score == 1.0  # nine items all fit into fifty
