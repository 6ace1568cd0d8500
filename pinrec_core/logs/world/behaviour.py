"""How the synthetic world's recommenders choose pins and how its users react: probabilities, shared by the simulation
(which draws from them) and the oracle (which ranks by them).

Each slot of a feed comes from one source: the user's taste, the context the feed answers (query or close-up pin), plain
popularity, or exploration. Taste and context choose within one topic: softmax of SHARPNESS * cosine + the pin's bias.
Suffixes as in inhabitants.py; N = draws, B = users of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pinrec_core.logs.world.inhabitants import Audience, Catalogue, Tastes

SOURCES = ("taste", "context", "popular", "explore")
SOURCE_SHARE_FM = np.array([[0.75, 0.00, 0.15, 0.10],  # home
                            [0.15, 0.70, 0.10, 0.05],  # related
                            [0.05, 0.80, 0.10, 0.05]])  # search
SHARPNESS = 12.0  # of a recommender's choice within a topic
QUERY_SHARPNESS = 6.0  # of a user's choice among the queries of a topic
CLICK_BASE_F = np.array([-1.5, -0.9, -1.7], np.float32)  # log odds of a click on a pin of the user's own taste
SAVE_BASE_F = np.array([-2.3, -2.6, -1.2], np.float32)
HIDE_BASE = -4.5
AFFINITY_GAIN = 5.0  # log odds per unit of cosine between pin and nearest interest
GOOD_AFFINITY = 0.85  # cosine at which the base odds hold


@dataclass(frozen=True)
class Stock:
    """The pins that exist on one day: log weights for the recommenders, -inf before a pin's creation."""

    weight_I: np.ndarray
    popular_I: np.ndarray  # probability of each pin under "popular"
    explore_I: np.ndarray  # and under "explore"

    @classmethod
    def on_day(cls, catalogue: Catalogue, day: int) -> Stock:
        """Pins created on or before `day`; those of the last two days are pushed a little."""
        alive_I = catalogue.created_I <= day
        fresh_I = alive_I & (catalogue.created_I > day - 2) & (catalogue.created_I > 0)
        popular_I = alive_I * np.exp(1.5 * catalogue.bias_I)
        weight_I = np.where(alive_I, 0.5 * catalogue.bias_I + 1.0 * fresh_I, -np.inf).astype(np.float32)
        return cls(weight_I, popular_I / popular_I.sum(),
                   alive_I / alive_I.sum())


class Today(NamedTuple):
    """What changes from day to day: the users' tastes and the pins that exist."""

    tastes: Tastes
    stock: Stock


def draw_pins(topic_N: np.ndarray, centre_ND: np.ndarray, catalogue: Catalogue, stock: Stock,
              rng: np.random.Generator) -> np.ndarray:
    """One pin per row from the row's topic, by the softmax around the row's centre."""
    pin_N = np.empty(len(topic_N), np.int64)
    for t, row in _rows_by_topic(topic_N, len(catalogue.pins_T)):
        score = pin_scores(t, centre_ND[row], catalogue, stock)
        pin_N[row] = catalogue.pins_T[t][_draw_from(score, rng)]
    return pin_N


def draw_queries(topic_N: np.ndarray, centre_ND: np.ndarray, catalogue: Catalogue,
                 rng: np.random.Generator) -> np.ndarray:
    """One query per row from the row's topic, nearer to the row's interest more often."""
    query_N = np.empty(len(topic_N), np.int64)
    for t, row in _rows_by_topic(topic_N, len(catalogue.queries_T)):
        query_N[row] = catalogue.queries_T[t][_draw_from(query_scores(t, centre_ND[row], catalogue), rng)]
    return query_N


def pin_scores(t: int, centre_ND: np.ndarray, catalogue: Catalogue, stock: Stock) -> np.ndarray:
    """Log weights [N, L] of the pins of topic t around each centre."""
    pins = catalogue.pins_T[t]
    return SHARPNESS * (centre_ND @ catalogue.latent_ID[pins].T) + stock.weight_I[pins]


def query_scores(t: int, centre_ND: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Log weights [N, queries of topic t] of the queries around each centre."""
    return QUERY_SHARPNESS * (centre_ND @ catalogue.latent_QD[catalogue.queries_T[t]].T)


def affinity(user_N: np.ndarray, pin_N: np.ndarray, tastes: Tastes, catalogue: Catalogue) -> np.ndarray:
    """Cosine of each pin with its user's nearest interest."""
    cosine_NK = np.einsum("nkd,nd->nk", tastes.vector_UKD[user_N], catalogue.latent_ID[pin_N])
    return np.where(tastes.weight_UK[user_N] > 0, cosine_NK, -1).max(1)


def affinity_matrix(user_B: np.ndarray, tastes: Tastes, catalogue: Catalogue) -> np.ndarray:
    """Cosine [B, I] of every pin with each user's nearest interest."""
    best_BI = np.full((len(user_B), len(catalogue.topic_I)), -1, np.float32)
    for k in range(tastes.topic_UK.shape[1]):
        cosine_BI = tastes.vector_UKD[user_B, k] @ catalogue.latent_ID.T
        cosine_BI[tastes.weight_UK[user_B, k] == 0] = -1
        np.maximum(best_BI, cosine_BI, out=best_BI)
    return best_BI


def reactions(cosine: np.ndarray, click_style: np.ndarray, save_style: np.ndarray,
              surface: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of click and save, given affinity (cosine) and the user's liking of the pin's style."""
    liking = AFFINITY_GAIN * (cosine - GOOD_AFFINITY)
    return (_sigmoid(liking + (click_style + CLICK_BASE_F[surface])),
            _sigmoid(liking + (save_style + SAVE_BASE_F[surface])))


def hide_probability(cosine: np.ndarray) -> np.ndarray:
    """Probability of a hide, for a pin neither clicked nor saved."""
    return _sigmoid(HIDE_BASE - 0.5 * AFFINITY_GAIN * (cosine - GOOD_AFFINITY))


def positive_matrix(user_B: np.ndarray, surface: int, tastes: Tastes, audience: Audience,
                    catalogue: Catalogue) -> np.ndarray:
    """Probability [B, I] that a shown pin is clicked or saved."""
    click, save = reactions(affinity_matrix(user_B, tastes, catalogue),
                            audience.click_US[user_B] @ catalogue.style_IS.T,
                            audience.save_US[user_B] @ catalogue.style_IS.T, surface)
    return 1 - (1 - click) * (1 - save)


def softmax(score_NL: np.ndarray) -> np.ndarray:
    """Rows of probabilities."""
    weight = np.exp(score_NL - score_NL.max(1, keepdims=True))
    return weight / weight.sum(1, keepdims=True)


def _rows_by_topic(topic_N: np.ndarray, topics: int):
    order = np.argsort(topic_N, kind="stable")
    bounds = np.searchsorted(topic_N[order], np.arange(topics + 1))
    for t in range(topics):
        if bounds[t] < bounds[t + 1]:
            yield t, order[bounds[t]: bounds[t + 1]]


def _draw_from(score_NL: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A column per row with probability softmax(score), by adding Gumbel noise."""
    exponential = rng.standard_exponential(score_NL.shape, np.float32) + np.float32(1e-30)
    return np.argmax(score_NL - np.log(exponential), axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
