"""An extended model: old items and answers stay to the bit, new items are what cold items of a training are."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from pinrec_core.data.batch import collate
from pinrec_core.errors import DataError
from pinrec_core.manifest import write_manifest
from pinrec_core.model.experts import Experts
from pinrec_core.model.extend import extend_items, extends, placeable
from pinrec_core.model.io import load_model, save_model
from pinrec_core.model.transitions import count_transitions

from .small import CONFIG, history, items, make

OLD, NEW = 20, 7
EVERYTHING = CONFIG.model_copy(update={"item_bias": True, "action_bias": True, "exposure_half_life_days": 3.0,
                                       "transitions": True, "repeats": True})


def table(**options) -> pa.Table:
    """Old and new items; the new ones say that they were trained on, which is not believed."""
    return items(OLD + NEW, **options)


def base(config=EVERYTHING, **options):
    model = make(config, table(**options).slice(0, OLD))
    if config.exposure_half_life_days:
        model.bias.log_exposure_SI.normal_()
    if config.transitions:
        rng = np.random.default_rng(0)
        model.transitions = count_transitions(rng.integers(OLD, size=200), np.repeat(np.arange(20), 10),
                                              model.retrievable_I.numpy())
        model.experts = Experts(1.0, -0.5, 0.7)
    return model


@pytest.fixture
def model():
    return base()


@pytest.fixture
def extended(model):
    return extend_items(model, table().slice(OLD))


def test_old_items_keep_their_vectors_to_the_bit(model, extended):
    assert extended.n_items == OLD + NEW and model.n_items == OLD
    for surface in model.log.surface_names:
        assert torch.equal(extended.search_vectors(surface)[:OLD], model.search_vectors(surface))
    assert extended.items.slice(0, OLD).equals(model.items)


@pytest.mark.parametrize("n", [8190, 8193])  # around a block of vectors, where products change their shape
def test_so_do_many(n):
    many = items(n + NEW)
    small = make(CONFIG, many.slice(0, n))
    assert torch.equal(extend_items(small, many.slice(n)).all_item_vectors()[:n], small.all_item_vectors())


def test_new_items_are_what_cold_items_of_a_training_are():
    cold = make(CONFIG, table(cold=tuple(range(OLD, OLD + NEW))))
    assert torch.equal(extend_items(base(CONFIG), table().slice(OLD)).all_item_vectors(), cold.all_item_vectors())


def test_new_items_have_no_bias_and_follow_nothing(model, extended):
    vectors_ID = extended.search_vectors("home")[OLD:]
    assert vectors_ID.shape[1] > CONFIG.item_dim and (vectors_ID[:, CONFIG.item_dim:] == 0).all()
    assert not extended.trained_I[OLD:].any() and torch.equal(extended.trained_I[:OLD], model.trained_I)
    latest_RL = np.array([[3, 4], [OLD + 1, 3]])
    found, before = extended.transitions.followers(latest_RL, 5), model.transitions.followers(latest_RL[:1], 5)
    np.testing.assert_array_equal(found[0][:1], before[0])
    after_new = extended.transitions.followers(latest_RL[1:, :1], 5)
    assert (after_new[0] == -1).all()


def test_histories_are_read_as_before(model, extended):
    batch = collate([history(5), history(3, seed=1)])
    with torch.no_grad():
        assert torch.equal(extended.encode(batch).hidden_BLW, model.encode(batch).hidden_BLW)


def test_a_new_item_can_be_part_of_a_history(extended):
    seen = history(4)
    seen.item_T[-1] = OLD + 2
    with torch.no_grad():
        assert torch.isfinite(extended.encode(collate([seen])).hidden_BLW).all()


def test_an_extended_model_is_saved_and_extended_again(extended, tmp_path):
    save_model(extended, tmp_path)
    write_manifest(tmp_path, kind="model")
    loaded = load_model(tmp_path)
    assert torch.equal(loaded.search_vectors("home"), extended.search_vectors("home"))
    more = extend_items(loaded, items(OLD + NEW + 1).slice(OLD + NEW))
    assert more.n_items == OLD + NEW + 1 and extends(more, loaded) and not extends(loaded, more)


def test_an_extension_is_known_and_nothing_else_is(model, extended):
    assert extends(extended, model) and not extends(model, model)

    def changed(change) -> bool:
        other = extend_items(model, table().slice(OLD))
        change(other)
        return extends(other, model)

    def nudge(parameter):
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-6

    assert changed(lambda other: None)
    assert not changed(lambda other: nudge(other.token.weight))
    assert not changed(lambda other: nudge(other.bias.surface_SI)), "a bias of a new item"
    assert not changed(lambda other: setattr(other, "experts", Experts()))
    assert not changed(lambda other: setattr(other, "transitions", None))
    assert not changed(lambda other: setattr(other, "items", table()))
    renamed = pa.array([f"x{n}" for n in range(OLD + NEW)])
    assert not changed(lambda other: setattr(other, "items", other.items.set_column(0, "item_id", renamed)))
    heavier = model.transitions.with_more_items(NEW)
    assert not changed(lambda other: setattr(other, "transitions",
                                             type(heavier)(heavier.offsets_I1, heavier.item_P, heavier.weight_P * 2)))


def test_an_item_that_is_known_or_there_twice_is_refused(model):
    with pytest.raises(DataError, match="the 8 new items are known already or named twice"):
        extend_items(model, table().slice(OLD - 1))
    with pytest.raises(DataError, match="named twice"):
        extend_items(model, pa.concat_tables([table().slice(OLD), table().slice(OLD, 1)]))


def test_an_item_needs_content_or_attributes(model):
    new = table().slice(OLD)  # attributes of items 20 to 26: 2, 0, 1, 2, 0, 1, 2
    assert placeable(model, new).all()
    without = table(content=False).slice(OLD)
    attributed = [True, False, True, True, False, True, True]
    assert placeable(model, without).tolist() == attributed
    assert placeable(base(CONFIG, content=False), new).tolist() == attributed, "it was trained without any content"
    assert not placeable(base(CONFIG.model_copy(update={"use_content": False})), new).any(), "ids alone"
    assert placeable(model, new.slice(0, 0)).tolist() == []


def test_a_model_without_content_leaves_that_of_new_items_out():
    model = base(CONFIG, content=False)
    extended = extend_items(model, table().slice(OLD))
    assert extended.item_encoder.features.content_dim == 0 and extends(extended, model)


def test_content_of_another_length_is_refused(model):
    longer = table().slice(OLD).set_column(3, "content", pa.array([[0.5] * 9] * NEW, pa.list_(pa.float32())))
    with pytest.raises(DataError, match="length 9, the model reads 5"):
        placeable(model, longer)
