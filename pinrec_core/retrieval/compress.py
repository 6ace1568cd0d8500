"""Compression: a query vector that is nearly an earlier one joins it and gives it its budget.

Legend: B requests, Q generated queries in generation order, P most queries any request of the batch keeps,
D item dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from pinrec_core.retrieval.generate import Queries
from pinrec_core.retrieval.merge import picked


@dataclass(frozen=True)
class KeptQueries:
    """The queries of a batch that are left after merging, in generation order, padded to one width per request."""

    vector_BPD: np.ndarray
    search_BPD: np.ndarray  # the same as the index takes them: continued where items have score biases
    outcome_BP: np.ndarray  # action bit number
    offset_BP: np.ndarray  # time-offset bucket
    step_BP: np.ndarray
    budget_BP: np.ndarray  # candidates each may claim; rows sum to the total, 0 where a share rounds to nothing
    kept_BP: np.ndarray  # bool; False = padding

    def rows(self, chosen_B: np.ndarray) -> KeptQueries:
        """The same for some of the requests."""
        return KeptQueries(*(getattr(self, column.name)[chosen_B] for column in fields(self)))


def compress(queries: Queries, merge_cosine: float, total: int | np.ndarray) -> KeptQueries:
    """Merge near-equal queries and split `total` candidates, of all or of each request, over those that stay."""
    owner_BQ = merge_owners(queries.vector_BQD, merge_cosine, queries.kind_Q)
    plan, (B, Q) = queries.plan, owner_BQ.shape
    totals = total.tolist() if isinstance(total, np.ndarray) else [total] * B
    budget_BQ = np.array([plan.budget_Q(each) for each in totals], np.int64).reshape(B, Q)
    kept_BQ = owner_BQ == np.arange(Q)
    if kept_BQ.all():
        told = (np.broadcast_to(column_Q, (B, Q)) for column_Q in (plan.outcome_Q, plan.offset_Q, plan.step_Q))
        return KeptQueries(queries.vector_BQD, queries.search_BQD, *told, budget_BQ, kept_BQ)
    width = int(kept_BQ.sum(axis=1).max(initial=0))
    column_BP = np.argsort(~kept_BQ, axis=1, kind="stable")[:, :width]
    of_rows = (picked(column_BQ, column_BP) for column_BQ in
               (queries.vector_BQD, queries.search_BQD, pool_budgets(budget_BQ, owner_BQ), kept_BQ))
    vector_BPD, search_BPD, budget_BP, kept_BP = of_rows
    return KeptQueries(vector_BPD, search_BPD, plan.outcome_Q[column_BP], plan.offset_Q[column_BP],
                       plan.step_Q[column_BP], budget_BP, kept_BP)


def merge_owners(vector_BQD: np.ndarray, merge_cosine: float, kind_Q: np.ndarray | int = 0) -> np.ndarray:
    """For each query the kept query it belongs to, [B, Q]; a kept query owns itself.

    In generation order: a query whose cosine with some earlier *kept* query exceeds `merge_cosine` (strictly) joins the
    nearest of those, the earliest at a tie; otherwise it is kept. Queries are unit vectors;
    those of different kinds never join.
    """
    B, Q = vector_BQD.shape[:2]
    cosine_BQQ = vector_BQD @ vector_BQD.transpose(0, 2, 1)
    if np.any(kind_Q):
        cosine_BQQ = np.where(kind_Q[:, None] == kind_Q, cosine_BQQ, -np.inf)
    owner_BQ = np.tile(np.arange(Q), (B, 1))
    if not (cosine_BQQ[:, _earlier(Q)] > merge_cosine).any():
        return owner_BQ
    kept_BQ = np.zeros((B, Q), dtype=bool)
    for query in range(Q):
        to_kept_BP = np.where(kept_BQ[:, :query], cosine_BQQ[:, query, :query], -np.inf)
        if query:
            nearest_B = to_kept_BP.argmax(axis=1)
            joins_B = to_kept_BP.max(axis=1) > merge_cosine
            owner_BQ[joins_B, query] = nearest_B[joins_B]
        kept_BQ[:, query] = owner_BQ[:, query] == query
    return owner_BQ


@lru_cache
def _earlier(Q: int) -> np.ndarray:
    """bool [Q, Q]: the first of a pair comes before the second."""
    return ~np.tri(Q, dtype=bool)


def pool_budgets(budget_BQ: np.ndarray, owner_BQ: np.ndarray) -> np.ndarray:
    """Budgets after merging, [B, Q]: each kept query has its own and its members' budget, the others 0. Sums hold.

    `budget_BQ` may be one row for all.
    """
    B, Q = owner_BQ.shape
    flat = (np.arange(B)[:, None] * Q + owner_BQ).ravel()
    return np.bincount(flat, weights=np.broadcast_to(budget_BQ, (B, Q)).ravel(),
                       minlength=B * Q).reshape(B, Q).astype(budget_BQ.dtype)
