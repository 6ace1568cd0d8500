"""Retriever: histories in, ranked candidates out. Evaluation, verification and `recommend` all go through `retrieve`.

generate -> merge near-equal queries -> split the candidates over them -> search, counted experts joined -> interleave
by budget.
The answer to a request does not depend on what it is batched with, nor on `overfetch`, which only decides how deep the
first search goes: a request whose list that depth cannot settle is searched again, deep enough.

Legend: R requests of a call, B requests of a batch, P kept queries per request, K neighbours, N candidates,
M kept queries of all requests, D item dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from pinrec_core.config import GenerationConfig
from pinrec_core.data.batch import History
from pinrec_core.errors import ConfigError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.budget import resolve_shares
from pinrec_core.retrieval.compress import KeptQueries, compress
from pinrec_core.retrieval.engine import Engine
from pinrec_core.retrieval.filters import Filters
from pinrec_core.retrieval.generate import Generator, recent
from pinrec_core.retrieval.index import ItemIndex
from pinrec_core.retrieval.merge import interleave, picked
from pinrec_core.retrieval.plan import Question
from pinrec_core.retrieval.prefixes import PrefixCache
from pinrec_core.retrieval.search import Adjusted, Sought, best_items
from pinrec_core.schemas import NO_ITEM

_BATCH = 256  # requests generated and searched together; sorted by length, so that padding is small


@dataclass(frozen=True)
class Candidates:
    """Ranked candidates, best first, and the query that claimed each."""

    item_RN: np.ndarray  # int64 dense item index; NO_ITEM behind the last where exclusions leave fewer than N
    score_RN: np.ndarray  # float32, for the query that claimed it: of the index and experts; -inf at NO_ITEM
    outcome_RN: np.ndarray  # int64 action bit number that query asked for, -1 at NO_ITEM
    offset_RN: np.ndarray  # int64 time-offset bucket it asked for, 0 = "now", -1 at NO_ITEM
    step_RN: np.ndarray  # int64 generation step of that query, -1 at NO_ITEM


@dataclass(frozen=True)
class QueryLists:
    """Every kept query by itself with its own neighbours, ascending by request, in generation order within one."""

    request_M: np.ndarray  # row of the request
    outcome_M: np.ndarray  # action bit number
    offset_M: np.ndarray  # time-offset bucket
    step_M: np.ndarray
    budget_M: np.ndarray  # candidates it may claim
    search_MD: np.ndarray  # float32, as the index takes it
    item_MK: np.ndarray  # its best items, best first; NO_ITEM if an approximate index gave fewer


class Retriever:
    """A model and an index over its item vectors. Create once, call often; calls do not change it."""

    def __init__(self, model: PinRec, index: ItemIndex, generation: GenerationConfig, search_vectors_ID: np.ndarray, *,
                 engine: Engine | None = None, prefixes: PrefixCache | None = None):
        """`search_vectors_ID` (float32) is all that the index was built of: PinRec.search_vectors of a surface.

        With a score bias they are those of one surface: ask for no other. Without `engine` torch computes; with
        `prefixes` a history that begins as an earlier one costs only what is new. Raises ConfigError for generation
        settings that do not fit the model.
        """
        self.model, self.index, self.generation = model.eval(), index, generation
        self.search_vectors_ID = search_vectors_ID
        self.generate = Generator(model, generation, search_vectors_ID, engine, prefixes)

    def retrieve(self, histories: Sequence[History], surface: str, time_R: np.ndarray, *,
                 shares: Mapping[str, float] | None = None, n: int = 0,
                 exclude_R: Sequence[np.ndarray] | None = None, item_types: tuple[str, ...] = ()) -> Candidates:
        """Exactly min(n, allowed items) distinct candidates for each history, asked on `surface` at `time_R` (UTC ms).

        `shares` (action -> share) overrides the outcome budgets, `n` the number of candidates (0 = configured). Allowed
        are the indexed items of the retrievable `item_types` (() = all) that are not among the request's dense indices
        in `exclude_R` (NO_ITEM and repeats do not matter). Histories end with the context item where there is one and
        are cut to the model's length. Raises ConfigError for an unknown surface, outcome or item type, a negative n, or
        exclusions that are not one list of known items per history.
        """
        return self.retrieve_lists(histories, surface, time_R, shares=shares, n=n, exclude_R=exclude_R,
                                   item_types=item_types)[0]

    def retrieve_lists(self, histories: Sequence[History], surface: str, time_R: np.ndarray, *,
                       shares: Mapping[str, float] | None = None, n: int = 0, depth: int = 1,
                       exclude_R: Sequence[np.ndarray] | None = None,
                       item_types: tuple[str, ...] = ()) -> tuple[Candidates, QueryLists]:
        """What `retrieve` gives, and beside it the `depth` nearest items of each kept query, for unordered recall."""
        filters = Filters.of(self.model, self.index, len(histories), exclude_R, item_types)
        n = min(n or self.generation.candidates, filters.subset.n_items)
        if n < 0 or depth < 1:
            raise ConfigError(f"n {n} and depth {depth}: ask for at least 0 candidates at a depth of at least 1")
        asked = resolve_shares(surface, self.model.log, self.generation, self.model.action_shares, shares)
        cut = [recent(history, self.model.config.max_length) for history in histories]
        order_R = np.argsort([len(history.item_T) for history in cut], kind="stable")
        parts = [] if histories else [_nothing(n, self.index.dimension, min(depth, filters.subset.n_items))]
        for start in range(0, len(order_R), _BATCH):
            rows_B = order_R[start : start + _BATCH]
            mine, part = filters.rows(rows_B), [cut[row] for row in rows_B]
            queries = self.generate(part, Question(surface, asked, np.asarray(time_R, np.int64)[rows_B]))
            kept = compress(queries, self.generation.merge_cosine, mine.allowed(n))
            sought = Sought(kept, Adjusted.of(self.model, part).within(mine), mine)
            parts.append(self._answer(sought, rows_B, n, depth))
        return _in_order(parts, order_R)

    def _answer(self, sought: Sought, rows_B: np.ndarray, n: int, depth: int) -> tuple[Candidates, QueryLists]:
        """Search and interleave one batch, again and deeper for the requests that are not settled yet."""
        kept = sought.kept
        first_k = min(n, math.ceil(self.generation.overfetch * kept.budget_BP.max(initial=1)))
        score_BPK, item_BPK = self._search(sought, max(depth, first_k))
        lists, open_B = _interleaved(kept, score_BPK, item_BPK, n)
        for exhaustive in (False, True):  # an approximate search may still leave places free; then visit everything
            if open_B.any():
                part = sought.rows(open_B)
                found, still_open = _interleaved(part.kept, *self._search(part, n, exhaustive=exhaustive), n)
                for whole, settled in zip(_columns(lists), _columns(found), strict=True):
                    whole[open_B] = settled
                open_B[open_B] = still_open
        mask = kept.kept_BP
        request_M = rows_B[np.nonzero(mask)[0]]
        return lists, QueryLists(request_M, kept.outcome_BP[mask], kept.offset_BP[mask], kept.step_BP[mask],
                                 kept.budget_BP[mask], kept.search_BPD[mask], item_BPK[mask][:, :depth])

    def _search(self, sought: Sought, k: int, *, exhaustive: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every kept query."""
        return best_items(self.index, sought, k, self.search_vectors_ID, exhaustive=exhaustive)


