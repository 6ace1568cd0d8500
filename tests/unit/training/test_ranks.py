"""Two processes with half of each batch learn what one process learns; they skip, stop and fail together."""

from __future__ import annotations

import json
import math
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pair import Pair

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.data.ahead import Ahead
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import engagement_windows
from pinrec_core.errors import ConfigError, IntegrityError, RankLost, TrainingError
from pinrec_core.manifest import read_manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.checkpoint import Checkpoints
from pinrec_core.training.counts import action_shares
from pinrec_core.training.finetune import finetune
from pinrec_core.training.gradients import clip_gradients, sum_gradients
from pinrec_core.training.loop import Fit
from pinrec_core.training.negatives import draws_of
from pinrec_core.training.objective import Objective
from pinrec_core.training.place import Place
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.validation import Validation

# Nothing random that depends on the row, so that one and two processes differ by rounding alone: no dropout, and every
# action is masked, which is as random as none.
MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.0,
                    id_dropout=0.0, action_mask=1.0, item_bias=True)
CONFIG = PretrainConfig(epochs=3, batch_size=4, learning_rate=0.003, random_negatives=5, in_batch_negatives=6,
                        patience=100, action_loss=0.5, recency_half_life_days=1e-6)
TUNED = FinetuneConfig(**CONFIG.model_dump(exclude={"future_targets", "epochs"}), epochs=2, other_surfaces=0.5)
TOLERANCE = 1e-5  # relative, on losses after up to 20 steps of AdamW in float32


@pytest.fixture(scope="module")
def pair():
    """Two ranks for all tests that leave both alive."""
    both = Pair()
    yield both
    both.close()


@pytest.fixture
def world(build_dataset):
    """Nine users whose histories differ in length, three feed views of which have shown and ignored items."""
    views = [(user, 0, 10 * step + user, NO_ITEM, [((user + step) % 9, 1 + user % 3), ((user * step) % 9, step % 2)])
             for user in range(9) for step in range(3 + 3 * user)]
    views += [(user, 1, 400 + user, 9, [(user, 1), ((user + 4) % 9, 0)]) for user in range(5)]
    views += [(user, 0, 900 + user, NO_ITEM, [((user + 5) % 9, 1)]) for user in (3, 6, 7)]
    return build_dataset(views, {user: "validation" if user in (3, 6, 7) else "train" for user in range(9)})


def model_of(data) -> PinRec:
    torch.manual_seed(0)
    return PinRec(MODEL, data.log, data.items, action_shares(data))


def rows_of(data, stage: str):
    if stage == "finetune":
        return feed_views(data, "home", MODEL.max_length, TUNED)
    return engagement_windows(data, MODEL.max_length, CONFIG.recency_half_life_days, Ahead(2, True))


def first_step(ranks: Ranks, data, stage: str, rows: list[int], config=CONFIG) -> tuple[float, dict, torch.Tensor]:
    """Loss, gradients and sketch after one batch of the given rows."""
    model = model_of(data).train()
    objective = Objective(model, config, ranks)
    loss = objective(rows_of(data, stage)._batch(np.array(rows)[ranks.rows]))
    loss.backward()
    loss = sum_gradients(list(model.parameters()), loss, ranks)
    gradients = {name: None if p.grad is None else p.grad.to_dense().numpy() for name, p in model.named_parameters()}
    return loss.item(), gradients, objective.sketch.counts.numpy()


def whole_run(ranks: Ranks, data, stage: str, folder: Path, weights=None, config=None) -> tuple[list[dict], dict, int]:
    """metrics.jsonl, weights and bad steps of a short training."""
    config = config or (TUNED if stage == "finetune" else CONFIG)
    rows = rows_of(data, stage)
    if weights is not None:
        rows.weight_G[:] = weights
    validation = Validation.before_the_window(data, ("home",), config, ranks)
    fit = Fit(stage, model_of(data), rows, validation, config, folder / "metrics.jsonl", ranks=ranks)
    fit.run()
    state = {name: value.numpy() for name, value in fit.model.state_dict().items()}
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] if ranks.is_writer else []
    return told, state, fit.place.bad_steps


def same_on_both(results: list) -> None:
    left, right = results
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left), "ranks have different weights"


