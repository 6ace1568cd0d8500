"""The item index: exact inner product for small catalogues, IVF with an HNSW coarse quantizer and fp16 beyond.

The index is item vectors only; row numbers map to dense item indices through `items.npy`. Every release measures its
approximation against exact search on its own queries (`ann_recall`), because it depends on the data.

A model with score biases gives item vectors and queries more columns (`PinRec.search_vectors`, `search_queries`), which
turn the score into an inner product.

Legend: N indexed items, M queries, K neighbours, D item dimension, I all items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np

from pinrec_core.config import IndexConfig, IndexKind
from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.retrieval.subset import Subset
from pinrec_core.schemas import NO_ITEM

INDEX_NAME = "index.faiss"
ITEMS_NAME = "items.npy"
_ADD_BLOCK = 65536  # rows added at a time, so that building needs little beyond the vectors themselves
_HNSW_LINKS = 32  # links per node of the coarse quantizer
_CELL_POINTS = 39  # training points below which faiss considers a cell under-trained


def set_threads(threads: int) -> None:
    """Set how many threads faiss uses in this process; serving wants 1 per request."""
    faiss.omp_set_num_threads(threads)


class ItemIndex:
    """Searchable vectors of the retrievable items. Build with `build` or read with `load`."""

    def __init__(self, index: faiss.Index, item_N: np.ndarray):
        """Wrap a filled faiss index whose row r is the item `item_N[r]`."""
        self.index = index
        self.item_N = item_N
        self._subsets: dict[Hashable, Subset] = {}

    @classmethod
    def build(cls, vector_ID: np.ndarray, retrievable_I: np.ndarray, config: IndexConfig) -> ItemIndex:
        """Index the rows of `vector_ID` (float32, unit, perhaps with columns of biases) that are retrievable.

        Raises DataError if there is none.
        """
        item_N = np.flatnonzero(retrievable_I).astype(np.int64)
        if not len(item_N):
            raise DataError("no item is of a retrievable type, so there is nothing to index; see log.retrievable_types")
        exact = config.kind is IndexKind.FLAT or (config.kind is IndexKind.AUTO and len(item_N) < config.exact_below)
        D = vector_ID.shape[1]
        index = faiss.IndexFlatIP(D) if exact else _trained_ivf(vector_ID, item_N, config)
        for start in range(0, len(item_N), _ADD_BLOCK):
            index.add(_rows(vector_ID, item_N[start : start + _ADD_BLOCK]))
        return cls(index, item_N)

    @property
    def kind(self) -> IndexKind:
        """FLAT (exact) or IVF (approximate)."""
        return IndexKind.FLAT if isinstance(self.index, faiss.IndexFlat) else IndexKind.IVF

    @property
    def dimension(self) -> int:
        """Columns of vectors and queries."""
        return self.index.d

    @property
    def n_items(self) -> int:
        """Number of indexed items."""
        return len(self.item_N)

    @cached_property
    def everything(self) -> Subset:
        """All indexed items."""
        return Subset.everything(self.item_N)

    def subset(self, name: Hashable, chosen_I: Callable[[], np.ndarray]) -> Subset:
        """The indexed items among those that `chosen_I` marks (bool by dense item index); found once per name."""
        if name not in self._subsets:
            self._subsets[name] = Subset.of(self.item_N, chosen_I())
        return self._subsets[name]

    def search(self, query_MD: np.ndarray, k: int, *, subset: Subset | None = None,
               exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of each query by inner product, best first: (score_MK float32, item_MK int64).

        k is cut to the number of items, those of the `subset` if one is given. Where an IVF search visits fewer than k
        items the rest is NO_ITEM with score -inf; `exhaustive` visits every cell, so that this cannot happen.
        """
        subset = subset or self.everything
        k = min(k, subset.n_items)
        if not k:
            return np.zeros((len(query_MD), 0), np.float32), np.zeros((len(query_MD), 0), np.int64)
        score_MK, row_MK = self.index.search(np.ascontiguousarray(query_MD, np.float32), k,
                                             params=self._parameters(subset, exhaustive))
        missing_MK = row_MK < 0
        item_MK = self.item_N[np.where(missing_MK, 0, row_MK)]
        item_MK[missing_MK], score_MK[missing_MK] = NO_ITEM, -np.inf
        return score_MK, item_MK

    def _parameters(self, subset: Subset, exhaustive: bool) -> faiss.SearchParameters | None:
        """How to search; None = as the index is set. The rarer what is wanted, the more cells are visited for it."""
        if self.kind is IndexKind.FLAT:
            return subset.selector and faiss.SearchParameters(sel=subset.selector)
        if not (exhaustive or subset.selector):
            return None
        nprobe = self.index.nlist if exhaustive else math.ceil(self.index.nprobe * self.n_items / subset.n_items)
        return faiss.SearchParametersIVF(sel=subset.selector, nprobe=min(nprobe, self.index.nlist))

    def ann_recall(self, query_MD: np.ndarray, vector_ID: np.ndarray, k: int = 100) -> float:
        """Share of the exact top k of `vector_ID` that `search` finds, mean over queries; NaN without queries.

        Higher is better, 1 = exact. Compared by score, so that items tied with the k-th count as found.
        """
        if not len(query_MD):
            return math.nan
        query_MD = np.ascontiguousarray(query_MD, np.float32)
        reference = faiss.IndexFlatIP(vector_ID.shape[1])
        reference.add(_rows(vector_ID, self.item_N))
        k = min(k, self.n_items)
        exact_MK, _ = reference.search(query_MD, k)
        _, item_MK = self.search(query_MD, k)
        score_MK = np.einsum("md,mkd->mk", query_MD, vector_ID[np.maximum(item_MK, 0)])
        found_MK = (item_MK != NO_ITEM) & (score_MK >= exact_MK[:, -1:] - 1e-5)
        return float(found_MK.mean())

    def save(self, directory: Path) -> None:
        """Write index.faiss and items.npy into an existing directory (the caller stages and seals it)."""
        faiss.write_index(self.index, str(directory / INDEX_NAME))
        np.save(directory / ITEMS_NAME, self.item_N)

    @classmethod
    def load(cls, directory: Path) -> ItemIndex:
        """Read what `save` wrote. Raises IntegrityError if a file is missing, unreadable, or the two disagree."""
        try:
            index = faiss.read_index(str(directory / INDEX_NAME))
            item_N = np.load(directory / ITEMS_NAME, allow_pickle=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise IntegrityError(f"{directory}: not a readable item index ({error}); build it again") from error
        if index.ntotal != len(item_N):
            raise IntegrityError(f"{directory}: {INDEX_NAME} has {index.ntotal} vectors, {ITEMS_NAME} {len(item_N)} "
                                 "items; build the release again")
        return cls(index, item_N)


def _trained_ivf(vector_ID: np.ndarray, item_N: np.ndarray, config: IndexConfig) -> faiss.Index:
    wanted = config.nlist or int(4 * math.sqrt(len(item_N)))
    nlist = max(1, min(wanted, len(item_N) // _CELL_POINTS))
    index = faiss.index_factory(vector_ID.shape[1], f"IVF{nlist}_HNSW{_HNSW_LINKS},SQfp16", faiss.METRIC_INNER_PRODUCT)
    sample_N = item_N
    most = nlist * index.cp.max_points_per_centroid
    if len(item_N) > most:
        sample_N = np.sort(np.random.default_rng(0).choice(item_N, most, replace=False))
    index.train(_rows(vector_ID, sample_N))
    index.nprobe = min(config.nprobe, nlist)
    return index


def _rows(vector_ID: np.ndarray, item_N: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vector_ID[item_N], dtype=np.float32)
