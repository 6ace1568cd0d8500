"""Who is asked what: the requests of one surface's evaluation window, and the users over whom they are averaged.

`data.requests` decides what a request is: a user at the start of the window, or, where feeds answer a context item, one
feed view each. Histories stop at the start of the window. A user counts once: metrics are averaged over a user's
requests first.

Legend: R requests (ascending by user), T targets (ascending by request), U users of the cohort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests, requests_in
from pinrec_core.errors import ConfigError
from pinrec_core.schemas import NO_ITEM

PER_USER, PER_VIEW = "user", "view"


@dataclass(frozen=True)
class Cohort:
    """The requests of one surface with what averaging needs; items and users by dataset row."""

    requests: Requests
    user_U: np.ndarray  # users with at least one target, ascending
    row_R: np.ndarray  # position of the request's user in user_U
    request_T: np.ndarray  # request of each target

    @classmethod
    def of(cls, requests: Requests) -> Cohort:
        """The cohort of all given requests."""
        user_U, row_R = np.unique(requests.user_R, return_inverse=True)
        return cls(requests, user_U, row_R, np.repeat(np.arange(len(requests)), np.diff(requests.offsets_R1)))

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def surface(self) -> str:
        """Where the requests are made."""
        return self.requests.surface

    @property
    def unit(self) -> str:
        """PER_VIEW if every request is a feed view with its context item, else PER_USER."""
        return PER_VIEW if (self.requests.context_R != NO_ITEM).any() else PER_USER

    @property
    def item_T(self) -> np.ndarray:
        """Item of each target."""
        return self.requests.item_T

    @property
    def actions_T(self) -> np.ndarray:
        """Positive action bits of each target."""
        return self.requests.actions_T

    def histories(self, dataset: Dataset, start: int, stop: int, limit: int) -> list[History]:
        """Histories of requests [start, stop), context token included, at most `limit` tokens each."""
        return self.requests.take(np.arange(start, stop)).histories(dataset, limit)

    def of_users(self, users: np.ndarray) -> Cohort:
        """The part of the cohort that belongs to the given users (dataset rows)."""
        return Cohort.of(self.requests.take(np.flatnonzero(np.isin(self.requests.user_R, users))))


def build_cohort(dataset: Dataset, surface: str, evaluation: EvaluationConfig) -> Cohort:
    """All requests of a surface in the evaluation window, or those of a seeded sample of `max_users` users.

    Raises ConfigError if the surface is not modelled. A surface on which nobody did anything has an empty cohort.
    """
    if surface not in dataset.log.surfaces:
        raise ConfigError(f"surface {surface!r} is not modelled; log.surfaces are {list(dataset.log.surfaces)}")
    everyone = np.arange(dataset.n_users)
    cohort = Cohort.of(requests_in(dataset, surface, dataset.train_end_ms, dataset.eval_end_ms, everyone))
    if not evaluation.max_users or len(cohort.user_U) <= evaluation.max_users:
        return cohort
    generator = np.random.default_rng(evaluation.seed)
    return cohort.of_users(generator.choice(cohort.user_U, evaluation.max_users, replace=False))
