"""Parts of an evaluation's targets on which a candidate may fall behind while the whole looks well.

    action     the positive actions the user took on the target; a target may be in several
    split      of the user: "heldout" users were never seen in training, they are the new users
    activity   the user's engagements before the evaluation window
    item_age   days from the target's creation to the evaluation window; "new" = created in it, "unknown" = not told

Legend: T targets, U users, I items.
"""

from __future__ import annotations

import numpy as np

from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.schemas import SPLITS

ACTIVITY = {"0": 0, "1-9": 1, "10-99": 10, "100+": 100}  # name -> least number of engagements
ITEM_AGE = {"new": -np.inf, "0-6 days": 0, "7-29 days": 7, "30+ days": 30}  # name -> least number of days
_DAY_MS = 86_400_000

Slices = dict[str, dict[str, np.ndarray]]  # kind -> name -> which targets are in it, bool [T]


def slices_of(cohort: Cohort, dataset: Dataset) -> Slices:
    """Every slice of a cohort's targets, those without any included."""
    user_T = cohort.requests.user_R[cohort.request_T]
    age_T = _age_days(dataset)[cohort.item_T]
    return {
        "action": {name: (cohort.actions_T >> bit) & 1 == 1 for bit, name in enumerate(dataset.log.positive_actions)},
        "split": {name: dataset.split_U[user_T] == code for code, name in enumerate(SPLITS)},
        "activity": _between(ACTIVITY, _engagements(dataset)[user_T]),
        "item_age": _between(ITEM_AGE, age_T) | {"unknown": np.isnan(age_T)}}


def _engagements(dataset: Dataset) -> np.ndarray:
    """Engagements of each user before the evaluation window, [U]."""
    everyone = np.arange(dataset.n_users)
    return dataset.before(everyone, np.full(dataset.n_users, dataset.train_end_ms)) - dataset.offsets_U1[:-1]


def _age_days(dataset: Dataset) -> np.ndarray:
    """Days from each item's creation to the evaluation window, [I]; NaN where the catalog does not tell."""
    created_I = dataset.items["created_ms"].to_numpy().astype(np.float64)  # null becomes NaN
    return (dataset.train_end_ms - created_I) / _DAY_MS


def _between(least: dict[str, float], value_T: np.ndarray) -> dict[str, np.ndarray]:
    """By name the targets from one bound to below the next; NaN is in none."""
    bounds = [*least.values(), np.inf]
    return {name: (value_T >= low) & (value_T < high)
            for name, low, high in zip(least, bounds[:-1], bounds[1:], strict=True)}
