"""The chosen search setting against every setting measured by itself."""

import faiss
import numpy as np
import pytest
from quoted import says

from pinrec_core.config import IndexConfig, IndexKind
from pinrec_core.errors import PinrecError
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.sweep import ladder, sweep


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vector_ID():
    """6,000 items in 60 clusters."""
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(60, 24))[rng.integers(60, size=6000)] + 0.6 * rng.normal(size=(6000, 24)))


@pytest.fixture(scope="module")
def query_MD():
    return unit(np.random.default_rng(1).normal(size=(80, 24)))


def built(vector_ID, config, indexed_I=None):
    return ItemIndex.build(vector_ID, np.ones(len(vector_ID), bool) if indexed_I is None else indexed_I, config)


@pytest.mark.parametrize("kind", [IndexKind.IVF, IndexKind.HNSW])
@pytest.mark.parametrize("floor", [0.0, 0.9, 0.99])
def test_the_smallest_setting_that_reaches_the_floor_is_chosen(vector_ID, query_MD, kind, floor):
    config, indexed_I = IndexConfig(kind=kind, min_ann_recall=floor), np.arange(6000) % 4 > 0
    index = built(vector_ID, config, indexed_I)
    found = sweep(index, query_MD, vector_ID, config)
    assert index.setting == found.setting and found.queries == 80
    rungs = ladder(index, config)[: len(found.rungs)]
    recalls = []
    for index.setting in rungs:
        recalls.append(index.ann_recall(query_MD, vector_ID))
    assert [rung.setting for rung in found.rungs] == rungs
    np.testing.assert_allclose([rung.recall for rung in found.rungs], recalls, atol=1e-6)
    assert found.setting == next(setting for setting, recall in zip(rungs, recalls, strict=True) if recall >= floor)
    assert rungs[-2:].index(found.setting) == 0, "what more would buy is told, and no more"
    assert all(0 < rung.p50_ms <= rung.p99_ms for rung in found.rungs)


def test_the_ladder_doubles_in_two_steps(vector_ID):
    config = IndexConfig(kind=IndexKind.IVF, nlist=100)
    assert ladder(built(vector_ID, config), config) == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 100]
    one = IndexConfig(kind=IndexKind.IVF, nlist=1)
    assert ladder(built(vector_ID, one), one) == [1]
    graph = IndexConfig(kind=IndexKind.HNSW)
    assert ladder(built(vector_ID, graph), graph)[:4] == [128, 181, 256, 362]


def test_a_configured_setting_is_kept_and_measured(vector_ID, query_MD):
    config = IndexConfig(kind=IndexKind.IVF, nprobe=40, min_ann_recall=0.5)
    index = built(vector_ID, config)
    found = sweep(index, query_MD, vector_ID, config)
    assert index.setting == found.setting == 40 and len(found.rungs) == 1
    few = config.model_copy(update={"nprobe": 1, "min_ann_recall": 0.95})
    with pytest.raises(PinrecError, match=r"nprobe 1: recall@100 0\.\d+ in .*leave index.nprobe at 0"):
        sweep(index, query_MD, vector_ID, few)


def test_an_exact_index_has_nothing_to_set(vector_ID, query_MD):
    index = built(vector_ID, IndexConfig())
    assert sweep(index, query_MD, vector_ID, IndexConfig()) is None and index.setting == 0


def test_a_floor_out_of_reach_fails_with_the_whole_curve(vector_ID, query_MD):
    config = IndexConfig(kind=IndexKind.IVF, codes="sq8", nlist=20, min_ann_recall=0.999)
    index = built(vector_ID, config)
    with pytest.raises(PinrecError, match="over 6000 items reaches index.min_ann_recall 0.999 on 80") as error:
        sweep(index, query_MD, vector_ID, config)
    for setting in ladder(index, config):
        assert f"nprobe {setting}: recall@100 0." in str(error.value)
    says("error: no setting of the ivf index over ... items reaches index.min_ann_recall ... on ... queries: nprobe 1: "
         "recall@100 0... in ... ms, nprobe 2: recall@100 0... in ... ms, ... (p50); set finer index.codes than 'sq8', "
         "or set index.kind = 'flat', or lower index.min_ann_recall", error.value)


def test_without_queries_nothing_is_chosen(vector_ID, query_MD):
    config = IndexConfig(kind=IndexKind.HNSW)
    with pytest.raises(PinrecError, match="no queries to choose the efSearch of the hnsw index with"):
        sweep(built(vector_ID[:300], config), query_MD[:0], vector_ID[:300], config)


def test_timing_on_one_thread_leaves_the_threads_as_they_were(vector_ID, query_MD):
    before, config = faiss.omp_get_max_threads(), IndexConfig(kind=IndexKind.IVF)
    faiss.omp_set_num_threads(2)
    try:
        sweep(built(vector_ID, config), query_MD, vector_ID, config)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)
