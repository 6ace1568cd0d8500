"""The search setting of an approximate index: the smallest on a ladder that finds enough of what exact search finds.

What a setting costs grows with it and how much it finds depends on the data, so it is measured, on real queries. The
choice rests on recall alone, which equal inputs give again; milliseconds are measured beside it, to be looked at.

Legend: M queries, D item dimension, I all items.
"""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import faiss
import numpy as np

from pinrec_core.config import Codes, IndexConfig, IndexKind
from pinrec_core.errors import PinrecError
from pinrec_core.progress import counted
from pinrec_core.retrieval.index import ItemIndex

ANN_K = 100  # neighbours of which recall is measured
PARAMETERS = {IndexKind.IVF: "nprobe", IndexKind.HNSW: "efSearch"}  # what faiss calls the setting
_GRAPH_SETTINGS = (128, 4096)  # first and last tried: fewer nodes in view than neighbours wanted make no sense
_TIMED = 200  # queries timed one by one
log = logging.getLogger("pinrec")


class Rung(NamedTuple):
    """What one setting does."""

    setting: int
    recall: float  # recall@100 against exact search, mean over queries
    p50_ms: float  # of one query alone, one faiss thread
    p99_ms: float


class Sweep(NamedTuple):
    """What was measured, in order of the setting, and which setting was chosen."""

    parameter: str
    setting: int
    queries: int
    rungs: tuple[Rung, ...]


def sweep(index: ItemIndex, query_MD: np.ndarray, vector_ID: np.ndarray, config: IndexConfig) -> Sweep | None:
    """Set the index to the smallest setting that reaches `min_ann_recall` and tell what was measured up to the next.

    A configured `nprobe` is the only one tried. None for an exact index, which has nothing to set. Raises PinrecError
    with all that was measured if no setting reaches it, or if there are no queries.
    """
    if index.kind is IndexKind.FLAT:
        return None
    if not len(query_MD):
        raise PinrecError(f"no queries to choose the {PARAMETERS[index.kind]} of the {index.kind.value} index with: no "
                          "user of this surface was evaluated; evaluate again, or set index.kind = 'flat'")
    kth_M, rungs = index.exact_kth(query_MD, vector_ID, ANN_K), []
    for setting in counted(ladder(index, config), "try search settings"):
        if any(rung.recall >= config.min_ann_recall for rung in rungs[:-1]):
            break
        index.setting = setting
        found = index.share_found(query_MD, vector_ID, kth_M, ANN_K)
        rungs.append(Rung(setting, round(found, 6), *_milliseconds(index, query_MD)))
        log.info("index: %s", _told(rungs[-1:], index))
    good = [rung.setting for rung in rungs if rung.recall >= config.min_ann_recall]
    if not good:
        raise PinrecError(_failure(index, rungs, len(query_MD), config))
    index.setting = good[0]
    return Sweep(PARAMETERS[index.kind], good[0], len(query_MD), tuple(rungs))


def ladder(index: ItemIndex, config: IndexConfig) -> list[int]:
    """Settings to try, ascending: two for every doubling, up to all cells or to more nodes than pay."""
    if config.nprobe:
        return [min(config.nprobe, index.largest_setting)]
    first, last = (1, index.largest_setting) if index.kind is IndexKind.IVF else _GRAPH_SETTINGS
    steps = int(2 * np.log2(last / first)) + 1
    return sorted({*(round(first * 2 ** (step / 2)) for step in range(steps)), last})


def _milliseconds(index: ItemIndex, query_MD: np.ndarray) -> tuple[float, float]:
    """p50 and p99 of searches for one query each, on one thread as in serving."""
    threads, seconds = faiss.omp_get_max_threads(), []
    faiss.omp_set_num_threads(1)
    try:
        for query_D in query_MD[:_TIMED]:
            start = time.perf_counter()
            index.search(query_D[None], ANN_K)
            seconds.append(time.perf_counter() - start)
    finally:
        faiss.omp_set_num_threads(threads)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return round(float(p50), 4), round(float(p99), 4)


def _told(rungs: list[Rung], index: ItemIndex) -> str:
    name = PARAMETERS[index.kind]
    return ", ".join(f"{name} {rung.setting}: recall@{ANN_K} {rung.recall:.4f} in {rung.p50_ms:.2f} ms"
                     for rung in rungs)


def _failure(index: ItemIndex, rungs: list[Rung], queries: int, config: IndexConfig) -> str:
    ways = ["leave index.nprobe at 0"] if config.nprobe else []
    if config.codes is not Codes.FP32:
        ways.append(f"set finer index.codes than {config.codes.value!r}")
    ways += ["set index.kind = 'flat'", "lower index.min_ann_recall"]
    return (f"no setting of the {index.kind.value} index over {index.n_items} items reaches index.min_ann_recall "
            f"{config.min_ann_recall:g} on {queries} queries: {_told(rungs, index)} (p50); {', or '.join(ways)}")
