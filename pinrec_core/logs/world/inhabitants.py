"""The synthetic world's inhabitants: pins and queries in a latent space, users with tastes that drift day by day.

Latent vectors live on the unit sphere around topic centres. A pin's style is a second latent part: clicks follow one
direction of it and saves another, so that the two outcomes prefer different pins of the same topic.
Suffixes: I pins, Q queries, U users, K interests per user, T topics, D latent, S style, F surfaces, L pins of a topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from pinrec_core.config import Positive, Section, Share

SURFACES = ("home", "related", "search")
AUDIENCE_F = np.array([0.9, 0.6, 0.5])  # share of users who ever use the surface
TRAFFIC_F = np.array([0.8, 0.6, 0.6])  # views relative to each other, for a user who uses the surface
INTERESTS = 3  # at most, per user
OLD_PINS = 3  # pins of each topic that exist from the first day, so that no topic is ever empty


class WorldConfig(Section):
    """Size and nature of a synthetic world; the same config gives the same bytes."""

    users: Positive = 2000
    items: Positive = 2000  # pins
    queries: Positive = 200
    topics: Positive = 20  # clusters of pins and queries in the latent space
    days: Positive = 14
    eval_days: Positive = 2  # the last days, for which truth.json holds; must agree with aggregate.eval_days
    first_day: date = date(2026, 1, 1)  # days are UTC days
    views_per_day: float = Field(default=1.2, gt=0)  # mean feed views of a user and day
    view_length: int = Field(default=8, ge=3)  # pins of a feed view, at most
    latent_dim: Positive = 8
    style_dim: Positive = 4
    content_dim: Positive = 24  # content vector = linear image of latent and style, plus noise
    content_noise: float = Field(default=0.15, ge=0)  # standard deviation, content entries being about 0.5
    new_item_share: Share = 0.25  # pins created after the first day
    drift: float = Field(default=0.06, ge=0)  # daily random step of an interest, per latent dimension
    switch: Share = 0.01  # daily probability that an interest moves to another topic
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.items < OLD_PINS * self.topics:
            raise ValueError(f"items {self.items} are too few for {self.topics} topics, {OLD_PINS} a topic are needed")
        if self.queries < self.topics:
            raise ValueError(f"queries {self.queries} are fewer than topics {self.topics}; every topic needs one")
        if self.topics < INTERESTS:
            raise ValueError(f"topics {self.topics} are fewer than the {INTERESTS} interests a user may have")
        if self.eval_days >= self.days:
            raise ValueError(f"eval_days {self.eval_days} leaves nothing of days {self.days} to learn from")
        return self


WORLDS = {"demo": WorldConfig(), "tiny": WorldConfig(users=300, items=400, queries=40, topics=8, days=8)}


@dataclass(frozen=True)
class Catalogue:
    """Pins and queries. A pin's `bias` says how readily recommenders show it."""

    topic_I: np.ndarray
    latent_ID: np.ndarray
    style_IS: np.ndarray
    bias_I: np.ndarray  # log popularity
    created_I: np.ndarray  # day of creation relative to the first day; negative = older
    content_IC: np.ndarray  # float32
    topic_Q: np.ndarray
    latent_QD: np.ndarray
    content_QC: np.ndarray
    centre_TD: np.ndarray
    topic_share_T: np.ndarray  # how common each topic is
    pins_T: tuple[np.ndarray, ...]  # pins of each topic
    queries_T: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Audience:
    """What stays the same about users: where and how often they look, which styles they click and save."""

    rate_UF: np.ndarray  # expected views per day, 0 = not this user's surface
    click_US: np.ndarray
    save_US: np.ndarray


@dataclass(frozen=True)
class Tastes:
    """Users' interests on one day."""

    topic_UK: np.ndarray
    vector_UKD: np.ndarray  # unit
    weight_UK: np.ndarray  # rows sum to 1; 0 = no such interest


