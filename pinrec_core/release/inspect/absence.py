"""Why an item is not in a user's list, or where in it: the first thing that keeps it out, and its exact standing.

The standing is exact whatever the index is: every allowed item is scored against every kept query, counted experts
included. A list that is interleaved by budgets (see retrieval.merge) goes on beyond its end by the same rule, so that
an item has a place in it even when it has none among the first n.

Legend: I all items, M kept queries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from pinrec_core.release.inspect.asked import Asked
from pinrec_core.release.inspect.item import is_indexed, row_of
from pinrec_core.retrieval.filters import Filters
from pinrec_core.retrieval.generate import recent
from pinrec_core.retrieval.search import Adjusted


class Reason(StrEnum):
    """What became of the item; the first that holds."""

    NOT_IN_CATALOGUE = "not_in_catalogue"
    TYPE_NOT_RETRIEVABLE = "type_not_retrievable"
    NOT_INDEXED = "not_indexed"  # an allow list leaves it out
    FILTERED = "filtered"  # by the item types that were asked for
    EXCLUDED = "excluded"  # it is in the history, and what was seen is left out
    OUTRANKED = "outranked"
    MISSED_BY_INDEX = "missed_by_index"  # its score is good enough and the approximate search did not come by
    PRESENT = "present"


class Standing(BaseModel):
    """How one query ranks the item among all that it may find."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    query: int  # number, in generation order
    outcome: str
    offset: int
    step: int
    budget: int  # places of the list the query may claim; 0 = it claims none
    rank: int  # from 1
    score: float  # of the index, experts included


class Whereabouts(BaseModel):
    """The answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item_id: str
    user_id: str
    reason: Reason
    sentence: str
    cold: bool = False  # nobody engaged with it in training: content alone places it
    place: int | None = None  # in the list by exact search, from 1, beyond its end too; None = it can have none
    n: int = 0  # length of the list
    standings: list[Standing] = []  # per kept query, in generation order


class _Scores(NamedTuple):
    score_MI: np.ndarray  # float32; -inf where an item may not be found
    allowed: int  # items that may


def whereabouts(asked: Asked, item_id: str) -> Whereabouts:
    """Where the item is in the answer, or what keeps it out."""
    release, base = asked.release, {"item_id": item_id, "user_id": asked.question.user_id}
    row = row_of(release, item_id)
    if row < 0:
        return Whereabouts(**base, reason=Reason.NOT_IN_CATALOGUE, sentence=(
            f"the release's catalogue of {release.model.n_items} items does not have it; add it to the catalog, then "
            "`pinrec index refresh`, or wait for the next run"))
    known = base | {"cold": not bool(release.model.trained_I[row]), "n": asked.found.item_RN.shape[1]}
    if barred := _barred(asked, row):
        return Whereabouts(**known, reason=barred[0], sentence=barred[1])
    scores = _scores(asked)
    standings = _standings(asked, scores.score_MI, row)
    place = _place(standings, scores.score_MI)
    reason, sentence = _ranked(asked, row, place, scores.allowed)
    return Whereabouts(**known, reason=reason, sentence=sentence, place=place, standings=standings)


def _barred(asked: Asked, row: int) -> tuple[Reason, str] | None:
    """What keeps an item out whatever its score is."""
    release, log = asked.release, asked.release.model.log
    kind = log.item_types[int(release.model.item_encoder.features.type_I[row])]
    if kind not in log.retrievable_types:
        return Reason.TYPE_NOT_RETRIEVABLE, (f"it is of type {kind!r}, log.retrievable_types are "
                                             f"{list(log.retrievable_types)}")
    if not is_indexed(release, row):
        return Reason.NOT_INDEXED, (f"the allow list of surface {release.surface!r} does not name it; see index.allow "
                                    "of the configuration")
    if asked.question.item_types and kind not in asked.question.item_types:
        return Reason.FILTERED, f"it is of type {kind!r}, asked for was {list(asked.question.item_types)}"
    if row in asked.excluded_X:
        return Reason.EXCLUDED, "it is in the user's history, and what was seen is left out"
    return None


def _scores(asked: Asked) -> _Scores:
    release, retriever = asked.release, asked.release.retriever
    filters = Filters.of(release.model, retriever.index, 1, [asked.excluded_X], asked.question.item_types)
    item_I = np.arange(release.model.n_items)
    allowed_I = filters.subset.holds(item_I) & ~filters.excludes(item_I[None])[0]
    score_MI = asked.queries.search_MD @ np.asarray(retriever.search_vectors_ID).T
    history = recent(asked.history, release.model.config.max_length)
    adjusted = Adjusted.of(release.model, [history]).within(filters)
    spoken = adjusted.item_BC[0] >= 0
    score_MI[:, adjusted.item_BC[0, spoken]] += adjusted.bonus_BC[0, spoken]
    score_MI[:, ~allowed_I] = -np.inf
    return _Scores(score_MI, int(allowed_I.sum()))


def _standings(asked: Asked, score_MI: np.ndarray, row: int) -> list[Standing]:
    queries, actions = asked.queries, asked.release.model.log.action_names
    return [Standing(query=m, outcome=actions[queries.outcome_M[m]], offset=int(queries.offset_M[m]),
                     step=int(queries.step_M[m]), budget=int(queries.budget_M[m]), score=float(score_I[row]),
                     rank=1 + int((score_I > score_I[row]).sum())) for m, score_I in enumerate(score_MI)]


def _place(standings: list[Standing], score_MI: np.ndarray) -> int | None:
    """1 + the distinct items that are claimed before it; None if no query with a budget is there."""
    keys = [((one.rank - 0.5) / one.budget, one.query) for one in standings if one.budget]
    if not keys:
        return None
    key, first = min(keys)
    ahead: set[int] = set()
    for one in standings:
        if one.budget:
            # claims of rank r (from 1) at (r - 1/2) / budget: before `key`, or at it if the query is an earlier one
            depth = key * one.budget + 0.5
            count = int(np.floor(depth)) if one.query < first else int(np.ceil(depth)) - 1
            ahead |= set(np.argsort(-score_MI[one.query], kind="stable")[: max(count, 0)].tolist())
    return 1 + len(ahead)


def _ranked(asked: Asked, row: int, place: int | None, allowed: int) -> tuple[Reason, str]:
    found = np.flatnonzero(asked.found.item_RN[0] == row)
    n = asked.found.item_RN.shape[1]
    if len(found):
        return Reason.PRESENT, f"it is item {found[0] + 1} of the {n} retrieved"
    if place is not None and place <= n:
        return Reason.MISSED_BY_INDEX, (f"by exact search it would be item {place} of the {n} retrieved; the "
                                        "approximate index did not visit it: raise index.min_ann_recall or nprobe")
    where = "no query claims it" if place is None else f"it would be item {place}"
    return Reason.OUTRANKED, f"{where}, the list ends at {n} of the {allowed} items that may be retrieved"
