"""Does asking for an outcome find what has it? The same requests are put with other outcome shares.

    lift     all candidates for one outcome: recall on targets of each real outcome, over that with the usual shares
    pareto   from all candidates for the second outcome to all for the first: recall on the targets of both

Legend: R requests, T targets, U users, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.bootstrap import estimates
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.metrics import recall, target_ranks, user_means
from pinrec_core.evaluation.subject import Translation
from pinrec_core.retrieval.retriever import Retriever

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the first of two outcomes
MOST_OUTCOMES = 4  # the most frequent among the targets
LEAST_USERS = 20  # with targets of an outcome, below which nothing is said about it
MOST_SAMPLES = 400  # resamples behind an interval: it is looked at, nothing is decided by it


@dataclass(frozen=True)
class _Asked:
    """Requests that are put again and again."""

    retriever: Retriever
    dataset: Dataset
    cohort: Cohort
    translation: Translation
    k: int

    def recall(self, shares: Mapping[str, float] | None, outcomes: list[str]) -> np.ndarray:
        """Recall per user on the targets of each real outcome, [U, C]; NaN for a user without such a target."""
        cohort, limit = self.cohort, self.retriever.model.config.max_length
        histories = [self.translation.history(h) for h in cohort.histories(self.dataset, 0, len(cohort), limit)]
        found = self.retriever.retrieve(histories, cohort.surface, cohort.requests.time_R, shares=shares, n=self.k)
        rank_T = target_ranks(self.translation.items(found.item_RN), cohort.request_T, cohort.item_T)
        columns = []
        for outcome in outcomes:
            mine_T = _has(self.dataset, cohort, outcome)
            value_R = recall(rank_T[mine_T], cohort.request_T[mine_T], len(cohort), self.k)
            columns.append(user_means(value_R, cohort.row_R, len(cohort.user_U)))
        return np.stack(columns, axis=1)


def outcomes(retriever: Retriever, dataset: Dataset, cohort: Cohort, translation: Translation,
             evaluation: EvaluationConfig) -> dict[str, Any] | None:
    """{"k", "n_users", "outcomes", "usual", "lift", "pareto"}; None if fewer than two outcomes have enough users."""
    names = _frequent(dataset, cohort, retriever.model.log.positive_actions)
    if len(names) < 2:
        return None
    k = sorted(evaluation.ks)[len(evaluation.ks) // 2]
    asked = _Asked(retriever, dataset, cohort, translation, k)
    usual_UC = asked.recall(None, names)
    alone = {name: asked.recall({name: 1.0}, names) for name in names}
    first, second = names[:2]
    steps = {0.0: alone[second], 1.0: alone[first]}
    steps |= {share: asked.recall({first: share, second: 1 - share}, names) for share in SHARES if 0 < share < 1}
    usual = _means(usual_UC, evaluation)
    return {"k": k, "n_users": len(cohort.user_U), "outcomes": names, "usual": usual,
            "lift": [_lift(_means(alone[name], evaluation), usual) for name in names],
            "pareto": {"outcomes": [first, second], "usual": usual[:2],
                       "points": [{"share": share, "recall": _means(steps[share][:, :2], evaluation)}
                                  for share in SHARES]}}


def _frequent(dataset: Dataset, cohort: Cohort, positive: tuple[str, ...]) -> list[str]:
    """Outcomes that enough users have targets of, most frequent first, as far as the model knows them."""
    users = {name: len(np.unique(cohort.row_R[cohort.request_T[_has(dataset, cohort, name)]]))
             for name in dataset.log.positive_actions if name in positive}
    enough = (name for name, n in users.items() if n >= LEAST_USERS)
    return sorted(enough, key=lambda name: -users[name])[:MOST_OUTCOMES]


def _has(dataset: Dataset, cohort: Cohort, outcome: str) -> np.ndarray:
    return (cohort.actions_T >> dataset.log.action_names.index(outcome) & 1).astype(bool)


def _means(value_UC: np.ndarray, evaluation: EvaluationConfig) -> list[dict[str, Any]]:
    samples = min(MOST_SAMPLES, evaluation.bootstrap_samples)
    found = estimates(value_UC, samples, evaluation.confidence, evaluation.seed)
    return [{"value": round(e.value, 5), "low": round(e.low, 5), "high": round(e.high, 5), "n": e.n} for e in found]


def _lift(mine: list[dict[str, Any]], usual: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each recall over the usual one; None where that is 0."""
    return [cell | {"lift": round(cell["value"] / base["value"], 4) if base["value"] else None}
            for cell, base in zip(mine, usual, strict=True)]
