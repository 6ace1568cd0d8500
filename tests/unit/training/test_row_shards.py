"""Id tables spread over two processes: the vectors, gradients, training and files of whole ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from pair import Pair
from test_ranks import CONFIG, MODEL, TUNED, world  # noqa: F401

from pinrec_core.model.io import load_model
from pinrec_core.model.item_encoder import whole_tables
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training import row_shards
from pinrec_core.training.counts import action_shares
from pinrec_core.training.finetune import finetune
from pinrec_core.training.gradients import clip_gradients, sum_gradients
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.row_shards import id_tables, sharded_tables

SIZES = [(2, 64, 8), (1, 3, 4), (1, 1, 16), (2, 70_001, 16)]  # tables, rows, width; the last is drawn in two blocks


@pytest.fixture(scope="module")
def pair():
    """Two ranks."""
    both = Pair()
    yield both
    both.close()


def values(ranks: Ranks, size: tuple[int, int, int]) -> tuple[list[np.ndarray], float]:
    """Each table's rows of this rank, and the next number the generator gives."""
    row_shards.BLOCK_BYTES = 1 << 20
    torch.manual_seed(3)
    tables = sharded_tables(ranks, *size) if ranks.size > 1 else whole_tables(*size)
    return [table.weight.detach().numpy() for table in tables], torch.rand(()).item()


@pytest.mark.parametrize("size", SIZES)
def test_two_ranks_together_draw_what_one_process_draws(pair, size):
    tables, after = values(ALONE, size)
    (left, left_after), (right, right_after) = pair.run(values, size)
    assert after == left_after == right_after
    for whole, first, second in zip(tables, left, right, strict=True):
        assert np.array_equal(whole, np.concatenate([first, second]))
        assert len(first) == -(-len(whole) // 2)


def vectors(ranks: Ranks, data, asked: list[list[int]]) -> tuple[list, list, float, float]:
    """Vectors of the items each rank asks for, the id tables' gradients, and of all: the loss and the gradient norm."""
    torch.manual_seed(0)
    tables = whole_tables if ranks.size == 1 else partial(sharded_tables, ranks)
    model = PinRec(MODEL, data.log, data.items, action_shares(data), tables).train()
    found = [model.item_vectors(torch.tensor(own)) for own in (asked if ranks.size == 1 else [asked[ranks.rank]])]
    loss = sum((vector * torch.arange(vector.numel()).view(vector.shape).sin()).sum() for vector in found)
    loss.backward()
    gradients = [table.weight.grad.to_dense().numpy().copy() for table in model.item_encoder.ids]
    parameters = list(model.parameters())
    loss = sum_gradients(parameters, loss, ranks)
    norm = clip_gradients(parameters, 0.5, ranks)
    return [vector.tolist() for vector in found], gradients, loss.item(), norm.item()


def test_rows_asked_of_the_other_rank_are_the_same_rows_and_get_the_same_gradients(pair, world):  # noqa: F811
    asked = [[0, 3, 3, 7], [7]]  # of different length, with doubles, and one item that both want
    found, gradients, *numbers = vectors(ALONE, world, asked)
    (left, left_gradients, *left_numbers), (right, right_gradients, *right_numbers) = pair.run(vectors, world, asked)
    np.testing.assert_allclose(left[0], found[0], rtol=1e-6)
    np.testing.assert_allclose(right[0], found[1], rtol=1e-6)
    for whole, *halves in zip(gradients, left_gradients, right_gradients, strict=True):
        np.testing.assert_allclose(np.concatenate(halves), whole, rtol=1e-5, atol=1e-6 * abs(whole).max())
    assert left_numbers == right_numbers == pytest.approx(numbers, rel=1e-6)


def both_stages(ranks: Ranks, data: Path, folder: Path) -> str:
    """Both steps; with two ranks their tables count as large, and are gathered a few rows at a time."""
    if ranks.size > 1:
        row_shards.SHARD_FROM_BYTES, row_shards.BLOCK_BYTES = 0, 1024
    pretrain(data, folder / "base", model=MODEL, pretrain=CONFIG)
    finetune(data, folder / "base", folder / "home", surface="home", finetune=TUNED)
    return type(id_tables(ranks, 1, 64, 8)[0]).__name__


def test_a_sharded_training_writes_the_model_of_an_unsharded_one(pair, world, save_dataset, tmp_path):  # noqa: F811
    data = save_dataset(world, tmp_path / "data")
    assert pair.run(both_stages, data, tmp_path / "two") == ["RowShards", "RowShards"]
    assert both_stages(ALONE, data, tmp_path / "one") == "Embedding"
    for stage in ("base", "home"):
        mine, theirs = (load_model(tmp_path / folder / stage).state_dict() for folder in ("one", "two"))
        assert {p.name for p in (tmp_path / "two" / stage).iterdir()} == \
            {"model.json", "weights.safetensors", "items.parquet", "metrics.jsonl", "training.json", "manifest.json"}
        assert mine.keys() == theirs.keys()
        for table in ("item_encoder.ids.0.weight", "item_encoder.ids.1.weight"):
            assert torch.allclose(mine[table], theirs[table], atol=1e-4), (stage, table)
