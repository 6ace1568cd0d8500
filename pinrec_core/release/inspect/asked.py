"""One question put to a loaded release, with all that its answer came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.data.batch import History
from pinrec_core.release.answer import asked_history, check_outcomes
from pinrec_core.release.load import LoadedRelease, load_verified
from pinrec_core.retrieval.budget import resolve_shares
from pinrec_core.retrieval.retriever import Candidates, QueryLists


class Question(BaseModel):
    """What is asked, as `pinrec recommend` and the service take it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    user_id: str
    outcomes: dict[str, float] = {}  # action -> share; {} = the configured budgets
    n: int = Field(default=20, ge=1)
    context_item_id: str = ""  # "" = none
    exclude_seen: bool = False  # leave out what is in the history
    item_types: tuple[str, ...] = ()  # () = all that are retrievable


class Asked(NamedTuple):
    """A question and what came of it."""

    release: LoadedRelease
    question: Question
    history: History
    excluded_X: np.ndarray  # dense indices of items left out
    shares: dict[str, float]
    found: Candidates  # of one request
    queries: QueryLists  # of it, n deep


@contextmanager
def opened(registry: str, release_id: str) -> Iterator[LoadedRelease]:
    """A verified release of a registry. Raises IntegrityError if it was altered or has no passing verification."""
    with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
        yield load_verified(registry, release_id, directory)


def ask(release: LoadedRelease, question: Question) -> Asked:
    """Put the question at the end of the release's data.

    Raises DataError for an unknown user or context item, ConfigError for an unknown outcome or item type.
    """
    check_outcomes(release, question.outcomes)
    history = asked_history(release, question.user_id, question.context_item_id)
    excluded_X = np.unique(history.item_T) if question.exclude_seen else np.zeros(0, np.int64)
    retriever = release.retriever
    found, queries = retriever.retrieve_lists(
        [history], release.surface, np.array([release.manifest.facts["asked_ms"]]), shares=question.outcomes or None,
        n=question.n, depth=question.n, exclude_R=[excluded_X], item_types=question.item_types)
    shares = resolve_shares(release.surface, release.model.log, retriever.generation, release.model.action_shares,
                            question.outcomes or None)
    return Asked(release, question, history, excluded_X, shares, found, queries)


def named(release: LoadedRelease, items: list[int]) -> list[tuple[str, str | None]]:
    """Id and title of items by dense index."""
    rows = release.model.items.select(["item_id", "title"]).take(pa.array(items, pa.int64())).to_pylist()
    return [(row["item_id"], row["title"]) for row in rows]
