"""Outcome budgets: which share of the candidates each outcome gets, and integers that sum exactly.

Legend: Q queries, O groups of a level (outcomes, offsets, steps).
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


def query_budgets(total: int, *levels: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Integer budget of each query, [Q], summing to `total`: split over the groups of the first level, each of these
    over those of the next, and so on.

    A level is (group of each query, its share, alike within the group). Outcomes before offsets before steps keeps each
    outcome within one candidate of its share, however many queries ask for it. Queries alike on all levels share one
    budget, which falls to the first.
    """
    (group_Q, share_Q), below = levels[0], levels[1:]
    groups, first_O = np.unique(group_Q, return_index=True)
    order_O = np.argsort(first_O)
    budget_Q = np.zeros(len(group_Q), dtype=np.int64)
    for group, budget in zip(groups[order_O], split_budget(total, share_Q[first_O[order_O]]), strict=True):
        mine = np.flatnonzero(group_Q == group)
        if below:
            budget_Q[mine] = query_budgets(budget, *((keys[mine], shares[mine]) for keys, shares in below))
        else:
            budget_Q[mine[0]] = budget
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
