"""Fine-tuning rows: the feed views of one surface, each answered from the history before it.

Views without a context item share a row: view p of a user is answered by the hidden column after the p tokens before
it. A view with a context item (query, close-up item) appends it as the last token and so has a row of its own.
Suffixes: V views kept, X items shown, R rows, G (item, action) targets.
"""

from __future__ import annotations

import numpy as np

from pinrec_core.config import FinetuneConfig
from pinrec_core.data.ahead import FEED_AHEAD, loss_groups, offset_bucket
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import TrainingSet, pad_ignored, per_action, recency_weight
from pinrec_core.schemas import NO_ITEM, SPLITS

MAX_IGNORED = 32  # impression negatives per view; later positions are rarely looked at


def feed_views(dataset: Dataset, surface: str, max_length: int, finetune: FinetuneConfig,
               offsets_s: tuple[float, ...] = ()) -> TrainingSet:
    """All training views of a surface as rows and targets; views without a positive action are down-sampled.

    A view's labels carry no times of their own, so the offset bucket of its targets is that of its start: the time from
    the column's last token to the view, 0 behind a context item or an empty history. With `feed_relaxation` each
    FEED_AHEAD positive items of a view, in order of position, share a loss.

    With `other_surfaces` the other modelled surfaces' views take part, their targets weighted by it.
    """
    view_V = _training_views(dataset, surface, finetune)
    shown = _shown(dataset, view_V)
    columns, begin_V, end_V, has_context_V = _histories(dataset, view_V, max_length)
    row_V, start_R, end_R, user_R = _rows(dataset.view_user_V[view_V], begin_V, end_V, has_context_V, max_length)
    target_X = shown["positive"]
    pair, action = per_action(shown["actions"][target_X], dataset.log)
    x = np.flatnonzero(target_X)[pair]
    order = np.argsort(row_V[shown["view"][x]], kind="stable")
    x, action = x[order], action[order]
    v, part = shown["view"][x], _parts(shown["view"][target_X])[pair[order]]
    column_G, start_ms_G = end_V[v] - start_R[row_V[v]], dataset.view_start_V[view_V[v]]
    last_ms_G = np.where(column_G > 0, columns[3][end_V[v] - 1], start_ms_G)
    offset_G = offset_bucket(start_ms_G - last_ms_G, offsets_s)
    weight_G = recency_weight(start_ms_G, dataset.train_end_ms, finetune.recency_half_life_days)
    elsewhere_G = dataset.view_surface_V[view_V[v]] != dataset.log.surface_names.index(surface)
    weight_G[elsewhere_G] *= finetune.other_surfaces
    ignored = ~target_X & dataset.retrievable_I[shown["item"]]
    return TrainingSet(
        columns, start_R, end_R, user_R, row_V[v], column_G, shown["item"][x], action,
        dataset.view_surface_V[view_V[v]], weight_G, offset_G,
        loss_groups(v, part, offset_G, finetune.feed_relaxation), v if finetune.impression_negatives else None,
        pad_ignored(shown["view"][ignored], shown["item"][ignored], len(view_V), MAX_IGNORED))


def _parts(view_P: np.ndarray) -> np.ndarray:
    """Which part of FEED_AHEAD positives of its view each positive item belongs to; views ascend."""
    return (np.arange(len(view_P)) - np.searchsorted(view_P, view_P)) // FEED_AHEAD


def _training_views(dataset: Dataset, surface: str, finetune: FinetuneConfig) -> np.ndarray:
    """Views of train users on the surface(s) before the evaluation window, actionless ones down-sampled."""
    surfaces = dataset.log.surfaces if finetune.other_surfaces else (surface,)
    wanted_V = np.isin(dataset.view_surface_V, [dataset.log.surface_names.index(name) for name in surfaces])
    wanted_V &= dataset.view_start_V < dataset.train_end_ms
    wanted_V &= dataset.split_U[dataset.view_user_V] == SPLITS.index("train")
    positive_X = (dataset.shown_actions_X & dataset.log.positive_mask) > 0
    acted_V = np.add.reduceat(np.append(positive_X, False).astype(np.int64), dataset.view_offsets_V1[:-1]) > 0
    kept_V = np.random.default_rng(finetune.seed).random(len(acted_V)) < finetune.keep_actionless_views
    return np.flatnonzero(wanted_V & (acted_V | kept_V))


def _shown(dataset: Dataset, view_V: np.ndarray) -> dict[str, np.ndarray]:
    """Flat items shown in the kept views: position of the view, item, action bits, is it a target."""
    count_V = dataset.view_offsets_V1[view_V + 1] - dataset.view_offsets_V1[view_V]
    view_X = np.repeat(np.arange(len(view_V)), count_V)
    x = np.arange(count_V.sum()) + np.repeat(dataset.view_offsets_V1[view_V] - (np.cumsum(count_V) - count_V), count_V)
    item, actions = dataset.shown_item_X[x], dataset.shown_actions_X[x]
    positive = ((actions & dataset.log.positive_mask) > 0) & dataset.retrievable_I[item]
    return {"view": view_X, "item": item, "actions": actions, "positive": positive}


def _histories(dataset: Dataset, view_V: np.ndarray, max_length: int):
    """Where each view's history lies: (columns, begin, end, has a context item), positions in the columns.

    A view with a context item gets a copy of its latest history followed by that item, appended to the columns.
    """
    user_V = dataset.view_user_V[view_V]
    begin_V, end_V = dataset.offsets_U1[user_V], dataset.before(user_V, dataset.view_start_V[view_V])
    columns = (dataset.item_E, dataset.actions_E, dataset.surface_E, dataset.time_E)
    has_context_V = dataset.view_context_V[view_V] != NO_ITEM
    chosen = np.flatnonzero(has_context_V)
    view = view_V[chosen]
    context = (dataset.view_context_V[view], np.zeros(len(view)), dataset.view_surface_V[view],
               dataset.view_start_V[view])
    length = np.minimum(end_V[chosen] - begin_V[chosen], max_length - 1)
    stop = np.cumsum(length + 1)
    source = np.arange(length.sum()) + np.repeat(end_V[chosen] - np.cumsum(length), length)
    columns = tuple(np.concatenate([values, np.insert(values[source], np.cumsum(length), last)])
                    for values, last in zip(columns, context, strict=True))
    begin_V[chosen], end_V[chosen] = len(dataset.item_E) + stop - length - 1, len(dataset.item_E) + stop
    return columns, begin_V, end_V, has_context_V


def _rows(user_V: np.ndarray, begin_V: np.ndarray, end_V: np.ndarray, has_context_V: np.ndarray,
          max_length: int):
    """Assign views to rows; each row's window leaves every one of its views at least half of max_length."""
    half = max(max_length // 2, 1)
    segment_V = np.where(has_context_V, -1 - np.arange(len(user_V)), (end_V - begin_V) // half)
    _, first_R, row_V = np.unique(np.stack([user_V, segment_V], 1), axis=0, return_index=True, return_inverse=True)
    row_V = row_V.ravel()
    end_R = np.zeros(len(first_R), np.int64)
    np.maximum.at(end_R, row_V, end_V)
    return row_V, np.maximum(end_R - max_length, begin_V[first_R]), end_R, user_V[first_R]
