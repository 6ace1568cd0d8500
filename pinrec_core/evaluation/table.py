"""From answers to numbers: one column of per-user values per (row, metric), and what is said about each column.

Legend: U users of the cohort, T targets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pinrec_core.config import EvaluationConfig
from pinrec_core.evaluation.bootstrap import Estimate, estimates
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.metrics import hit_rate, recall, user_means
from pinrec_core.evaluation.slices import Slices
from pinrec_core.evaluation.subject import Answers

MODEL, LIVE = "pinrec", "live"  # row names of the candidate and of the live release
DIFFERENCE = "difference"  # first part of the key of a column that is the candidate minus another row


@dataclass
class Table:
    """Per-user columns by key, collected first and estimated together so that all share their resamples."""

    cohort: Cohort
    ks: tuple[int, ...]
    columns: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict)

    def add(self, row: str, answers: Answers) -> None:
        """Columns (row, metric) over all targets."""
        for metric, value_U in self._values(answers, np.ones(len(self.cohort.request_T), bool)).items():
            self.columns[row, metric] = value_U

    def add_slices(self, row: str, answers: Answers, slices: Slices) -> None:
        """Columns (row, kind, name, metric) over the targets of each slice; users without one there are NaN."""
        for kind, named in slices.items():
            for name, wanted_T in named.items():
                for metric, value_U in self._values(answers, wanted_T).items():
                    self.columns[row, kind, name, metric] = value_U

    def add_differences(self, row: str, others: list[str]) -> None:
        """Columns ("difference", other, ...): the row minus another, user by user, where both have such a column."""
        for key in [key for key in self.columns if key[0] in others]:
            mine = self.columns.get((row, *key[1:]))
            if mine is not None:
                self.columns[DIFFERENCE, *key] = mine - self.columns[key]

    def estimated(self, evaluation: EvaluationConfig) -> dict[tuple[str, ...], Estimate]:
        """Mean, interval and n of every column."""
        value_UC = np.stack(list(self.columns.values()), axis=1)
        found = estimates(value_UC, evaluation.bootstrap_samples, evaluation.confidence, evaluation.seed)
        return dict(zip(self.columns, found, strict=True))

    def _values(self, answers: Answers, wanted_T: np.ndarray) -> dict[str, np.ndarray]:
        """Per-user recall, hit rate and, for a model, unordered recall at every k over the wanted targets."""
        request_T, requests = self.cohort.request_T[wanted_T], len(self.cohort)
        measures = [("recall", recall, answers.rank_T), ("hit_rate", hit_rate, answers.rank_T),
                    ("unordered_recall", recall, answers.best_rank_T)]
        return {f"{name}@{k}": user_means(measure(rank_T[wanted_T], request_T, requests, k), self.cohort.row_R,
                                          len(self.cohort.user_U))
                for name, measure, rank_T in measures if rank_T is not None for k in self.ks}
