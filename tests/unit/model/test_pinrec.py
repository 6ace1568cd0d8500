"""The model's promises: causal, indifferent to padding, the same with and without cache, cold items placeable."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from pinrec_core.config import Conditioning, LogConfig, ModelConfig
from pinrec_core.data.batch import History, collate
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import write_manifest
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.features import _hash_rows
from pinrec_core.model.io import load_model, save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import ITEMS

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                item_types=("pin", "query"))
CONFIG = ModelConfig(width=16, layers=2, heads=2, item_dim=8, max_length=6, id_buckets=64, id_dim=8,
                     attribute_buckets=32, attribute_dim=4, dropout=0.3)


def items(n: int = 20, cold: tuple[int, ...] = (), content: bool = True) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({
        "item_id": [f"i{k}" for k in range(n)], "item_type": [int(k == n - 1) for k in range(n)],
        "id_hash": pa.array(rng.integers(1 << 62, size=n), pa.uint64()),
        "content": [rng.normal(size=5).tolist() if content else None for _ in range(n)],
        "attributes": [[int(x) for x in rng.integers(1 << 40, size=k % 3)] for k in range(n)],
        "title": [None] * n, "created_ms": [None] * n, "train_count": [0 if k in cold else 1 for k in range(n)],
    }, schema=ITEMS)


def make(config: ModelConfig = CONFIG, table: pa.Table | None = None) -> PinRec:
    torch.manual_seed(0)
    shares = {surface: {"click": 0.5, "save": 0.5} for surface in LOG.surfaces}
    model = PinRec(config, LOG, items() if table is None else table, shares)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)  # large enough that a leak would show
    return model.eval()


def history(length: int, seed: int = 0) -> History:
    rng = np.random.default_rng(seed)
    return History(rng.integers(0, 19, length), rng.integers(0, 4, length), rng.integers(0, 2, length),
                   1_700_000_000_000 + np.sort(rng.integers(0, 10**9, length)))


def test_no_position_sees_a_later_event():
    model, past, other = make(), history(6), history(6, seed=1)
    mixed = History(*(np.concatenate([a[:3], b[3:]]) for a, b in zip(past, other, strict=True)))
    before, after = model.encode(collate([past])), model.encode(collate([mixed]))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_padding_changes_nothing():
    model, short = make(), history(2)
    alone = model.encode(collate([short]))
    padded = model.encode(collate([short, history(6)]))[:1, :3]
    torch.testing.assert_close(alone, padded, atol=1e-5, rtol=0)


def test_generation_with_cache_equals_encoding_again():
    model = make()
    histories = [history(2), history(0), history(4, seed=3)]
    vectors = model.all_item_vectors()
    _, cache = model.prefill(collate(histories), vectors, room=2)
    time = torch.full((3,), 1_700_002_000_000)
    for item in (7, 11):
        hidden = model.extend(vectors[[item] * 3], torch.tensor([1, 1, 1]), torch.tensor([0, 0, 0]), time, cache)
        histories = [History(*(np.append(a, v) for a, v in zip(h, (item, 2, 0, int(time[0])), strict=True)))
                     for h in histories]
        batch = collate(histories)
        again = model.encode(batch, vectors)[torch.arange(3), batch.length_B]
        torch.testing.assert_close(hidden, again, atol=1e-5, rtol=0)


def test_an_empty_history_is_answered():
    model = make()
    hidden, _ = model.prefill(collate([history(0)]), room=1)
    query = model.query(hidden, Conditions(*torch.zeros(3, 1, dtype=torch.long)))
    assert query.norm().item() == pytest.approx(1.0, abs=1e-5)


def test_the_condition_changes_the_query_unless_unconditioned():
    hidden = torch.randn(1, 16)
    for conditioning, differs in ((Conditioning.OUTCOME, True), (Conditioning.NONE, False)):
        model = make(CONFIG.model_copy(update={"conditioning": conditioning}))
        queries = [model.query(hidden, Conditions(*torch.tensor([[a], [s], [0]]))) for a, s in ((0, 0), (1, 0), (0, 1))]
        assert (not torch.allclose(queries[0], queries[1])) is differs
        assert (not torch.allclose(queries[0], queries[2])) is differs


def test_item_vectors_are_unit_and_the_same_in_blocks():
    model = make()
    vectors = model.all_item_vectors(block=7)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(20))
    torch.testing.assert_close(vectors, model.item_vectors(torch.arange(20)))


def test_a_cold_item_is_placed_by_its_content_alone():
    model = make(table=items(cold=(4,)))
    before = model.item_vectors(torch.tensor([4, 5]))
    with torch.no_grad():
        for table in model.item_encoder.ids:
            table.weight.add_(1.0)
    after = model.item_vectors(torch.tensor([4, 5]))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


def test_items_without_any_content_still_differ_by_id():
    vectors = make(table=items(content=False)).all_item_vectors()
    assert torch.unique(vectors, dim=0).shape[0] == 20


def test_hash_tables_collide_independently():
    hashes = np.random.default_rng(0).integers(1 << 62, size=2000).astype(np.uint64)
    rows = _hash_rows(hashes, 2, 512)
    assert rows.min() >= 0 and rows.max() < 512
    assert len(np.unique(rows[:, 0])) > 480
    assert len(np.unique(rows, axis=0)) > 1980  # few pairs collide in both tables


def test_a_history_too_long_for_the_model_is_refused():
    with pytest.raises(ConfigError, match="history of 40 tokens is longer"):
        make().encode(collate([history(40)]))


def test_saved_and_loaded_models_agree(tmp_path):
    model = make()
    save_model(model, tmp_path)
    write_manifest(tmp_path, kind="model")
    loaded = load_model(tmp_path)
    batch = collate([history(3)])
    assert torch.equal(model.encode(batch), loaded.encode(batch))
    assert loaded.action_shares == model.action_shares


def test_weights_of_another_model_are_refused(tmp_path):
    save_model(make(), tmp_path)
    other = make(CONFIG.model_copy(update={"layers": 1}))
    (tmp_path / "model.json").unlink()
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    save_model(other, other_dir)
    (other_dir / "model.json").rename(tmp_path / "model.json")
    write_manifest(tmp_path, kind="model")
    with pytest.raises(IntegrityError, match="weights do not fit"):
        load_model(tmp_path)


def test_masking_hides_actions_in_training_only():
    model = make(CONFIG.model_copy(update={"action_mask": 1.0, "dropout": 0.0, "id_dropout": 0.0}))
    batch = collate([history(5)])
    bare = dataclasses.replace(batch, actions_BT=torch.zeros_like(batch.actions_BT))
    assert not torch.allclose(model.encode(batch), model.encode(bare))
    model.train()
    torch.testing.assert_close(model.encode(batch), model.encode(bare))
