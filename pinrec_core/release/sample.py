"""The requests on which a release is tried: those of a fixed sample of the evaluation's users.

The search setting of the index is chosen on the same requests that verification asks again, so that both agree.

Legend: U users, M kept queries, D columns of the index.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort, build_cohort
from pinrec_core.retrieval.retriever import Retriever

_CHUNK = 2048  # requests asked at a time


def sampled_cohort(dataset: Dataset, surface: str, evaluated: pa.Table, limit: int) -> Cohort:
    """The requests of at most `limit` of the users in an evaluation's per-user table, the same ones every time."""
    cohort = build_cohort(dataset, surface, EvaluationConfig())
    known_U = cohort.user_U[np.isin(user_ids(dataset, cohort.user_U), evaluated["user_id"].to_pylist())]
    return cohort.of_users(np.random.default_rng(0).permutation(known_U)[:limit])


def generated_queries(retriever: Retriever, dataset: Dataset, cohort: Cohort) -> np.ndarray:
    """What the requests of a cohort ask the index for, float32 [M, D]."""
    limit, found = retriever.model.config.max_length, [np.zeros((0, retriever.index.dimension), np.float32)]
    for start in range(0, len(cohort), _CHUNK):
        stop = min(start + _CHUNK, len(cohort))
        histories = cohort.histories(dataset, start, stop, limit)
        _, queries = retriever.retrieve_lists(histories, cohort.surface, cohort.requests.time_R[start:stop])
        found.append(queries.search_MD)
    return np.concatenate(found)


def user_ids(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Ids of users given by dataset row."""
    return dataset.user_ids.take(pa.array(rows)).to_numpy(zero_copy_only=False)
