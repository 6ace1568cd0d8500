"""One simulated day: who opens which feed, what is shown there, what is done with it, as flat columns of events.

Suffixes as in inhabitants.py; V = feed views of the day, X = shown pins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinrec_core.logs.world.behaviour import (
    SOURCE_SHARE_FM,
    SOURCES,
    Today,
    affinity,
    draw_pins,
    draw_queries,
    hide_probability,
    reactions,
)
from pinrec_core.logs.world.inhabitants import SURFACES, Audience, Catalogue, Tastes, WorldConfig

ACTIONS = ("impression", "click", "save", "hide", "search")
RECENT = 5  # latest engaged pins from which a close-up is opened
MAX_VIEWS = 3  # of a user, day and surface
HOME, RELATED, SEARCH = range(len(SURFACES))
NO_CONTEXT = -1
SLOT_MS = 2000  # between impressions of a view
OPEN_MS, CLOSE_MS = 6 * 3_600_000, 23 * 3_600_000 + 1_800_000  # views start between these times of the day


@dataclass(frozen=True)
class Views:
    """Feed views of a day. `context_V` is a pin on related, a query on search, NO_CONTEXT on home."""

    user_V: np.ndarray
    surface_V: np.ndarray
    start_V: np.ndarray  # ms since midnight
    context_V: np.ndarray
    context_topic_V: np.ndarray
    context_VD: np.ndarray


@dataclass(frozen=True)
class Shown:
    """Impressions of a day and the times (ms since midnight) of what followed, -1 = did not happen."""

    view_X: np.ndarray
    pin_X: np.ndarray
    position_X: np.ndarray
    time_X: np.ndarray
    action_times: dict[str, np.ndarray]  # click, save, hide

    @property
    def positive_X(self) -> np.ndarray:
        """Whether the pin was clicked or saved."""
        return (self.action_times["click"] >= 0) | (self.action_times["save"] >= 0)


def open_views(world: WorldConfig, audience: Audience, catalogue: Catalogue, today: Today, recent_UR: np.ndarray,
               rng: np.random.Generator) -> Views:
    """Draw the day's feed views; a user without an engaged pin has no close-up to open."""
    count_UF = np.minimum(rng.poisson(audience.rate_UF), MAX_VIEWS)
    count_UF[recent_UR[:, 0] < 0, RELATED] = 0
    user_V = np.repeat(np.repeat(np.arange(world.users), len(SURFACES)), count_UF.ravel())
    surface_V = np.repeat(np.tile(np.arange(len(SURFACES)), world.users), count_UF.ravel())
    start_V = OPEN_MS + (rng.beta(2, 1.5, len(user_V)) * (CLOSE_MS - OPEN_MS)).astype(np.int64)
    context_V = np.full(len(user_V), NO_CONTEXT)
    topic_V = np.zeros(len(user_V), np.int64)
    context_VD = np.zeros((len(user_V), world.latent_dim), np.float32)
    v = np.flatnonzero(surface_V == RELATED)
    known_V = (recent_UR[user_V[v]] >= 0).sum(1)
    context_V[v] = recent_UR[user_V[v], (rng.random(len(v)) * known_V).astype(np.int64)]
    topic_V[v], context_VD[v] = catalogue.topic_I[context_V[v]], catalogue.latent_ID[context_V[v]]
    v = np.flatnonzero(surface_V == SEARCH)
    topic_V[v], interest_VD = _draw_interest(user_V[v], today.tastes, rng)
    context_V[v] = draw_queries(topic_V[v], interest_VD, catalogue, rng)
    context_VD[v] = catalogue.latent_QD[context_V[v]]
    return Views(user_V, surface_V, start_V, context_V, topic_V, context_VD)


