"""The model's promises beside those of its switches: vectors, conditions, cold items, what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pinrec_core.config import Conditioning
from pinrec_core.data.batch import collate
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import write_manifest
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.experts import Experts
from pinrec_core.model.features import _hash_rows
from pinrec_core.model.io import load_model, save_model
from pinrec_core.model.transitions import count_transitions

from .small import CONFIG, history, items, make

ZERO = torch.tensor([0])


def test_an_empty_history_is_answered():
    model = make()
    query = model.query(model.encode(collate([history(0)])), ZERO, ZERO, Conditions(ZERO, ZERO, ZERO))
    assert query.norm().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("conditioning", Conditioning)
@pytest.mark.parametrize("offsets", [(), (60.0, 3600.0)])
def test_each_part_of_the_condition_changes_the_query_if_the_model_is_told(conditioning, offsets):
    model = make(CONFIG.model_copy(update={"conditioning": conditioning, "offsets_s": offsets}))
    states = model.encode(collate([history(4)]))
    told = (conditioning is not Conditioning.NONE,) * 2 + (bool(offsets),)
    plain = model.query(states, ZERO, ZERO, Conditions(ZERO, ZERO, ZERO))
    for part, differs in zip(Conditions._fields, told, strict=True):
        other = model.query(states, ZERO, ZERO, Conditions(ZERO, ZERO, ZERO)._replace(**{part: ZERO + 1}))
        assert torch.allclose(plain, other) is not differs, part


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
    assert torch.equal(model.encode(batch).hidden_BLW, loaded.encode(batch).hidden_BLW)
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


@pytest.mark.parametrize("edit", [lambda told: told.pop("experts"),
                                  lambda told: told["model"].update(depth=2)],
                         ids=["a key that is missing", "a setting that is gone"])
def test_a_model_of_another_version_is_refused_in_words(tmp_path, edit):
    save_model(make(), tmp_path)
    told = json.loads((tmp_path / "model.json").read_text())
    edit(told)
    (tmp_path / "model.json").write_text(json.dumps(told))
    write_manifest(tmp_path, kind="model")
    with pytest.raises(IntegrityError, match=r"(?s)another version of pinrec .* train the model again"):
        load_model(tmp_path)


def test_masking_hides_actions_in_training_only():
    model = make(CONFIG.model_copy(update={"action_mask": 1.0, "dropout": 0.0, "id_dropout": 0.0}))
    batch = collate([history(5)])
    bare = dataclasses.replace(batch, actions_BT=torch.zeros_like(batch.actions_BT))
    assert not torch.allclose(model.encode(batch).hidden_BLW, model.encode(bare).hidden_BLW)
    model.train()
    torch.testing.assert_close(model.encode(batch).hidden_BLW, model.encode(bare).hidden_BLW)


def with_bias():
    return make(CONFIG.model_copy(update={"item_bias": True}), items(cold=(4, 5)))


def test_the_score_bias_is_of_its_surface_and_nothing_for_items_never_trained_on():
    plain, model = make(table=items(cold=(4, 5))), with_bias()
    torch.nn.init.normal_(model.bias.surface_SI)
    query, surface, every = F.normalize(torch.randn(2, 8), dim=1), torch.tensor([1, 0]), torch.arange(20)
    vectors = model.all_item_vectors()
    asked = Conditions(torch.tensor([0, 0]), surface, torch.tensor([0, 0]))
    added = model.logits(query, asked, vectors, every) - plain.logits(query, asked, vectors, every)
    known = torch.ones(20).index_fill(0, torch.tensor([4, 5]), 0.0)
    torch.testing.assert_close(added, model.bias.surface_SI[surface] * known, atol=1e-4, rtol=0)
    paired = model.paired_logits(query, asked, vectors.expand(2, -1, -1), every.expand(2, -1))
    torch.testing.assert_close(paired, model.logits(query, asked, vectors, every), atol=1e-4, rtol=0)


SWITCHES = [{"item_bias": True}, {"action_bias": True}, {"item_bias": True, "action_bias": True},
            {"exposure_half_life_days": 1.0}, {"item_bias": True, "action_bias": True, "exposure_half_life_days": 1.0}]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda told: "+".join(told))
def test_search_vectors_turn_the_score_into_an_inner_product(switches):
    model = make(CONFIG.model_copy(update=switches), items(cold=(4, 5)))
    for table in model.bias.tables:
        torch.nn.init.normal_(table)
    torch.nn.init.normal_(model.bias.log_exposure_SI)
    model.experts = Experts(exposure=0.5)
    query, action, surface = F.normalize(torch.randn(3, 8), dim=1), torch.tensor([0, 1, 1]), 1
    vectors = model.search_vectors(model.log.surface_names[surface])
    score = torch.from_numpy(model.search_queries(query.numpy(), action.numpy())) @ vectors.T
    asked = Conditions(action, torch.full_like(action, surface), torch.zeros_like(action))
    wanted = model.logits(query, asked, model.all_item_vectors(), torch.arange(20))
    if model.bias.counts_exposure:
        wanted = wanted + 0.5 * model.bias.log_exposure_SI[surface] * model.bias.known_I
    torch.testing.assert_close(score * model.scale, wanted, atol=1e-4, rtol=0)


def test_a_model_without_biases_is_searched_by_its_item_vectors():
    assert torch.equal(make().search_vectors("home"), make().all_item_vectors())


def test_an_action_bias_is_of_its_action_and_nothing_for_items_never_trained_on():
    plain, model = make(table=items(cold=(4, 5))), make(CONFIG.model_copy(update={"action_bias": True}),
                                                         items(cold=(4, 5)))
    torch.nn.init.normal_(model.bias.action_AI)
    query, every = F.normalize(torch.randn(2, 8), dim=1), torch.arange(20)
    asked, vectors = Conditions(torch.tensor([1, 0]), torch.tensor([0, 0]), torch.tensor([0, 0])), \
        model.all_item_vectors()
    added = model.logits(query, asked, vectors, every) - plain.logits(query, asked, vectors, every)
    known = torch.ones(20).index_fill(0, torch.tensor([4, 5]), 0.0)
    torch.testing.assert_close(added, model.bias.action_AI[asked.action_N] * known, atol=1e-4, rtol=0)
    paired = model.paired_logits(query, asked, vectors.expand(2, -1, -1), every.expand(2, -1))
    torch.testing.assert_close(paired, model.logits(query, asked, vectors, every), atol=1e-4, rtol=0)


def test_a_model_with_bias_is_saved_and_loaded(tmp_path):
    model = with_bias()
    save_model(model, tmp_path)
    write_manifest(tmp_path, kind="model")
    assert torch.equal(load_model(tmp_path).bias.surface_SI, model.bias.surface_SI)


def test_a_model_with_transitions_is_saved_and_loaded(tmp_path):
    model = make(CONFIG.model_copy(update={"transitions": True}))
    model.transitions = count_transitions(np.arange(19), np.zeros(19), np.ones(20, bool))
    model.experts = Experts(transitions=0.75, repeats=-2.0)
    for name in "ab":
        (tmp_path / name).mkdir()
        save_model(model, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["items.parquet", "model.json", "transitions.npz", "weights.safetensors"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    write_manifest(tmp_path / "a", kind="model")
    loaded = load_model(tmp_path / "a")
    assert loaded.experts == model.experts
    for column in ("offsets_I1", "item_P", "weight_P"):
        np.testing.assert_array_equal(getattr(loaded.transitions, column), getattr(model.transitions, column))
    assert make().transitions is None and make().experts == Experts()
