"""What a release makes of a user: the history it reads, the queries it generates, what each of them found."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from pinrec_core.release.inspect.asked import Asked, named
from pinrec_core.schemas import NO_ITEM


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Engagement(_Told):
    """One token of the history."""

    item_id: str
    title: str | None
    actions: list[str]
    surface: str
    timestamp_ms: int  # UTC


class QueryTold(_Told):
    """One query vector that was kept; near-equal ones have joined it with their budgets."""

    number: int  # in generation order, from 0
    outcome: str
    offset: int  # time-offset bucket, 0 = "now"
    step: int  # generation step, from 0
    budget: int  # places of the list it may claim
    claimed: int  # places it has claimed


class Sighting(_Told):
    """Where a query has an item among its own neighbours."""

    query: int  # number
    rank: int  # from 1


class Retrieved(_Told):
    """One place of the list."""

    rank: int  # from 1
    item_id: str
    title: str | None
    score: float  # see release.answer.Recommendation
    query: int | None  # number of the query that claimed the place
    found_by: list[Sighting]  # every query that has the item within its first n, best rank first
    seen: bool  # it is in the history


class InspectedUser(_Told):
    """All of it."""

    user_id: str
    surface: str
    release_id: str
    asked_ms: int  # end of the release's data, UTC
    shares: dict[str, float]  # outcome -> share of the list
    generated: int  # query vectors before near-equal ones were joined
    history: list[Engagement]  # as the model reads it, oldest first
    queries: list[QueryTold]
    items: list[Retrieved]


def inspect_user(asked: Asked) -> InspectedUser:
    """Tell all that an answer came from."""
    release = asked.release
    queries, generator = _queries(asked), release.retriever.generate
    generated = release.retriever.generation.steps * len(asked.shares) * len(generator.offset_F)
    return InspectedUser(
        user_id=asked.question.user_id, surface=release.surface, release_id=release.release_id,
        asked_ms=release.manifest.facts["asked_ms"], shares=asked.shares, generated=generated,
        history=_history(asked), queries=queries, items=_items(asked, queries))


def _history(asked: Asked) -> list[Engagement]:
    log, history = asked.release.model.log, asked.history
    names = named(asked.release, history.item_T.tolist())
    return [Engagement(item_id=item_id, title=title, surface=log.surface_names[surface], timestamp_ms=int(time),
                       actions=[name for bit, name in enumerate(log.action_names) if actions >> bit & 1])
            for (item_id, title), actions, surface, time in zip(
                names, history.actions_T.tolist(), history.surface_T.tolist(), history.time_T.tolist(), strict=True)]


def _queries(asked: Asked) -> list[QueryTold]:
    found, queries = asked.found, asked.queries
    claims = list(zip(found.outcome_RN[0].tolist(), found.offset_RN[0].tolist(), found.step_RN[0].tolist(),
                      strict=True))
    columns = (queries.outcome_M, queries.offset_M, queries.step_M, queries.budget_M)
    actions = asked.release.model.log.action_names
    return [QueryTold(number=number, outcome=actions[outcome], offset=offset, step=step, budget=budget,
                      claimed=claims.count((outcome, offset, step)))
            for number, (outcome, offset, step, budget) in enumerate(zip(*(c.tolist() for c in columns), strict=True))]


def _items(asked: Asked, queries: list[QueryTold]) -> list[Retrieved]:
    found, actions = asked.found, asked.release.model.log.action_names
    rows = [int(item) for item in found.item_RN[0] if item != NO_ITEM]
    number = {(query.outcome, query.offset, query.step): query.number for query in queries}
    seen = set(asked.history.item_T.tolist())
    told = []
    for place, (row, (item_id, title)) in enumerate(zip(rows, named(asked.release, rows), strict=True)):
        claimed = (actions[found.outcome_RN[0, place]], int(found.offset_RN[0, place]), int(found.step_RN[0, place]))
        told.append(Retrieved(rank=place + 1, item_id=item_id, title=title, score=float(found.score_RN[0, place]),
                              query=number.get(claimed), found_by=_sightings(asked.queries.item_MK, row),
                              seen=row in seen))
    return told


def _sightings(item_MK: np.ndarray, item: int) -> list[Sighting]:
    query_S, rank_S = np.nonzero(item_MK == item)
    told = [Sighting(query=int(query), rank=int(rank) + 1) for query, rank in zip(query_S, rank_S, strict=True)]
    return sorted(told, key=lambda one: (one.rank, one.query))