def _interleaved(kept: KeptQueries, score_BPK: np.ndarray, item_BPK: np.ndarray,
                 n: int) -> tuple[Candidates, np.ndarray]:
    """The merged lists of a batch, and which of them a deeper search could still change."""
    claims = interleave(item_BPK, kept.budget_BP, n)
    B, _, K = item_BPK.shape
    source_BN, query_BN = claims.source_BN, claims.source_BN // max(K, 1)
    columns = (picked(item_BPK.reshape(B, -1), source_BN),
               picked(score_BPK.reshape(B, -1), source_BN),
               picked(kept.outcome_BP, query_BN),
               picked(kept.offset_BP, query_BN),
               picked(kept.step_BP, query_BN))
    if claims.filled_BN.all():
        return Candidates(*columns), ~claims.complete_B
    blanks = (NO_ITEM, np.float32(-np.inf), -1, -1, -1)
    filled = [np.where(claims.filled_BN, values, blank) for values, blank in zip(columns, blanks, strict=True)]
    return Candidates(*filled), ~claims.complete_B


def _nothing(n: int, D: int, depth: int) -> tuple[Candidates, QueryLists]:
    """The answer to no request at all."""
    none = np.zeros(0, np.int64)
    lists = [np.zeros((0, n), kind) for kind in (np.int64, np.float32, np.int64, np.int64, np.int64)]
    return Candidates(*lists), QueryLists(none, none, none, none, none, np.zeros((0, D), np.float32),
                                          np.zeros((0, depth), np.int64))


def _columns(record: Candidates | QueryLists) -> list[np.ndarray]:
    return [getattr(record, field.name) for field in fields(record)]


def _in_order(parts: list[tuple[Candidates, QueryLists]], order_R: np.ndarray) -> tuple[Candidates, QueryLists]:
    """Batches back in the order of the call's requests."""
    if len(order_R) == 1:
        return parts[0]
    back_R = np.argsort(order_R, kind="stable")
    lists = Candidates(*(np.concatenate(columns)[back_R] for columns in zip(*(_columns(part[0]) for part in parts),
                                                                            strict=True)))
    flat = [np.concatenate(columns) for columns in zip(*(_columns(part[1]) for part in parts), strict=True)]
    by_request = np.argsort(flat[0], kind="stable")
    return lists, QueryLists(*(column[by_request] for column in flat))
