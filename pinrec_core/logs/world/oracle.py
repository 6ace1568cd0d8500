"""What recall a synthetic world allows: the floor (popularity) and the ceiling (the generator's own best guess).

Both answer what evaluate asks: for every user with a click or save on a surface in the evaluation window, which pins?
Recall@k = mean over these users of (their target pins among the k ranked) / (their target pins). n is written with it.

- popularity: pins by clicked-or-saved impressions before the window, over all surfaces; the same list for everyone.
- oracle: pins by the expected number of engaged impressions of this user on this surface in the window. It knows the
  user's true tastes on each day of the window, the pins, and the rules of recommenders and users; it does not know the
  random draws: neither which pins were shown, nor which queries were asked or which close-ups were opened. Queries are
  averaged over what the user may ask; close-ups over the user's latest engaged pins when the window begins (later
  ones depend on draws), and over the user's tastes if there are none.

So the oracle is a ceiling for any ranking made from what lies before the window, up to the luck of the draws.
Suffixes as in inhabitants.py; B = users of a block, P = (user, pin) pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinrec_core.logs.world.behaviour import (
    SOURCE_SHARE_FM,
    Stock,
    Today,
    pin_scores,
    positive_matrix,
    query_scores,
    softmax,
)
from pinrec_core.logs.world.day import RECENT, RELATED, SEARCH
from pinrec_core.logs.world.inhabitants import SURFACES, Audience, Catalogue, Tastes

KS = (10, 50)
BLOCK = 512  # users ranked at a time


@dataclass(frozen=True)
class Window:
    """The evaluation window as the generator knows it."""

    days: list[Today]
    recent_UR: np.ndarray  # latest engaged pins when it begins
    pairs: list[np.ndarray]  # per surface: distinct [P, 2] of user and engaged pin


def truth(audience: Audience, catalogue: Catalogue, window: Window, engaged_I: np.ndarray) -> dict[str, dict]:
    """Per surface {"popularity": {"recall@10", "recall@50"}, "oracle": {...}, "users": n}.

    `engaged_I` counts each pin's engaged impressions before the window.
    """
    popular_K = np.argsort(-engaged_I, kind="stable")[: max(KS)]
    result = {}
    for f, surface in enumerate(SURFACES):
        pairs_P2 = window.pairs[f]
        users = np.unique(pairs_P2[:, 0])
        ranked = [_rank(users[start: start + BLOCK], f, audience, catalogue, window)
                  for start in range(0, len(users), BLOCK)]
        result[surface] = {"popularity": recalls(np.broadcast_to(popular_K, (len(users), len(popular_K))), pairs_P2),
                           "oracle": recalls(np.concatenate(ranked), pairs_P2) if ranked else {}, "users": len(users)}
    return result


def recalls(ranked_BK: np.ndarray, pairs_P2: np.ndarray) -> dict[str, float]:
    """Mean recall@k of ranked pins; row b belongs to the b-th smallest user in the (user, target pin) pairs."""
    if not len(pairs_P2):
        return {}
    _, row_P = np.unique(pairs_P2[:, 0], return_inverse=True)
    hit_PK = ranked_BK[row_P] == pairs_P2[:, 1:]
    targets_B = np.bincount(row_P)
    return {f"recall@{k}": round(float((np.bincount(row_P, hit_PK[:, :k].any(1)) / targets_B).mean()), 4) for k in KS}


def _rank(user_B: np.ndarray, surface: int, audience: Audience, catalogue: Catalogue, window: Window) -> np.ndarray:
    """The max(KS) pins of highest expected engagement in the window, best first."""
    expected_BI = np.zeros((len(user_B), len(catalogue.topic_I)), np.float32)
    for today in window.days:
        shown_BI = _exposure(user_B, surface, catalogue, today, window.recent_UR)
        expected_BI += shown_BI * positive_matrix(user_B, surface, today.tastes, audience, catalogue)
    return _best(expected_BI, max(KS))


def _best(score_BI: np.ndarray, k: int) -> np.ndarray:
    """The k highest columns of each row, best first."""
    k = min(k, score_BI.shape[1])
    top_BK = np.argpartition(-score_BI, k - 1, axis=1)[:, :k]
    order_BK = np.argsort(-np.take_along_axis(score_BI, top_BK, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top_BK, order_BK, axis=1)


def _exposure(user_B: np.ndarray, surface: int, catalogue: Catalogue, today: Today,
              recent_UR: np.ndarray) -> np.ndarray:
    """Probability [B, I] that a slot of the surface shows each pin, averaged over everything drawn at random."""
    tastes, stock = today
    taste, context, popular, explore = SOURCE_SHARE_FM[surface]
    by_taste_BI = _by_taste(user_B, tastes, catalogue, stock)
    shown_BI = taste * by_taste_BI + popular * stock.popular_I + explore * stock.explore_I
    if surface == SEARCH:
        shown_BI += context * _by_query(user_B, tastes, catalogue, stock)
    elif surface == RELATED:
        shown_BI += context * _by_close_up(recent_UR[user_B], by_taste_BI, catalogue, stock)
    return shown_BI


def _by_taste(user_B: np.ndarray, tastes: Tastes, catalogue: Catalogue, stock: Stock) -> np.ndarray:
    result_BI = np.zeros((len(user_B), len(catalogue.topic_I)), np.float32)
    for k in range(tastes.topic_UK.shape[1]):
        for t, row in _rows_of(tastes.topic_UK[user_B, k]):
            chance = softmax(pin_scores(t, tastes.vector_UKD[user_B[row], k], catalogue, stock))
            result_BI[np.ix_(row, catalogue.pins_T[t])] += tastes.weight_UK[user_B[row], k, None] * chance
    return result_BI


def _by_query(user_B: np.ndarray, tastes: Tastes, catalogue: Catalogue, stock: Stock) -> np.ndarray:
    result_BI = np.zeros((len(user_B), len(catalogue.topic_I)), np.float32)
    for k in range(tastes.topic_UK.shape[1]):
        for t, row in _rows_of(tastes.topic_UK[user_B, k]):
            asked = softmax(query_scores(t, tastes.vector_UKD[user_B[row], k], catalogue))
            answer = softmax(pin_scores(t, catalogue.latent_QD[catalogue.queries_T[t]], catalogue, stock))
            result_BI[np.ix_(row, catalogue.pins_T[t])] += tastes.weight_UK[user_B[row], k, None] * (asked @ answer)
    return result_BI


def _by_close_up(recent_BR: np.ndarray, by_taste_BI: np.ndarray, catalogue: Catalogue, stock: Stock) -> np.ndarray:
    known_B = (recent_BR >= 0).sum(1)
    result_BI = np.where(known_B[:, None] == 0, by_taste_BI, np.float32(0))
    for r in range(RECENT):
        has = np.flatnonzero(recent_BR[:, r] >= 0)
        pin = recent_BR[has, r]
        for t, row in _rows_of(catalogue.topic_I[pin]):
            chance = softmax(pin_scores(t, catalogue.latent_ID[pin[row]], catalogue, stock))
            result_BI[np.ix_(has[row], catalogue.pins_T[t])] += chance / known_B[has[row], None]
    return result_BI


def _rows_of(topic_N: np.ndarray) -> list[tuple[int, np.ndarray]]:
    return [(int(t), np.flatnonzero(topic_N == t)) for t in np.unique(topic_N)]
