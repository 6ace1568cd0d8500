"""What the model must beat, on the same requests and from the same past: popularity and untrained item-to-item lists.

Everything before the evaluation window may be counted, the histories of validation and heldout users included, because
a real system would have seen them too. Engagement means any positive action. Lists that run short (few neighbours) are
filled up from own-surface popularity, then popularity, so that no baseline is weak for want of an answer.

Defaults were looked at on the users before KuaiRand's evaluation window: there pairs that fade with a half-life of 4
days and a follower list divided by the root of its total raise recall@50 on the busiest tab from .205 to .228.

Legend: E engagements, I items, R requests, L latest items, N list length.
"""

from __future__ import annotations

import numpy as np

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.model.transitions import DECAY, LATEST, count_transitions
from pinrec_core.retrieval.merge import first_distinct
from pinrec_core.schemas import NO_ITEM

PRIOR_POWER = 0.75  # of recent popularity as a factor of co-occurrence; chosen on KuaiRand's validation window
PRIOR_SMOOTHING = 0.01  # engagements every item is given, so that what is new on a surface can be listed there
_DAY_MS = 86_400_000


def baseline_lists(dataset: Dataset, cohort: Cohort, n: int, evaluation: EvaluationConfig) -> dict[str, np.ndarray]:
    """Ranked lists [R, n] of every baseline by row name; NO_ITEM where a baseline has nothing more to offer.

    popularity: most engaged on all surfaces; surface_popularity: on this surface; recent_surface_popularity: on this
    surface, an engagement `recent_days` old counting half; recent_surface_exposure: most shown on it, acted on or not,
    a showing `recent_days` old counting half; last_item_neighbour: what follows the request's last item
    (its context item, if any); cooccurrence: what follows its latest items, older ones counting less;
    cooccurrence_x_recent: that weight times (recent_surface_popularity + PRIOR_SMOOTHING) ** PRIOR_POWER.
    """
    past_E = dataset.time_E < cohort.requests.start_ms
    here_E = past_E & (dataset.surface_E == dataset.log.surface_names.index(cohort.surface))
    age_E = (cohort.requests.start_ms - dataset.time_E) / _DAY_MS
    recent_I = engaged(dataset, here_E * fading(age_E, evaluation.recent_days))
    shown_I = shown_lately(dataset, cohort, evaluation.recent_days)
    everywhere_N, here_N = (popular(engaged(dataset, counts_E), n) for counts_E in (past_E, here_E))
    fallback = np.concatenate([here_N, everywhere_N])
    user_E = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets_U1))
    followers = count_transitions(dataset.item_E[past_E], user_E[past_E], dataset.retrievable_I,
                                fading(age_E[past_E], evaluation.cooccurrence_half_life_days))
    latest_RL = latest_items(dataset, cohort, LATEST)
    prior_I = (recent_I + PRIOR_SMOOTHING) ** PRIOR_POWER * dataset.retrievable_I
    shape = (len(cohort), n)
    return {
        "popularity": np.broadcast_to(everywhere_N, shape),
        "surface_popularity": np.broadcast_to(_filled(here_N[None], everywhere_N, n)[0], shape),
        "recent_surface_popularity": np.broadcast_to(_filled(popular(recent_I, n)[None], everywhere_N, n)[0], shape),
        "recent_surface_exposure": np.broadcast_to(_filled(popular(shown_I, n)[None], everywhere_N, n)[0], shape),
        "last_item_neighbour": _filled(followers.rank(latest_RL[:, :1], 1.0, n), fallback, n),
        "cooccurrence": _filled(followers.rank(latest_RL, DECAY, n), fallback, n),
        "cooccurrence_x_recent": _filled(followers.rank(latest_RL, DECAY, n, prior_I), fallback, n)}


def fading(age_E: np.ndarray, half_life_days: float) -> np.ndarray:
    """What an engagement of each age (days) counts: 0.5 ** (age / half life); 1 at any age when the half life is 0."""
    return np.exp2(-age_E / half_life_days) if half_life_days else np.ones(len(age_E))


def engaged(dataset: Dataset, weight_E: np.ndarray) -> np.ndarray:
    """Weight of each item's engagements, [I]; 0 for items that are not retrieved."""
    return np.bincount(dataset.item_E, weights=weight_E, minlength=dataset.n_items) * dataset.retrievable_I


def shown_lately(dataset: Dataset, cohort: Cohort, half_life_days: float) -> np.ndarray:
    """How often the cohort's surface showed each item before its requests, [I], old showings fading."""
    start_ms = cohort.requests.start_ms
    past_V = dataset.view_start_V < start_ms
    past_V &= dataset.view_surface_V == dataset.log.surface_names.index(cohort.surface)
    weight_V = past_V * fading(np.maximum(start_ms - dataset.view_start_V, 0) / _DAY_MS, half_life_days)
    weight_X = np.repeat(weight_V, np.diff(dataset.view_offsets_V1))
    return np.bincount(dataset.shown_item_X, weights=weight_X, minlength=dataset.n_items) * dataset.retrievable_I


def popular(weight_I: np.ndarray, n: int) -> np.ndarray:
    """The n heaviest items, ties to the lower index; NO_ITEM once weights are 0."""
    top = np.argsort(-weight_I, kind="stable")[:n]
    out_N = np.full(n, NO_ITEM, dtype=np.int64)
    out_N[: len(top)] = np.where(weight_I[top] > 0, top, NO_ITEM)
    return out_N


def latest_items(dataset: Dataset, cohort: Cohort, limit: int) -> np.ndarray:
    """Items of each request's history, latest first, [R, limit]; a context item counts as the latest. NO_ITEM pads."""
    end_R = dataset.before(cohort.requests.user_R, cohort.requests.time_R)
    place_RL = end_R[:, None] - 1 - np.arange(limit)
    present_RL = place_RL >= dataset.offsets_U1[cohort.requests.user_R][:, None]
    latest_RL = np.full(place_RL.shape, NO_ITEM, dtype=np.int64)
    latest_RL[present_RL] = dataset.item_E[place_RL[present_RL]]
    asked_R = cohort.requests.context_R != NO_ITEM
    latest_RL[asked_R] = np.column_stack([cohort.requests.context_R[asked_R], latest_RL[asked_R, :-1]])
    return latest_RL


def _filled(item_RN: np.ndarray, fallback: np.ndarray, n: int) -> np.ndarray:
    """Lists continued with the fallback's items that they do not have yet."""
    long_RM = np.concatenate([item_RN, np.broadcast_to(fallback, (len(item_RN), len(fallback)))], axis=1)
    place_RN = first_distinct(long_RM, n)
    return np.where(place_RN >= 0, np.take_along_axis(long_RM, np.maximum(place_RN, 0), axis=1), NO_ITEM)