def make_catalogue(world: WorldConfig, rng: np.random.Generator) -> Catalogue:
    """Draw topics, pins and queries."""
    centre_TD = unit(rng.standard_normal((world.topics, world.latent_dim)))
    share_T = rng.dirichlet(np.full(world.topics, 4.0))
    topic_I = np.concatenate([np.repeat(np.arange(world.topics), OLD_PINS),
                              rng.choice(world.topics, world.items - OLD_PINS * world.topics, p=share_T)])
    topic_Q = np.arange(world.queries) % world.topics
    latent_ID, latent_QD = _around(centre_TD[topic_I], 0.6, rng), _around(centre_TD[topic_Q], 0.4, rng)
    style_IS = (rng.standard_normal((world.items, world.style_dim)) / np.sqrt(world.style_dim)).astype(np.float32)
    image = rng.standard_normal((world.latent_dim + world.style_dim, world.content_dim)) / np.sqrt(2)
    plain_QS = np.zeros((world.queries, world.style_dim))  # a query has no style
    created_I = rng.integers(-60, 1, world.items)
    late_I = rng.random(world.items) < world.new_item_share
    late_I[: OLD_PINS * world.topics] = False
    created_I[late_I] = rng.integers(1, max(world.days, 2), late_I.sum())
    return Catalogue(
        topic_I, latent_ID, style_IS, rng.normal(0, 0.8, world.items), created_I,
        _content(latent_ID, style_IS, image, world, rng), topic_Q, latent_QD,
        _content(latent_QD, plain_QS, image, world, rng), centre_TD, share_T,
        tuple(np.flatnonzero(topic_I == t) for t in range(world.topics)),
        tuple(np.flatnonzero(topic_Q == t) for t in range(world.topics)))


def make_audience(world: WorldConfig, rng: np.random.Generator) -> Audience:
    """Draw who uses which surface how much, and the styles each user clicks and saves."""
    member_UF = rng.random((world.users, len(SURFACES))) < AUDIENCE_F
    member_UF[~member_UF.any(1), 0] = True
    rate_UF = member_UF * TRAFFIC_F * rng.lognormal(0, 0.5, (world.users, 1))
    rate_UF *= world.views_per_day * world.users / rate_UF.sum()
    click_S, save_S = np.linalg.qr(rng.standard_normal((max(world.style_dim, 2), 2)))[0].T[:, : world.style_dim]
    personal = rng.standard_normal((2, world.users, world.style_dim)) / np.sqrt(world.style_dim)
    click_US, save_US = 1.5 * (click_S - save_S) + personal[0], 1.5 * (save_S - click_S) + personal[1]
    return Audience(rate_UF, click_US.astype(np.float32), save_US.astype(np.float32))


def first_tastes(world: WorldConfig, catalogue: Catalogue, rng: np.random.Generator) -> Tastes:
    """Draw one to three interests in different topics for every user."""
    gumbel_UT = np.log(catalogue.topic_share_T) + rng.gumbel(size=(world.users, world.topics))
    topic_UK = np.argsort(-gumbel_UT, axis=1)[:, :INTERESTS]
    weight_UK = rng.dirichlet(np.full(INTERESTS, 3.0), world.users)
    weight_UK *= np.arange(INTERESTS) < rng.integers(1, INTERESTS + 1, (world.users, 1))
    vector_UKD = _around(catalogue.centre_TD[topic_UK], 0.4, rng)
    return Tastes(topic_UK, vector_UKD, weight_UK / weight_UK.sum(1, keepdims=True))


def next_tastes(tastes: Tastes, world: WorldConfig, catalogue: Catalogue, rng: np.random.Generator) -> Tastes:
    """Let a night pass: interests and their weights take a random step, a few interests move to another topic."""
    step_UKD = world.drift * rng.standard_normal(tastes.vector_UKD.shape)
    vector_UKD = unit(tastes.vector_UKD + step_UKD).astype(np.float32)
    weight_UK = tastes.weight_UK * np.exp(3 * world.drift * rng.standard_normal(tastes.weight_UK.shape))
    moved_UK = rng.random(tastes.topic_UK.shape) < world.switch
    topic_UK = np.where(moved_UK, rng.choice(world.topics, moved_UK.shape, p=catalogue.topic_share_T), tastes.topic_UK)
    fresh_UKD = _around(catalogue.centre_TD[topic_UK], 0.4, rng)
    return Tastes(topic_UK, np.where(moved_UK[..., None], fresh_UKD, vector_UKD),
                  weight_UK / weight_UK.sum(1, keepdims=True))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _around(centre: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors near unit centres; `spread` is the length of the noise relative to the centre's."""
    noise = rng.standard_normal(centre.shape) / np.sqrt(centre.shape[-1])
    return unit(centre + spread * noise).astype(np.float32)


def _content(latent: np.ndarray, style: np.ndarray, image: np.ndarray, world: WorldConfig,
             rng: np.random.Generator) -> np.ndarray:
    content = np.concatenate([latent, style], 1) @ image
    return (content + world.content_noise * rng.standard_normal(content.shape)).astype(np.float32)