@pytest.mark.parametrize("config", [
    CONFIG, CONFIG.model_copy(update={"random_negatives": 9, "correct_positive": True}),
    CONFIG.model_copy(update={"in_batch_negatives": 0})], ids=["pools", "whole catalogue", "random only"])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [2]], ids=["even", "one row: a rank has nothing"])
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_batch_gives_the_loss_the_gradients_and_the_sketch_of_one_process(pair, world, stage, rows, config):
    loss, gradients, sketch = first_step(ALONE, world, stage, rows, config)
    for other, theirs, counts in pair.run(first_step, world, stage, rows, config):
        assert other == pytest.approx(loss, rel=1e-6)
        assert np.array_equal(counts, sketch)
        for name, gradient in gradients.items():
            if gradient is None:
                assert theirs[name] is None or not theirs[name].any(), name
            else:
                most = abs(gradient).max()
                np.testing.assert_allclose(theirs[name], gradient, rtol=1e-5, atol=2e-6 * most, err_msg=name)


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_whole_trainings_have_the_same_losses_and_scores(pair, world, tmp_path, stage):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    told, _, _ = whole_run(ALONE, world, stage, tmp_path / "one")
    (two, weights, _), (silent, other_weights, _) = pair.run(whole_run, world, stage, tmp_path / "two")
    assert not silent and len(two) == len(told) > 4
    for mine, theirs in zip(told, two, strict=True):
        numbers = {key for key, value in mine.items() if isinstance(value, float)}
        assert all(theirs[key] == pytest.approx(mine[key], rel=TOLERANCE) for key in numbers)
        assert all(theirs[key] == mine[key] for key in mine.keys() - numbers) and theirs.keys() == mine.keys()
    same_on_both([weights, other_weights])


def test_draws_of_one_user_on_two_ranks_are_one(pair, world):
    batch = rows_of(world, "pretrain")._batch(np.arange(6))
    assert len(batch.user_B.unique()) < len(batch.user_B), "no user has two rows"
    mine = draws_of(batch.targets, batch.user_B)
    for draws in pair.run(draws_of_rows, world):
        assert draws.user_C.equal(mine.user_C) and draws.item_C.equal(mine.item_C)
        assert draws.of_others == mine.of_others


def draws_of_rows(ranks: Ranks, data):
    batch = rows_of(data, "pretrain")._batch(np.arange(6)[ranks.rows])
    return draws_of(batch.targets, batch.user_B, ranks)


def test_a_bad_number_on_one_rank_is_skipped_by_both(pair, world, tmp_path):
    weights = np.ones(len(rows_of(world, "pretrain").row_G), np.float32)
    weights[0] = math.nan  # one row of one rank, once an epoch
    (_, left, bad), (_, right, also_bad) = pair.run(whole_run, world, "pretrain", tmp_path, weights)
    assert bad == also_bad == CONFIG.epochs
    same_on_both([left, right])
    assert all(np.isfinite(value).all() for value in left.values())


def test_too_many_bad_numbers_end_both(pair, world, tmp_path):
    none_good = np.full(len(rows_of(world, "pretrain").row_G), math.nan, np.float32)
    config = CONFIG.model_copy(update={"max_bad_steps": 2})
    for error in pair.run(whole_run, world, "pretrain", tmp_path, none_good, config):
        assert isinstance(error, TrainingError) and "3 steps with a non-finite loss" in str(error)


def both_stages(ranks: Ranks, data: Path, folder: Path, seed: int = 0) -> list[str]:
    config = CONFIG.model_copy(update={"seed": seed, "epochs": 1})
    base = pretrain(data, folder / "base", model=MODEL, pretrain=config)
    tuned = finetune(data, folder / "base", folder / "home", surface="home", finetune=TUNED)
    return [base.fingerprint, tuned.fingerprint]


def test_both_steps_write_one_model_and_all_ranks_return_it(pair, world, save_dataset, tmp_path):
    data = save_dataset(world, tmp_path / "data")
    first, second = pair.run(both_stages, data, tmp_path)
    assert first == second == [read_manifest(tmp_path / name, "model").fingerprint for name in ("base", "home")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "data", "home"]
    assert not load_model(tmp_path / "home").training
    told = (tmp_path / "base" / "metrics.jsonl").read_text().splitlines()
    assert len(told) == len(set(told)) == 3  # before training, and loss and score of one epoch


def with_another_seed(ranks: Ranks, data: Path, folder: Path) -> list[str]:
    return both_stages(ranks, data, folder, seed=ranks.rank)


def test_ranks_that_were_given_different_things_do_not_start(pair, world, save_dataset, tmp_path):
    data = save_dataset(world, tmp_path / "data")
    for error in pair.run(with_another_seed, data, tmp_path):
        assert isinstance(error, IntegrityError) and "give all ranks the same" in str(error)
    assert not (tmp_path / "base").exists()


def sum_or_end(ranks: Ranks, lives: float) -> float:
    """Rank 1 ends, or sleeps, where rank 0 waits for it."""
    if ranks.rank == 1 and lives == 0:
        os._exit(9)
    if ranks.rank == 1:
        time.sleep(lives)
    return ranks.total(1)


