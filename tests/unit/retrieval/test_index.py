"""The index against brute force, on disk and back, and the refusal of what does not fit together."""

import numpy as np
import pytest

from pinrec_core.config import Codes, IndexConfig, IndexKind
from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.retrieval.index import ItemIndex


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vector_ID():
    """4,000 items in 40 clusters."""
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(40, 16))[rng.integers(40, size=4000)] + 0.4 * rng.normal(size=(4000, 16)))


@pytest.fixture(scope="module")
def query_MD():
    return unit(np.random.default_rng(1).normal(size=(50, 16)))


@pytest.fixture(scope="module")
def ivf(vector_ID):
    return ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig(kind=IndexKind.IVF, nlist=64, nprobe=16))


APPROXIMATE = [(kind, codes) for kind in (IndexKind.IVF, IndexKind.HNSW) for codes in Codes]


@pytest.fixture(scope="module", params=APPROXIMATE, ids="-".join)
def approximate(request, vector_ID):
    kind, codes = request.param
    return ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig(kind=kind, codes=codes))


def test_flat_is_brute_force_over_retrievable_items(vector_ID, query_MD):
    retrievable_I = np.arange(4000) % 3 != 0
    score_MK, item_MK = ItemIndex.build(vector_ID, retrievable_I, IndexConfig()).search(query_MD, 20)
    brute_MI = np.where(retrievable_I, query_MD @ vector_ID.T, -np.inf)
    assert (item_MK == np.argsort(-brute_MI, axis=1)[:, :20]).all()
    assert np.allclose(score_MK, -np.sort(-brute_MI, axis=1)[:, :20], atol=1e-6)


def test_auto_turns_to_ivf_beyond_the_limit(vector_ID):
    everything = np.ones(4000, bool)
    assert ItemIndex.build(vector_ID, everything, IndexConfig()).kind is IndexKind.FLAT
    assert ItemIndex.build(vector_ID, everything, IndexConfig(exact_below=4000)).kind is IndexKind.IVF


def test_ivf_recall_is_measured(ivf, vector_ID, query_MD):
    recall = ivf.ann_recall(query_MD, vector_ID, 100)
    brute_MK = np.argsort(-query_MD @ vector_ID.T, axis=1)[:, :100]
    found = [len(np.intersect1d(a, b)) for a, b in zip(ivf.search(query_MD, 100)[1], brute_MK, strict=True)]
    assert recall == pytest.approx(np.mean(found) / 100, abs=0.005)  # fp16 may swap items at the edge
    assert 0.8 < recall < 1
    assert np.isnan(ivf.ann_recall(query_MD[:0], vector_ID))


def test_flat_recall_is_one(vector_ID, query_MD):
    assert ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig()).ann_recall(query_MD, vector_ID, 50) == 1


def test_a_bias_column_is_added_to_the_inner_product(vector_ID, query_MD):
    bias_I = np.random.default_rng(2).normal(size=4000).astype(np.float32)
    biased_ID = np.column_stack([vector_ID, bias_I])
    index = ItemIndex.build(biased_ID, np.ones(4000, bool), IndexConfig())
    query_ME = np.pad(query_MD, ((0, 0), (0, 1)), constant_values=1)
    score_MK, item_MK = index.search(query_ME, 20)
    brute_MI = query_MD @ vector_ID.T + bias_I
    assert (item_MK == np.argsort(-brute_MI, axis=1)[:, :20]).all()
    assert np.allclose(score_MK, -np.sort(-brute_MI, axis=1)[:, :20], atol=1e-5)
    assert index.ann_recall(query_ME, biased_ID, 50) == 1


def test_exhaustive_search_visits_every_cell(vector_ID, query_MD):
    narrow = ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig(kind=IndexKind.IVF, nlist=64, nprobe=1))
    score_MK, item_MK = narrow.search(query_MD, 1000)
    assert (item_MK[:, -1] == -1).all() and (score_MK[:, -1] == -np.inf).all()


def test_exhaustive_search_finds_everything_in_order(approximate, query_MD):
    score_MK, item_MK = approximate.search(query_MD, 4000, exhaustive=True)
    assert (np.sort(item_MK) == np.arange(4000)).all() and (np.diff(score_MK) <= 0).all()


def test_more_is_visited_at_a_higher_setting(approximate, vector_ID, query_MD):
    before, recalls = approximate.setting, []
    for approximate.setting in (2, 8, 64, 4000):
        recalls.append(approximate.ann_recall(query_MD, vector_ID, 50))
    approximate.setting = before
    assert (np.diff(recalls) >= 0).all() and recalls[0] + 0.01 < recalls[-1] and recalls[-1] > 0.97


def test_a_setting_is_saved_with_the_index(approximate, query_MD, tmp_path):
    before, approximate.setting = approximate.setting, 5
    approximate.save(tmp_path)
    loaded = ItemIndex.load(tmp_path)
    assert loaded.setting == 5 and loaded.kind is approximate.kind
    assert (loaded.search(query_MD, 10)[1] == approximate.search(query_MD, 10)[1]).all()
    approximate.setting = before


def test_the_graph_finds_the_nearest_cells(vector_ID, query_MD):
    index = ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig(kind=IndexKind.IVF, nlist=100, nprobe=60))
    graph = index.index.quantizer
    cell_ML = np.argsort(-query_MD @ graph.reconstruct_n(0, 100).T, axis=1)[:, :60]
    found_ML = graph.search(query_MD, 60)[1]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(cell_ML, found_ML, strict=True)]) > 0.999


@pytest.mark.parametrize("share", [0.5, 0.1, 0.002])
def test_a_subset_is_searched_as_well_as_the_whole(approximate, vector_ID, query_MD, share):
    chosen_I = np.random.default_rng(5).random(4000) < share
    subset = approximate.subset(share, lambda: chosen_I)
    item_MK = approximate.search(query_MD, 20, subset=subset)[1]
    assert chosen_I[item_MK[item_MK >= 0]].all()
    brute_MK = np.argsort(np.where(chosen_I, -query_MD @ vector_ID.T, np.inf), axis=1)[:, :20][:, : chosen_I.sum()]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(brute_MK, item_MK, strict=True)]) > 0.9


@pytest.mark.parametrize(("kind", "codes"), APPROXIMATE)
def test_equal_inputs_give_equal_bytes(kind, codes, vector_ID, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        ItemIndex.build(vector_ID, np.ones(4000, bool), IndexConfig(kind=kind, codes=codes)).save(tmp_path / name)
    for name in ("index.faiss", "items.npy"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_k_is_cut_to_the_items(vector_ID, query_MD):
    assert ItemIndex.build(vector_ID, np.arange(4000) < 7, IndexConfig()).search(query_MD, 100)[1].shape == (50, 7)


def test_saved_and_loaded_answers_alike(ivf, query_MD, tmp_path):
    ivf.save(tmp_path)
    loaded = ItemIndex.load(tmp_path)
    assert loaded.kind is IndexKind.IVF
    assert (loaded.search(query_MD, 10)[1] == ivf.search(query_MD, 10)[1]).all()


def test_what_does_not_fit_together_is_refused(ivf, vector_ID, tmp_path):
    with pytest.raises(DataError, match="retrievable"):
        ItemIndex.build(vector_ID, np.zeros(4000, bool), IndexConfig())
    with pytest.raises(IntegrityError):
        ItemIndex.load(tmp_path)
    ivf.save(tmp_path)
    np.save(tmp_path / "items.npy", np.arange(3))
    with pytest.raises(IntegrityError, match="4000 vectors"):
        ItemIndex.load(tmp_path)
