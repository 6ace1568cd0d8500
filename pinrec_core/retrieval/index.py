"""The item index: exact inner product for small catalogues, beyond them cells (IVF) or a graph (HNSW) of coded vectors.

The index is item vectors only; row numbers map to dense item indices through `items.npy`. Every release measures its
approximation against exact search on its own queries (`ann_recall`), because it depends on the data. How much of an
approximate index a search visits is its `setting`, which `sweep` chooses and the saved index keeps.

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
from pinrec_core.retrieval.kinds import ADD_BLOCK, LINKS, check_memory, empty_index, sample_size
from pinrec_core.retrieval.subset import Subset
from pinrec_core.schemas import NO_ITEM

INDEX_NAME = "index.faiss"
ITEMS_NAME = "items.npy"
_UNTUNED = {IndexKind.IVF: 32, IndexKind.HNSW: 128}  # setting of an index that nothing has chosen one for
_SCORED = 1024  # queries whose neighbours' vectors are held at a time
_GRAPH_MARGIN = 32  # cells looked at beyond those that are visited, so that the graph finds the nearest


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

        Raises DataError if there is none, ConfigError if the index would take more memory than configured.
        """
        item_N = np.flatnonzero(retrievable_I).astype(np.int64)
        if not len(item_N):
            raise DataError("no item is of a retrievable type, so there is nothing to index; see log.retrievable_types")
        shape = len(item_N), vector_ID.shape[1]
        check_memory(*shape, config)
        index, most = empty_index(*shape, config), sample_size(len(item_N), config)
        if most:
            chosen_N = np.sort(np.random.default_rng(0).choice(item_N, most, replace=False))
            index.train(_rows(vector_ID, chosen_N))
        for start in range(0, len(item_N), ADD_BLOCK):
            index.add(_rows(vector_ID, item_N[start : start + ADD_BLOCK]))
        built = cls(index, item_N)
        built.setting = config.nprobe or _UNTUNED.get(built.kind, 0)
        return built

    @property
    def kind(self) -> IndexKind:
        """FLAT (exact), IVF or HNSW (approximate)."""
        if isinstance(self.index, faiss.IndexFlat):
            return IndexKind.FLAT
        return IndexKind.IVF if isinstance(self.index, faiss.IndexIVF) else IndexKind.HNSW

    @property
    def setting(self) -> int:
        """How much a search visits: cells of an IVF index (nprobe), nodes kept in view in a graph (efSearch), or 0."""
        if self.kind is IndexKind.FLAT:
            return 0
        return self.index.nprobe if self.kind is IndexKind.IVF else self.index.hnsw.efSearch

    @setting.setter
    def setting(self, value: int) -> None:
        if self.kind is IndexKind.IVF:
            self.index.nprobe = min(value, self.index.nlist)
            faiss.downcast_index(self.index.quantizer).hnsw.efSearch = self.index.nprobe + _GRAPH_MARGIN
        elif self.kind is IndexKind.HNSW:
            self.index.hnsw.efSearch = value

    @property
    def largest_setting(self) -> int:
        """The setting at which everything is visited; 0 of an exact index."""
        if self.kind is IndexKind.FLAT:
            return 0
        return self.index.nlist if self.kind is IndexKind.IVF else self.n_items

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

        k is cut to the number of items, those of the `subset` if one is given. Where a search visits fewer than k items
        the rest is NO_ITEM with score -inf; `exhaustive` visits everything, so that this cannot happen. The rarer the
        subset, the more is visited for it. A graph visits more for more than `setting` neighbours, too.
        """
        subset = subset or self.everything
        k = min(k, subset.n_items)
        query_MD = np.ascontiguousarray(query_MD, np.float32)
        if not k:
            return np.zeros((len(query_MD), 0), np.float32), np.zeros((len(query_MD), 0), np.int64)
        visited = self.largest_setting if exhaustive else self._visited(k, subset)
        if self.kind is IndexKind.HNSW and visited == self.n_items:
            score_MK, row_MK = self.index.storage.search(query_MD, k, params=_only(subset))
        else:
            score_MK, row_MK = self.index.search(query_MD, k, params=self._parameters(visited, subset))
        missing_MK = row_MK < 0
        item_MK = self.item_N[np.where(missing_MK, 0, row_MK)]
        item_MK[missing_MK], score_MK[missing_MK] = NO_ITEM, -np.inf
        return score_MK, item_MK

    def _visited(self, k: int, subset: Subset) -> int:
        """The setting for k items of a subset: `setting` unless the subset is rare, or k too much for a graph."""
        visited = math.ceil(self.setting * self.n_items / subset.n_items)
        if self.kind is IndexKind.HNSW:
            visited = max(visited, k)
            if visited > self.setting and visited * LINKS >= subset.n_items:
                return self.n_items  # each node in view has its links compared, so comparing all is no more work
        return min(visited, self.largest_setting)

    def _parameters(self, visited: int, subset: Subset) -> faiss.SearchParameters | None:
        """How to search; None = as the index is set."""
        if self.kind is IndexKind.FLAT:
            return _only(subset)
        if visited == self.setting and not subset.selector:
            return None
        if self.kind is IndexKind.HNSW:
            return faiss.SearchParametersHNSW(sel=subset.selector, efSearch=visited)
        nearest = faiss.SearchParametersHNSW(efSearch=visited + _GRAPH_MARGIN,
                                             bounded_queue=visited < self.largest_setting)
        return faiss.SearchParametersIVF(sel=subset.selector, nprobe=visited, quantizer_params=nearest)

    def ann_recall(self, query_MD: np.ndarray, vector_ID: np.ndarray, k: int = 100) -> float:
        """Share of the exact top k of `vector_ID` that `search` finds, mean over queries; NaN without queries.

        Higher is better, 1 = exact. Compared by score, so that items tied with the k-th count as found.
        """
        return self.share_found(query_MD, vector_ID, self.exact_kth(query_MD, vector_ID, k), k)

    def exact_kth(self, query_MD: np.ndarray, vector_ID: np.ndarray, k: int) -> np.ndarray:
        """Score of each query's k-th best indexed item by exact search over `vector_ID`, [M]."""
        if not len(query_MD):
            return np.zeros(0, np.float32)
        whole = self.n_items == len(vector_ID)  # then the vectors need no copy
        held_ND = np.ascontiguousarray(vector_ID, np.float32) if whole else _rows(vector_ID, self.item_N)
        best_MK, _ = faiss.knn(np.ascontiguousarray(query_MD, np.float32), held_ND, min(k, self.n_items),
                               metric=faiss.METRIC_INNER_PRODUCT)
        return best_MK[:, -1]

    def share_found(self, query_MD: np.ndarray, vector_ID: np.ndarray, kth_M: np.ndarray, k: int) -> float:
        """Share of the k items scoring `kth_M` and above that `search` finds, mean over queries; NaN without any."""
        found, k = 0, min(k, self.n_items)
        for start in range(0, len(query_MD), _SCORED):
            part = slice(start, start + _SCORED)
            _, item_MK = self.search(query_MD[part], k)
            score_MK = np.einsum("md,mkd->mk", query_MD[part], vector_ID[np.maximum(item_MK, 0)])
            found += int(((item_MK != NO_ITEM) & (score_MK >= kth_M[part, None] - 1e-5)).sum())
        return found / (len(query_MD) * k) if len(query_MD) else math.nan

    def save(self, directory: Path) -> None:
        """Write index.faiss and items.npy into an existing directory (the caller stages and seals it)."""
        faiss.write_index(self.index, str(directory / INDEX_NAME))
        np.save(directory / ITEMS_NAME, self.item_N)

    @classmethod
    def load(cls, directory: Path) -> ItemIndex:
        """Read what `save` wrote. Raises IntegrityError if a file is missing, unreadable, or the two disagree, or if
        the index would read others."""
        try:
            index = faiss.read_index(str(directory / INDEX_NAME))
            item_N = np.load(directory / ITEMS_NAME, allow_pickle=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise IntegrityError(f"{directory}: not a readable item index ({error}); build it again") from error
        if isinstance(index, faiss.IndexIVF) and isinstance(
                faiss.downcast_InvertedLists(index.invlists), faiss.OnDiskInvertedLists):
            raise IntegrityError(f"{directory}: {INDEX_NAME} keeps its vectors in a file outside of it, whose hash "
                                 "nobody checks; build the release again")
        if index.ntotal != len(item_N):
            raise IntegrityError(f"{directory}: {INDEX_NAME} has {index.ntotal} vectors, {ITEMS_NAME} {len(item_N)} "
                                 "items; build the release again")
        return cls(index, item_N)


def _only(subset: Subset) -> faiss.SearchParameters | None:
    return subset.selector and faiss.SearchParameters(sel=subset.selector)


def _rows(vector_ID: np.ndarray, item_N: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vector_ID[item_N], dtype=np.float32)
