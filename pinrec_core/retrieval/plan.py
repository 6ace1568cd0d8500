"""What a batch is asked and what each of its queries therefore asks for: outcomes, time offsets, steps, their shares.

Legend: B requests, O outcomes, F time offsets asked for, G steps, Q = G * O * F queries (step-major, then outcome, then
offset).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pinrec_core.config import GenerationConfig, ModelConfig
from pinrec_core.errors import ConfigError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.retrieval.budget import query_budgets


class Question(NamedTuple):
    """What all requests of a batch are asked."""

    surface: str
    shares: Mapping[str, float]  # positive action -> share of the candidates, > 0, largest first
    time_B: np.ndarray  # int64 UTC ms of each request


@dataclass(frozen=True)
class Plan:
    """What queries ask for, in generation order: by step, larger outcome shares first, sooner first."""

    outcome_Q: np.ndarray  # action bit number each query asks for
    offset_Q: np.ndarray  # time-offset bucket, counted from the request: 0 = "now"
    step_Q: np.ndarray  # from 0
    share_Q: np.ndarray  # share of the query's outcome
    offset_share_Q: np.ndarray  # share of the query's offset
    decay_Q: np.ndarray  # step_decay ** step
    _budgets: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def budget_Q(self, total: int) -> np.ndarray:
        """Candidates each query may claim of `total`: split over outcomes, then offsets, then steps."""
        if total not in self._budgets:
            self._budgets[total] = query_budgets(total, (self.outcome_Q, self.share_Q),
                                                 (self.offset_Q, self.offset_share_Q), (self.step_Q, self.decay_Q))
        return self._budgets[total]


def outcomes_of(model: PinRec, question: Question) -> np.ndarray:
    """Action bit numbers of the outcomes asked for, [O]."""
    return np.array([model.log.positive_actions.index(action) for action in question.shares], np.int64)


def asked_offsets(model: ModelConfig, generation: GenerationConfig) -> tuple[np.ndarray, list[float]]:
    """The time offsets with a share, soonest first, and their shares; all alike unless configured.

    Raises ConfigError if the shares are not one per offset the model knows.
    """
    shares = generation.offset_shares or (1 / model.offset_buckets,) * model.offset_buckets
    if len(shares) != model.offset_buckets:
        raise ConfigError(f"generation.offset_shares {list(shares)} are {len(shares)}, the model has "
                          f"{model.offset_buckets} time offsets; give one share each, or none for equal shares")
    asked = [offset for offset, share in enumerate(shares) if share > 0]
    return np.array(asked, np.int64), [shares[offset] for offset in asked]
