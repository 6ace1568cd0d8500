"""Engagements as people write them into tokens of a release's model, and recent ones joined to those it knows.

Items that the release does not know are left out and told. Names it does not know are refused in a request; among
events that were stored under other releases they are left out as well.

Legend: T tokens of a history, F engagements of the feature file, R recent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pinrec_core.data.batch import History
from pinrec_core.schemas import NO_ITEM
from pinrec_core.serving.catalog import Catalog, Vocabulary
from pinrec_core.serving.declined import unknown


class Engagement(NamedTuple):
    """One event by names."""

    item_id: str
    actions: Sequence[str]
    surface: str
    timestamp_ms: int


class Tokens(NamedTuple):
    """Events as a history in time order, and the ids of those that are not part of it."""

    history: History
    unknown: list[str]  # ids of unknown items, and of events with unknown names


def check_names(events: Sequence[Engagement], names: Vocabulary, field: str) -> None:
    """Raise Declined for an action or surface that the release does not know, naming it and the nearest."""
    for place, event in enumerate(events):
        for action in event.actions:
            if action not in names.bits:
                raise unknown("action", action, names.bits, f"{field}.{place}.action")
        if names.surface_code(event.surface) is None:
            raise unknown("surface", event.surface, names.surfaces, f"{field}.{place}.surface")


def tokens_of(events: Sequence[Engagement], catalog: Catalog, names: Vocabulary) -> Tokens:
    """The events that the model can read. Those without a positive action are no part of a history."""
    item_T = catalog.rows([event.item_id for event in events])
    bits_T = np.array([_bits(event, names) for event in events], np.int64)
    codes = [names.surface_code(event.surface) for event in events]
    surface_T = np.array([NO_ITEM if code is None else code for code in codes], np.int64)
    time_T = np.array([event.timestamp_ms for event in events], np.int64)
    known_T = (item_T != NO_ITEM) & (bits_T >= 0) & (surface_T >= 0)
    kept = np.flatnonzero(known_T & (bits_T & names.positive_mask > 0))
    kept = kept[np.argsort(time_T[kept], kind="stable")]
    return Tokens(History(item_T[kept], bits_T[kept], surface_T[kept], time_T[kept]),
                  [events[place].item_id for place in np.flatnonzero(~known_T)])


def joined(known: History, recent: History, end_ms: int) -> History:
    """A user's history of the feature file, which ends at `end_ms`, with recent events in time order.

    The file has one engagement where the events have one per action, at the time of the first. So an event from before
    its end is known if the file has the item with this action at its time or before. An event told twice counts once.
    """
    if not len(recent.item_T):
        return known
    same_RF = (recent.item_T[:, None] == known.item_T) & (recent.time_T[:, None] >= known.time_T)
    told_R = (same_RF & (recent.actions_T[:, None] & ~known.actions_T == 0)).any(axis=1)
    fresh = np.flatnonzero(~(told_R & (recent.time_T < end_ms)))
    keys = np.stack([recent.time_T[fresh], recent.item_T[fresh], recent.actions_T[fresh]])
    fresh = fresh[np.sort(np.unique(keys, axis=1, return_index=True)[1])]
    columns = [np.concatenate([mine, theirs[fresh]]) for mine, theirs in zip(known, recent, strict=True)]
    order_T = np.argsort(columns[3], kind="stable")
    return History(*(column[order_T] for column in columns))


def before(history: History, time_ms: int) -> History:
    """What of a history in time order had happened by then."""
    return History(*(column[: np.searchsorted(history.time_T, time_ms)] for column in history))


def _bits(event: Engagement, names: Vocabulary) -> int:
    """Action bits, -1 if one of the actions is unknown."""
    bits = 0
    for action in event.actions:
        if action not in names.bits:
            return -1
        bits |= names.bits[action]
    return bits
