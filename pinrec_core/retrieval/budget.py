"""Outcome budgets: which share of the candidates each outcome gets, and integers that sum exactly.

Legend: Q queries, O outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pinrec_core.config import GenerationConfig, LogConfig
from pinrec_core.errors import ConfigError

Shares = Mapping[str, float]  # action name -> share
_ROUNDING = 9  # decimals kept of a remainder, so that float noise never decides a tie


def split_budget(total: int, shares: Sequence[float]) -> list[int]:
    """Split `total` by shares into integers that sum to it: largest remainder, ties to the earlier share.

    Shares need not be normalised. Raises ConfigError if one is negative or not finite, or if all are zero.

    >>> split_budget(10, [0.5, 0.25, 0.25])
    [5, 3, 2]
    >>> split_budget(1, [0.5, 0.5])
    [1, 0]
    """
    share_Q = np.asarray(shares, dtype=np.float64)
    if total < 0:
        raise ConfigError(f"a budget of {total} candidates cannot be split; ask for 0 or more")
    if not np.isfinite(share_Q).all() or (share_Q < 0).any() or share_Q.sum() <= 0:
        raise ConfigError(f"shares {list(shares)} cannot split a budget; give numbers >= 0, at least one above 0")
    quota_Q = total * share_Q / share_Q.sum()
    whole_Q = np.floor(quota_Q + 10.0**-_ROUNDING).astype(np.int64)
    order_Q = np.argsort(-np.round(quota_Q - whole_Q, _ROUNDING), kind="stable")
    whole_Q[order_Q[: total - int(whole_Q.sum())]] += 1
    return whole_Q.tolist()


def query_budgets(total: int, share_Q: np.ndarray, outcome_Q: np.ndarray, decay_Q: np.ndarray) -> np.ndarray:
    """Integer budget of each generated query, [Q]: `total` is split over outcomes first, then over their steps.

    In that order each outcome's budget is within one candidate of its share, however many steps there are.
    `share_Q` repeats the outcome's share, `decay_Q` weighs the steps.
    """
    outcomes, first_O = np.unique(outcome_Q, return_index=True)
    order_O = np.argsort(first_O)
    per_outcome = split_budget(total, share_Q[first_O[order_O]])
    budget_Q = np.zeros(len(outcome_Q), dtype=np.int64)
    for outcome, budget in zip(outcomes[order_O], per_outcome, strict=True):
        mine_Q = outcome_Q == outcome
        budget_Q[mine_Q] = split_budget(budget, decay_Q[mine_Q])
    return budget_Q


def resolve_shares(surface: str, log: LogConfig, generation: GenerationConfig, trained: Mapping[str, Shares],
                   asked: Shares | None = None) -> dict[str, float]:
    """Outcome shares of a request: what was asked, else configured for the surface, else seen in training, else equal.

    Returns shares above 0 that sum to 1, largest first (ties by action code), keyed by action name. Raises ConfigError
    for an action that is not positive or shares that cannot split a budget.
    """
    shares = asked or generation.budgets.get(surface) or trained.get(surface) or {}
    positive = log.positive_actions
    for action, share in shares.items():
        if action not in positive:
            raise ConfigError(f"outcome {action!r} cannot be retrieved for; positive actions are {list(positive)}")
        if not 0 <= share < float("inf"):
            raise ConfigError(f"outcome {action!r} has share {share}; give a number >= 0")
    total = sum(shares.values())
    if asked and total <= 0:
        raise ConfigError(f"outcome shares {dict(asked)} sum to 0; give at least one above 0")
    if total <= 0:
        return dict.fromkeys(positive, 1 / len(positive))
    kept = [action for action in positive if shares.get(action, 0) > 0]
    return {action: shares[action] / total for action in sorted(kept, key=lambda action: -shares[action])}