def show_pins(views: Views, world: WorldConfig, audience: Audience, catalogue: Catalogue, today: Today,
              rng: np.random.Generator) -> Shown:
    """Fill the views with pins and draw each user's reactions."""
    length_V = rng.integers(3, world.view_length + 1, len(views.user_V))
    view_X = np.repeat(np.arange(len(length_V)), length_V)
    pin_X = _fill_slots(views, view_X, catalogue, today, rng)
    _, kept = np.unique(view_X * world.items + pin_X, return_index=True)  # a view shows a pin once
    kept.sort()
    view_X, pin_X = view_X[kept], pin_X[kept]
    start_V = np.searchsorted(view_X, np.arange(len(length_V)))
    position_X = np.arange(len(view_X)) - start_V[view_X]
    time_X = views.start_V[view_X] + position_X * SLOT_MS
    user_X = views.user_V[view_X]
    cosine = affinity(user_X, pin_X, today.tastes, catalogue)
    click, save = reactions(
        cosine, np.einsum("xs,xs->x", audience.click_US[user_X], catalogue.style_IS[pin_X]),
        np.einsum("xs,xs->x", audience.save_US[user_X], catalogue.style_IS[pin_X]), views.surface_V[view_X])
    draw = rng.random((3, len(pin_X)))
    clicked, saved = draw[0] < click, draw[1] < save
    happened = {"click": clicked, "save": saved, "hide": (draw[2] < hide_probability(cosine)) & ~clicked & ~saved}
    delay = {"click": 500, "save": 6000, "hide": 800}
    times = {name: np.where(mask, time_X + delay[name] + rng.integers(0, 5000, len(pin_X)), -1)
             for name, mask in happened.items()}
    return Shown(view_X, pin_X, position_X, time_X, times)


def remember(recent_UR: np.ndarray, views: Views, shown: Shown) -> np.ndarray:
    """The latest engaged pins of every user after the day, newest first, -1 where there is none."""
    x = np.flatnonzero(shown.positive_X)
    x = x[np.argsort(shown.time_X[x], kind="stable")]
    user_X, pin_X = views.user_V[shown.view_X[x]], shown.pin_X[x]
    old_user, column = np.nonzero(recent_UR >= 0)
    order = np.lexsort((-column, old_user))  # oldest first
    user = np.concatenate([old_user[order], user_X])
    pin = np.concatenate([recent_UR[old_user, column][order], pin_X])
    order = np.argsort(user, kind="stable")
    user, pin = user[order], pin[order]
    end_U = np.searchsorted(user, np.arange(len(recent_UR)), side="right")
    age = end_U[user] - 1 - np.arange(len(user))  # 0 = newest
    latest_UR = np.full_like(recent_UR, -1)
    latest_UR[user[age < RECENT], age[age < RECENT]] = pin[age < RECENT]
    return latest_UR


def _fill_slots(views: Views, view_X: np.ndarray, catalogue: Catalogue, today: Today,
                rng: np.random.Generator) -> np.ndarray:
    share_XM = np.cumsum(SOURCE_SHARE_FM, axis=1)[views.surface_V[view_X]]
    source_X = np.minimum((rng.random((len(view_X), 1)) >= share_XM).sum(1), len(SOURCES) - 1)
    topic_X, centre_XD = _draw_interest(views.user_V[view_X], today.tastes, rng)
    in_context = source_X == SOURCES.index("context")
    topic_X = np.where(in_context, views.context_topic_V[view_X], topic_X)
    centre_XD = np.where(in_context[:, None], views.context_VD[view_X], centre_XD)
    pin_X = np.empty(len(view_X), np.int64)
    chosen = np.flatnonzero(source_X <= SOURCES.index("context"))
    pin_X[chosen] = draw_pins(topic_X[chosen], centre_XD[chosen], catalogue, today.stock, rng)
    for source, probability_I in (("popular", today.stock.popular_I), ("explore", today.stock.explore_I)):
        chosen = np.flatnonzero(source_X == SOURCES.index(source))
        pin_X[chosen] = rng.choice(len(probability_I), len(chosen), p=probability_I)
    return pin_X


def _draw_interest(user_N: np.ndarray, tastes: Tastes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An interest of each row's user by weight: its topic and vector."""
    cumulated_NK = np.cumsum(tastes.weight_UK[user_N], axis=1)
    k_N = (rng.random((len(user_N), 1)) >= cumulated_NK[:, :-1]).sum(1)
    return tastes.topic_UK[user_N, k_N], tastes.vector_UKD[user_N, k_N]
