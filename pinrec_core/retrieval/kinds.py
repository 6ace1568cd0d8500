"""Which index a catalogue gets, what it will weigh, and the empty faiss index that is then trained and filled.

All of it follows from the number of items, their dimension and the configuration, so the memory is known before
anything is built.

Legend: N indexed items, D dimension, L cells of an IVF index.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import faiss

from pinrec_core.config import Codes, IndexConfig, IndexKind
from pinrec_core.errors import ConfigError

ADD_BLOCK = 65536  # rows added at a time, so that building needs little beyond the vectors themselves
LINKS = 32  # links per node of a graph, twice that in its lowest layer
_BUILD_VIEW = 128  # nodes kept in view while a graph is built: three times faiss' default, for far better recall
_CELL_POINTS = 39  # training points below which faiss considers a cell under-trained
_CELL_SAMPLE = 256  # training points beyond which faiss takes a sample of its own
_CODE_SAMPLE = 100_000  # training points of the codes alone
_CODE_BYTES = {Codes.FP32: 4, Codes.FP16: 2, Codes.SQ8: 1}
_CODE_NAMES = {Codes.FP32: "Flat", Codes.FP16: "SQfp16", Codes.SQ8: "SQ8"}  # as faiss calls them
_ID_BYTES = 8
_GRAPH_BYTES = 4 * LINKS * (2 + 1 / (LINKS - 1)) + 12  # of a node: links of all its layers, where they are, its level
_MB = 2**20
_BUFFERS = 32 * _MB  # of faiss and BLAS, whatever the size
log = logging.getLogger("pinrec")


class Estimate(NamedTuple):
    """Bytes an index takes, before it is there."""

    index: int  # on disk, and in each process that loads it
    building: int  # at most while it is built, the vectors it is built of included


def kind_of(n_items: int, config: IndexConfig) -> IndexKind:
    """What `auto` means for so many items; every other kind is itself."""
    if config.kind is not IndexKind.AUTO:
        return config.kind
    return IndexKind.FLAT if n_items < config.exact_below else IndexKind.IVF


def cells_of(n_items: int, config: IndexConfig) -> int:
    """Cells of an IVF index: as configured, but each must have enough points to be trained on."""
    return max(1, min(config.nlist or int(4 * math.sqrt(n_items)), n_items // _CELL_POINTS))


def sample_size(n_items: int, config: IndexConfig) -> int:
    """Vectors the index is trained on."""
    if kind_of(n_items, config) is IndexKind.FLAT:
        return 0
    most = cells_of(n_items, config) * _CELL_SAMPLE if kind_of(n_items, config) is IndexKind.IVF else _CODE_SAMPLE
    return min(n_items, most)


def estimate(n_items: int, dimension: int, config: IndexConfig) -> Estimate:
    """What an index of `n_items` vectors of `dimension` numbers will take."""
    kind, code = kind_of(n_items, config), _CODE_BYTES[config.codes] * dimension
    if kind is IndexKind.FLAT:
        each, cells = 4 * dimension, 0.0
    elif kind is IndexKind.HNSW:
        each, cells = code + _GRAPH_BYTES, 0.0
    else:
        each, cells = code + _ID_BYTES, cells_of(n_items, config) * (4 * dimension + _GRAPH_BYTES + _ID_BYTES)
    index = int(n_items * (each + _ID_BYTES) + cells)
    trained_on = 4 * dimension * (sample_size(n_items, config) + min(n_items, ADD_BLOCK))
    growing = index if kind is not IndexKind.HNSW else index // 2  # lists double as they grow; a graph's links do not
    return Estimate(index, index + growing + 4 * dimension * n_items + trained_on + _BUFFERS)


def check_memory(n_items: int, dimension: int, config: IndexConfig) -> Estimate:
    """The estimate, logged. Raises ConfigError past `max_memory_mb`, naming what would be smaller."""
    found, kind = estimate(n_items, dimension, config), kind_of(n_items, config)
    log.info("index: %s of %d items at %d dimensions will take %.1f MB, up to %.1f MB while it is built",
             _named(kind, config.codes), n_items, dimension, found.index / _MB, found.building / _MB)
    if config.max_memory_mb and found.index > config.max_memory_mb * _MB:
        raise ConfigError(f"index {_named(kind, config.codes)} of {n_items} items at {dimension} dimensions would take "
                          f"{found.index / _MB:.1f} MB, index.max_memory_mb is {config.max_memory_mb:g}; "
                          f"{_smaller(n_items, dimension, config, found.index)}")
    return found


def empty_index(n_items: int, dimension: int, config: IndexConfig) -> faiss.Index:
    """A faiss index of inner products, yet to be trained and filled."""
    kind, codes = kind_of(n_items, config), _CODE_NAMES[config.codes]
    names = {IndexKind.FLAT: "Flat", IndexKind.HNSW: f"HNSW{LINKS},{codes}",
             IndexKind.IVF: f"IVF{cells_of(n_items, config)}_HNSW{LINKS},{codes}"}
    index = faiss.index_factory(dimension, names[kind], faiss.METRIC_INNER_PRODUCT)
    if kind is IndexKind.HNSW:
        index.hnsw.efConstruction = _BUILD_VIEW
    return index


def _named(kind: IndexKind, codes: Codes) -> str:
    return kind.value if kind is IndexKind.FLAT else f"{kind.value} {codes.value}"


def _smaller(n_items: int, dimension: int, config: IndexConfig, than: int) -> str:
    choices = [(IndexKind.FLAT, config.codes), *((kind, codes) for kind in (IndexKind.IVF, IndexKind.HNSW)
                                                 for codes in Codes)]
    sizes = [(estimate(n_items, dimension, config.model_copy(update={"kind": kind, "codes": codes})).index,
              _named(kind, codes)) for kind, codes in choices]
    told = [f"{name} {size / _MB:.1f} MB" for size, name in sorted(sizes) if size < than]
    return f"smaller are {', '.join(told)}" if told else "no choice is smaller; raise it, or allow fewer items"
