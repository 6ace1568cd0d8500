"""What the page shows beside retrieved items: surfaces with their outcomes, users, a history, items by title."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pinrec_core.retrieval.budget import resolve_shares
from pinrec_core.retrieval.generate import recent
from pinrec_core.serving.demo.asked import HistoryAsked, ItemsAsked, UsersAsked
from pinrec_core.serving.live import Live


def surface_of(live: Live) -> dict:
    """A surface: its release, the outcomes to be asked for with their configured shares, the vectors there are."""
    model, generation = live.retriever.model, live.retriever.generation
    shares = resolve_shares(live.surface, model.log, generation, model.action_shares)
    return {"surface": live.surface, "release_id": live.release_id, "users": len(live.histories),
            "items": len(live.catalog), "n": live.configured_n, "time_ms": live.end_ms,
            "context": live.answers_context, "steps": generation.steps, "offsets_s": list(model.config.offsets_s),
            "outcomes": [{"outcome": outcome, "share": shares.get(outcome, 0.0)}
                         for outcome in live.names.positive_actions]}


def users_of(live: Live, asked: UsersAsked) -> dict:
    """Users whose ids begin so, and how many there are of them."""
    places = live.histories.beginning(asked.prefix)
    listed = [live.histories.user(place) for place in places[asked.skip : asked.skip + asked.limit]]
    return {"total": len(places), "users": [{"user_id": user_id, "engagements": count} for user_id, count in listed]}


def history_of(live: Live, asked: HistoryAsked) -> dict:
    """What the model reads of a user, latest first."""
    history = recent(live.histories.find(asked.user_id), min(live.max_length, asked.limit))
    described = _items(live, history.item_T)
    columns = zip(described, history.actions_T.tolist(), history.surface_T.tolist(), history.time_T.tolist(),
                  strict=True)
    engagements = [item | {"actions": _actions(live, bits), "surface": live.names.surfaces[code], "timestamp_ms": time}
                   for item, bits, code, time in columns]
    return {"user_id": asked.user_id, "engagements": engagements[::-1]}


def items_of(live: Live, asked: ItemsAsked) -> dict:
    """Items with this in their title, or at the beginning of their id; at most half are of types never retrieved, which
    can be nothing but context and come first.
    """
    item_N = live.catalog.containing(asked.text)
    log, type_I = live.retriever.model.log, live.retriever.model.items["item_type"].to_numpy()
    retrieved_N = np.isin(type_I[item_N], [log.item_types.index(name) for name in log.retrievable_types])
    others = item_N[~retrieved_N][: asked.limit // 2]
    return {"items": _items(live, np.concatenate([others, item_N[retrieved_N]])[: asked.limit])}


def _items(live: Live, item_N: np.ndarray) -> list[dict]:
    """Id, title and type of each."""
    model = live.retriever.model
    types = model.items["item_type"].take(item_N).to_pylist()
    return [{"item_id": item_id, "title": title, "item_type": model.log.item_types[code]} for item_id, title, code
            in zip(live.catalog.ids(item_N), live.catalog.titles(item_N), types, strict=True)]


def _actions(live: Live, bits: int) -> Iterable[str]:
    return [name for bit, name in enumerate(live.action_names) if bits >> bit & 1]
