"""What an index will be and weigh, against the index that is then built."""

import logging

import numpy as np
import pytest

from pinrec_core.config import Codes, IndexConfig, IndexKind
from pinrec_core.errors import ConfigError
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.kinds import cells_of, estimate, kind_of, sample_size

CHOICES = [(IndexKind.FLAT, Codes.FP16), *((kind, codes) for kind in (IndexKind.IVF, IndexKind.HNSW)
                                           for codes in Codes)]


@pytest.mark.parametrize(("kind", "codes"), CHOICES)
@pytest.mark.parametrize(("n", "dimension"), [(900, 8), (4000, 48), (2500, 65)])
def test_the_estimate_is_what_is_written(kind, codes, n, dimension, tmp_path):
    vector_ID = np.random.default_rng(0).normal(size=(n, dimension)).astype(np.float32)
    config = IndexConfig(kind=kind, codes=codes)
    ItemIndex.build(vector_ID, np.ones(n, bool), config).save(tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    told = estimate(n, dimension, config)
    assert told.index == pytest.approx(written, rel=0.02)
    assert told.building > told.index + vector_ID.nbytes


def test_auto_is_exact_below_its_limit_and_cells_beyond():
    config = IndexConfig(exact_below=1000)
    assert kind_of(999, config) is IndexKind.FLAT and kind_of(1000, config) is IndexKind.IVF
    assert kind_of(10, IndexConfig(kind=IndexKind.HNSW)) is IndexKind.HNSW
    assert estimate(999, 8, config).index == 999 * (4 * 8 + 8)


def test_cells_have_enough_points_and_the_sample_no_more_than_needed():
    config = IndexConfig(kind=IndexKind.IVF)
    assert cells_of(10**6, config) == 4000 and cells_of(1000, config) == 25 and cells_of(5, config) == 1
    assert cells_of(10**6, IndexConfig(kind=IndexKind.IVF, nlist=64)) == 64
    assert sample_size(10**7, config) == 256 * 12649 and sample_size(5000, config) == 5000
    assert sample_size(10**6, IndexConfig(kind=IndexKind.HNSW)) == 100_000
    assert sample_size(10**6, IndexConfig(kind=IndexKind.FLAT)) == 0


def test_an_index_over_the_bound_is_refused_before_it_is_built(caplog):
    caplog.set_level(logging.INFO, "pinrec")
    vector_ID = np.broadcast_to(np.float32(0), (10**7, 64))  # not there: building would be noticed
    config = IndexConfig(kind=IndexKind.HNSW, max_memory_mb=1000)
    with pytest.raises(ConfigError) as error:
        ItemIndex.build(vector_ID, np.ones(10**7, bool), config)
    # 10**7 * (128 + 272.13 + 8) bytes; ivf sq8: 10**7 * (64 + 8 + 8) and 12,649 cells of 256 + 272.13 + 8
    assert "index hnsw fp16 of 10000000 items at 64 dimensions would take 3892.2 MB, index.max_memory_mb is 1000; " \
        "smaller are ivf sq8 769.4 MB, ivf fp16 1379.8 MB, flat" in str(error.value)
    assert "hnsw fp32" not in str(error.value)
    assert "hnsw fp16 of 10000000 items at 64 dimensions will take 3892.2 MB, up to" in caplog.text
    with pytest.raises(ConfigError, match="no choice is smaller; raise it, or allow fewer items"):
        ItemIndex.build(vector_ID, np.ones(10**7, bool), IndexConfig(kind="ivf", codes="sq8", max_memory_mb=700))


def test_a_bound_that_holds_changes_nothing():
    vector_ID = np.eye(64, dtype=np.float32)
    assert ItemIndex.build(vector_ID, np.ones(64, bool), IndexConfig(max_memory_mb=0.02)).n_items == 64
