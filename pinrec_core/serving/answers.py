"""From a request to what the retriever takes, and from what it found to the answer's JSON."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import numpy as np
import orjson

from pinrec_core.data.batch import History
from pinrec_core.retrieval.budget import resolve_shares
from pinrec_core.retrieval.generate import recent
from pinrec_core.schemas import NO_ITEM
from pinrec_core.serving.batching import Asked, Got
from pinrec_core.serving.declined import Declined, unknown
from pinrec_core.serving.events import GuardedStore
from pinrec_core.serving.live import Live
from pinrec_core.serving.messages import RetrieveRequest
from pinrec_core.serving.metrics import Metrics
from pinrec_core.serving.translate import Engagement, before, check_names, joined, tokens_of

_DECIMALS = 6  # of a score
_NOTHING = np.zeros(0, np.int64)


class Prepared(NamedTuple):
    """A request ready to be queued, and what its answer tells beside the items."""

    asked: Asked
    history_length: int
    unknown_history: list[str]
    unknown_exclude: list[str]


async def prepare(request: RetrieveRequest, live: Live, store: GuardedStore | None, metrics: Metrics) -> Prepared:
    """Translate a request for the release that answers it. Raises Declined for what the release does not know."""
    _check_names(request, live)
    time_ms = round(time.time() * 1000) if request.time_ms is None else request.time_ms
    history, strange = await _history(request, live, store, metrics)
    if request.context:
        history = history.followed_by(await _context_item(request.context.item_id, live), live.surface_code, time_ms)
    history = recent(history, live.max_length)
    excluded, strange_exclude = _excluded(request, live, history)
    metrics.dropped("exclude", len(strange_exclude))
    asked = Asked(live, history, excluded, time_ms, request.outcomes, request.n or live.configured_n,
                  tuple(sorted(set(request.item_types))))
    return Prepared(asked, len(history.item_T) - (request.context is not None), strange, strange_exclude)


def encode(request: RetrieveRequest, prepared: Prepared, got: Got) -> bytes:
    """The answer as JSON, see messages.Answer."""
    live, found, row = prepared.asked.live, got.candidates, got.row
    item_N = found.item_RN[row]
    filled_N = item_N != NO_ITEM
    if not filled_N.all():
        item_N = item_N[filled_N]
    count, actions = len(item_N), live.action_names  # what is not filled comes last
    scores = np.round(found.score_RN[row, :count].astype(np.float64), _DECIMALS).tolist()
    columns = zip(live.catalog.ids(item_N), scores, found.outcome_RN[row].tolist(), found.step_RN[row].tolist(),
                  strict=False)
    items = [{"item_id": item_id, "score": score, "outcome": actions[outcome], "step": step}
             for item_id, score, outcome, step in columns]
    answer = {"release_id": live.release_id, "surface": live.surface, "history_length": prepared.history_length,
              "items": items}
    if request.explain:
        told = zip(items, found.offset_RN[row].tolist(), live.catalog.titles(item_N), strict=False)
        answer["items"] = [item | {"offset": offset} | ({} if title is None else {"title": title})
                           for item, offset, title in told]
        answer["explain"] = _explanation(prepared, got)
    return orjson.dumps(answer)


def _explanation(prepared: Prepared, got: Got) -> dict:
    asked, retriever = prepared.asked, prepared.asked.live.retriever
    budgets = resolve_shares(asked.live.surface, retriever.model.log, retriever.generation,
                             retriever.model.action_shares, asked.shares)
    return {"unknown": {"history": prepared.unknown_history, "exclude": prepared.unknown_exclude}, "budgets": budgets,
            "batch": got.batch, "queued_ms": round(1000 * got.queued_s, 3),
            "computed_ms": round(1000 * got.computed_s, 3)}


def _check_names(request: RetrieveRequest, live: Live) -> None:
    for action in request.outcomes or ():
        if action not in live.names.positive_actions:
            raise unknown("outcome", action, live.names.positive_actions, f"outcomes.{action[:64]}")
    for place, name in enumerate(request.item_types):
        if name not in live.names.retrievable_types:
            raise unknown("item type", name, live.names.retrievable_types, f"item_types.{place}")


async def _history(request: RetrieveRequest, live: Live, store: GuardedStore | None,
                   metrics: Metrics) -> tuple[History, list[str]]:
    """The history a request brings or names, and the ids it cannot tell the model."""
    if request.history is not None:
        events = [Engagement(event.item_id, event.names, event.surface, event.timestamp_ms)
                  for event in request.history]
        check_names(events, live.names, "history")
        tokens = tokens_of(events, live.catalog, live.names)
        metrics.dropped("history", len(tokens.unknown))
        return tokens
    newer = await store.recent(request.user_id) if store else []
    history, strange = live.histories.find(request.user_id), []
    if newer:
        tokens = tokens_of(newer, live.catalog, live.names)
        metrics.dropped("events", len(tokens.unknown))
        history, strange = joined(history, tokens.history, live.end_ms), tokens.unknown
    return (history if request.time_ms is None else before(history, request.time_ms)), strange


def _excluded(request: RetrieveRequest, live: Live, history: History) -> tuple[np.ndarray, list[str]]:
    """Items not wanted, and the ids among them that are unknown."""
    if not request.exclude and not request.exclude_seen:
        return _NOTHING, []
    item_X = live.catalog.rows(request.exclude)
    strange = [request.exclude[place] for place in np.flatnonzero(item_X == NO_ITEM)]
    return np.concatenate([item_X, history.item_T]) if request.exclude_seen else item_X, strange


async def _context_item(item_id: str, live: Live) -> int:
    item = int(live.catalog.rows([item_id])[0])
    if item == NO_ITEM:
        near = await asyncio.to_thread(live.catalog.nearest, item_id)
        raise Declined(422, f"context item {item_id[:64]!r} is not among the {len(live.catalog)} items of the release",
                       field="context.item_id", hint=near and f"did you mean {near!r}?")
    return item
