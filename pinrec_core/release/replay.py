"""Asking a release again for users of its evaluation: one request at a time, as in serving, so the same pass gives
answers and latency.

Legend: R requests, N list length, M kept queries, D columns of the index.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.progress import counted
from pinrec_core.release.load import LoadedRelease
from pinrec_core.release.sample import sampled_cohort, user_ids
from pinrec_core.retrieval.retriever import Retriever


@dataclass(frozen=True)
class Replayed:
    """Requests and the answers to them."""

    cohort: Cohort  # the replayed part of the evaluation's
    users: list[str]  # ids of its users
    history_R: list[History]
    item_RN: np.ndarray
    search_MD: np.ndarray  # queries as the index takes them
    latency_R: np.ndarray  # seconds


def replay(release: LoadedRelease, dataset: Dataset, evaluated: pa.Table, limit: int) -> Replayed:
    """Ask the release for a fixed sample of at most `limit` evaluated users, with their histories of then."""
    cohort = sampled_cohort(dataset, release.surface, evaluated, limit)
    histories = cohort.histories(dataset, 0, len(cohort), release.model.config.max_length)
    return _ask(release.retriever, cohort, user_ids(dataset, cohort.user_U).tolist(), histories)


def ask_again(retriever: Retriever, asked: Replayed) -> Replayed:
    """The same requests put to another retriever."""
    return _ask(retriever, asked.cohort, asked.users, asked.history_R)


def _ask(retriever: Retriever, cohort: Cohort, users: list[str], histories: list[History]) -> Replayed:
    lists, vectors, seconds = [], [np.zeros((0, retriever.index.dimension), np.float32)], []
    for request, history in enumerate(counted(histories, "replay", "requests")):
        start = time.perf_counter()
        found, queries = retriever.retrieve_lists([history], cohort.surface,
                                                  cohort.requests.time_R[request:request + 1])
        seconds.append(time.perf_counter() - start)
        lists.append(found.item_RN)
        vectors.append(queries.search_MD)
    return Replayed(cohort, users, histories, np.concatenate(lists) if lists else np.zeros((0, 0), np.int64),
                    np.concatenate(vectors), np.array(seconds))