@pytest.mark.parametrize("lives", [0.0, 30.0], ids=["dead", "silent"])
def test_a_rank_without_the_other_ends_with_a_clear_error(lives):
    alone = Pair(timeout_s=5)
    try:
        for pipe in alone.pipes:
            pipe.send((sum_or_end, (lives,)))
        error = alone.answer(0, seconds=30)
    finally:
        alone.close()
    assert isinstance(error, RankLost)
    assert "rank 0 of 2: another process of this training ended or did not answer within 5 s" in str(error)


@pytest.mark.parametrize(("environment", "message"), [
    ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR, MASTER_PORT is not set"),
    ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "RANK 2 must lie below WORLD_SIZE 2"),
    ({"WORLD_SIZE": "2", "RANK": "first", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "RANK and WORLD_SIZE must be")])
def test_a_group_that_is_not_described_is_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        Ranks.join(environment=environment)


def test_one_process_needs_no_group():
    rows = torch.arange(3)
    assert Ranks.join(environment={}) == ALONE and ALONE.is_writer
    assert ALONE.own_part(rows) is rows and ALONE.join_parts(rows, 3) is rows and ALONE.gather(rows) is rows
    assert (ALONE.total(5), ALONE.share(0), ALONE.any(True), ALONE.broadcast("x")) == (5, 1.0, True, "x")
    assert not torch.distributed.is_initialized()


def checkpoint_on_a_small_disk(ranks: Ranks, folder: Path, room: int) -> tuple[list[bool], dict | None]:
    """Two checkpoints of 80 KB a rank, for the second of which rank 1 has so few bytes of room; what is found then."""
    checkpoints = Checkpoints(folder, "pretrain", "f" * 64, 2, ranks)
    state = {"random": torch.full((10_000,), ranks.rank), "shared": torch.zeros(10_000)}
    if not ranks.is_writer:
        del state["shared"]
    written = [checkpoints.write(state, Place({}, step=1))]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if ranks.rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        written.append(checkpoints.write(state, Place({}, step=2)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return written, {name: value.numpy() for name, value in checkpoints.newest().items()}


@pytest.mark.parametrize(("room", "steps"), [(1000, [1]), (1 << 20, [1, 2])], ids=["full", "enough"])
def test_a_checkpoint_counts_only_if_all_ranks_could_write(pair, tmp_path, room, steps):
    for rank, (written, found) in enumerate(pair.run(checkpoint_on_a_small_disk, tmp_path, room)):
        assert written == [True, len(steps) == 2]
        assert (found["random"] == rank).all() and "shared" in found
    assert Checkpoints(tmp_path, "pretrain", "f" * 64, 2).steps() == steps
    assert all(path.name.startswith("step-") for path in (tmp_path / f"pretrain-{'f' * 16}").iterdir())


class Tables(torch.nn.Module):
    """A table with a sparse gradient, one that only rank 0 reads, one with a dense gradient, and one nobody reads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.read, self.by_one = (torch.nn.Embedding(20, 4, sparse=True) for _ in range(2))
        self.dense, self.unread = torch.nn.Linear(4, 1), torch.nn.Embedding(5, 4, sparse=True)

    def forward(self, rank: int) -> torch.Tensor:
        index = torch.tensor([[3, 3, 7], [7, 11, 0]][rank])
        alone = self.by_one(torch.tensor([2])).sum() if rank == 0 else 0.0
        return (self.dense(self.read(index)) ** 2).sum() + alone


def sparse_gradients(ranks: Ranks) -> tuple[list, float, float]:
    """Gradients after the sum and the clipping, loss and norm."""
    tables = Tables()
    loss = sum(tables(rank) for rank in ([ranks.rank] if ranks.size > 1 else [0, 1]))
    loss.backward()
    parameters = list(tables.parameters())
    loss = sum_gradients(parameters, loss, ranks)
    norm = clip_gradients(parameters, 0.1, ranks)
    return [None if p.grad is None else p.grad.to_dense().numpy() for p in parameters], loss.item(), norm.item()


def test_sparse_gradients_are_summed_and_clipped_as_dense_ones(pair):
    wanted, loss, norm = sparse_gradients(ALONE)
    assert wanted[4] is None and np.linalg.norm([np.linalg.norm(g) for g in wanted[:4]]) == pytest.approx(0.1, rel=1e-4)
    for found, *numbers in pair.run(sparse_gradients):
        assert numbers == pytest.approx([loss, norm])
        assert found[4] is None
        for gradient, expected in zip(found[:4], wanted[:4], strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)
