"""From the cleaned rows of one user shard to exposures: exact duplicates dropped, feed views found, events merged.

An exposure is all events of one user, one feed view and one item: its action bits are OR-ed, its time is that of its
first positive action. Everything is vectorised, and no result depends on the order in which rows arrive.

Legend: N rows, V feed views, E exposures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation.clean import UNKNOWN
from pinrec_core.logs.aggregation.hashing import mix64
from pinrec_core.logs.aggregation.ordering import lexicographic_order, starts_of_runs

NEVER = np.iinfo(np.int64).max  # time of a positive action that did not happen


@dataclass(frozen=True)
class Rows:
    """Events of one shard, column by column."""

    user_N: np.ndarray  # int32 rank of the user among the shard's users
    time_N: np.ndarray  # int64 UTC ms
    surface_N: np.ndarray  # int8
    item_N: np.ndarray  # int32 item index
    action_N: np.ndarray  # int8 bit number; the number of actions = impression
    position_N: np.ndarray  # int32, UNKNOWN = none
    request_N: np.ndarray  # uint64, 0 = none
    context_N: np.ndarray  # int32 code of the context item, UNKNOWN = none
    item_type_N: np.ndarray  # int8 as the row has it
    day_N: np.ndarray  # int16 partition the row came in; not part of what makes rows equal

    def __len__(self) -> int:
        return len(self.user_N)

    def take(self, index: np.ndarray) -> Rows:
        """The rows at an index or mask."""
        return Rows(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @property
    def identity(self) -> tuple[np.ndarray, ...]:
        """The columns that make two rows the same event, most significant first."""
        return tuple(getattr(self, field.name) for field in fields(self) if field.name != "day_N")


@dataclass(frozen=True)
class Exposures:
    """Exposures in the order of the views table: by view, then position (unknown last), then first event."""

    view_E: np.ndarray  # int64 view number, ascending; views are numbered by user, then start
    user_E: np.ndarray  # int32
    surface_E: np.ndarray  # int8
    item_E: np.ndarray  # int32
    actions_E: np.ndarray  # int32 action bits, 0 = shown and not acted on
    time_E: np.ndarray  # int64 UTC ms of the first positive action, NEVER if none
    position_E: np.ndarray  # int32 least known position, UNKNOWN = none
    events_E: np.ndarray  # int64 rows merged into it


@dataclass(frozen=True)
class Views:
    """Feed views, numbered by user, then start."""

    user_V: np.ndarray  # int32
    surface_V: np.ndarray  # int8
    start_V: np.ndarray  # int64 UTC ms of the first event
    context_V: np.ndarray  # int32 code of the context item, UNKNOWN = none
    ordinal_V: np.ndarray  # int64 number of the view among its user's views


def deduplicate(rows: Rows) -> tuple[Rows, int]:
    """Rows in canonical order without exact duplicates (of which the earliest partition's stays), and how many went."""
    rows = rows.take(lexicographic_order([*rows.identity, rows.day_N]))
    first_N = starts_of_runs(*rows.identity)
    dropped = len(rows) - int(first_N.sum())
    return (rows.take(first_N) if dropped else rows), dropped


def find_views(rows: Rows, gap_ms: int) -> np.ndarray:
    """View number of each row [N] int64, in the order of the views' first rows. `rows` are in canonical order.

    Rows that share user, surface and request id are one view. The others are cut, per user and surface, where the
    pause exceeds `gap_ms` or where the feed starts to answer another context item.
    """
    feed_N = rows.user_N.astype(np.int64) * 128 + rows.surface_N  # surfaces are int8
    requested_N = rows.request_N != 0
    label_N = np.empty(len(rows), np.int64)
    label_N[requested_N] = _request_labels(feed_N[requested_N], rows.request_N[requested_N])
    offset = int(label_N[requested_N].max(initial=-1)) + 1
    label_N[~requested_N] = offset + _gap_labels(feed_N[~requested_N], rows.time_N[~requested_N],
                                                 rows.context_N[~requested_N], gap_ms)
    return _numbered_by_first_row(label_N)


def describe_views(rows: Rows, view_N: np.ndarray) -> Views:
    """User, surface, start, context (the first known in time order) and ordinal of each view."""
    first_V = _first_rows(view_N)
    context_V = np.full(len(first_V), UNKNOWN, np.int32)
    known_M = np.flatnonzero(rows.context_N != UNKNOWN)[::-1]
    context_V[view_N[known_M]] = rows.context_N[known_M]  # written from the last row up, so the first stays
    user_V = rows.user_N[first_V]
    start_of_user_V = np.maximum.accumulate(np.where(starts_of_runs(user_V), np.arange(len(user_V)), 0))
    return Views(user_V, rows.surface_N[first_V], rows.time_N[first_V], context_V,
                 np.arange(len(user_V)) - start_of_user_V)


def merge_exposures(rows: Rows, view_N: np.ndarray, log: LogConfig) -> Exposures:
    """Merge the rows of each (view, item) into one exposure."""
    order_N = lexicographic_order([view_N, rows.item_N])  # only sums, ORs and minima follow: order inside is free
    start_E = np.flatnonzero(starts_of_runs(view_N[order_N], rows.item_N[order_N]))
    head_E = order_N[start_E]
    if not len(start_E):
        return Exposures(view_N, rows.user_N, rows.surface_N, rows.item_N, np.zeros(0, np.int32), rows.time_N,
                         rows.position_N, np.zeros(0, np.int64))
    action_N = rows.action_N[order_N]
    positive_N = action_N < len(log.positive_actions)
    bit_of = np.array([*(1 << np.arange(len(log.action_names))), 0], np.int32)  # an impression sets none
    unplaced = np.iinfo(np.int32).max
    position_N = rows.position_N[order_N]
    position_E = np.minimum.reduceat(np.where(position_N == UNKNOWN, unplaced, position_N), start_E)
    sorted_E = lexicographic_order([view_N[head_E], position_E, np.minimum.reduceat(order_N, start_E)])
    return Exposures(
        view_E=view_N[head_E][sorted_E], user_E=rows.user_N[head_E][sorted_E],
        surface_E=rows.surface_N[head_E][sorted_E], item_E=rows.item_N[head_E][sorted_E],
        actions_E=np.bitwise_or.reduceat(bit_of[action_N], start_E)[sorted_E],
        time_E=np.minimum.reduceat(np.where(positive_N, rows.time_N[order_N], NEVER), start_E)[sorted_E],
        position_E=np.where(position_E == unplaced, UNKNOWN, position_E)[sorted_E].astype(np.int32),
        events_E=np.diff(np.append(start_E, len(rows)))[sorted_E])


def _request_labels(feed_M: np.ndarray, request_M: np.ndarray) -> np.ndarray:
    """A number per distinct (feed, request)."""
    mixed_M = mix64(request_M ^ mix64(feed_M.astype(np.uint64)))
    order_M = np.argsort(mixed_M)
    new_M = starts_of_runs(mixed_M[order_M])
    exact_M = starts_of_runs(feed_M[order_M], request_M[order_M])
    if (exact_M & ~new_M).any():  # two views met in one 64-bit hash: once in a million shards, but then exactly
        order_M = np.lexsort([request_M, feed_M])
        new_M = starts_of_runs(feed_M[order_M], request_M[order_M])
    label_M = np.empty(len(feed_M), np.int64)
    label_M[order_M] = np.cumsum(new_M) - 1
    return label_M


def _gap_labels(feed_M: np.ndarray, time_M: np.ndarray, context_M: np.ndarray, gap_ms: int) -> np.ndarray:
    """A number per stretch of one feed without a pause over `gap_ms` and without a change of context."""
    place_M = np.arange(len(feed_M))
    order_M = lexicographic_order([feed_M, place_M])  # rows come in time order per user; that order stays
    feed_M, time_M, context_M = feed_M[order_M], time_M[order_M], context_M[order_M]
    new_M = starts_of_runs(feed_M)
    new_M[1:] |= np.diff(time_M) > gap_ms
    known_M = context_M != UNKNOWN
    if known_M.any():
        stretch_M = np.maximum.accumulate(np.where(new_M, place_M, 0))
        last_known_M = np.maximum.accumulate(np.where(known_M, place_M, -1))
        before_M = np.append(-1, last_known_M[:-1])
        new_M |= known_M & (before_M >= stretch_M) & (context_M[before_M] != context_M)
    label_M = np.empty(len(feed_M), np.int64)
    label_M[order_M] = np.cumsum(new_M) - 1
    return label_M


def _numbered_by_first_row(label_N: np.ndarray) -> np.ndarray:
    order_V = np.argsort(_first_rows(label_N))
    number_V = np.empty(len(order_V), np.int64)
    number_V[order_V] = np.arange(len(order_V))
    return number_V[label_N]


def _first_rows(label_N: np.ndarray) -> np.ndarray:
    """Index of the first row of each label; labels are 0..V-1, each used."""
    first_V = np.empty(int(label_N.max(initial=-1)) + 1, np.int64)
    first_V[label_N[::-1]] = np.arange(len(label_N))[::-1]  # written from the last row up, so the first stays
    return first_V
