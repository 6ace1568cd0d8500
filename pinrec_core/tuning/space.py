"""The space that [tune.ranges] spans: what is drawn from it, and the configuration that a draw gives.

Every draw follows from the seed and its number alone. So a tuning that was killed draws the same again, and one that is
given more trials goes on where it was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from pinrec_core.config import Config, Range
from pinrec_core.config.tune import Value
from pinrec_core.errors import ConfigError, explain

MOST_CORNERS = 1024  # checked all together; of more, each range's ends alone
Values = dict[str, Value]


def distributions(config: Config) -> dict[str, BaseDistribution]:
    """Optuna's words for [tune.ranges], sorted by name: the order in which they are drawn."""
    known = config.tunable()
    return {key: _distribution(declared, known[key]) for key, declared in sorted(config.tune.ranges.items())}


def drawn(config: Config, count: int) -> list[Values]:
    """The first `count` draws of the seed; more of them begin with the same ones."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(config.tune.seed))
    space = distributions(config)
    return [study.ask(space).params for _ in range(count)]


def configured(config: Config, values: dict[str, Any]) -> Config:
    """The configuration with other values at some dotted names. Raises ConfigError naming values and limit."""
    content = config.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        *path, name = key.split(".")
        section = content
        for part in path:
            section = section[part]
        section[name] = value
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"tune: with {spelled(values)}: {explain(Config, error)}") from error


def check_space(config: Config, draws: list[Values]) -> None:
    """Make the configuration of every corner and of every draw. Raises ConfigError at the first that is none."""
    for values in itertools.chain(_corners(config.tune.ranges), draws):
        configured(config, values)


def spelled(values: dict[str, Any]) -> str:
    """For people."""
    return ", ".join(f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
                     for key, value in values.items())


def _distribution(declared: Range, now: Any) -> BaseDistribution:
    if declared.choices:
        return CategoricalDistribution(declared.choices)
    whole = isinstance(declared.low, int) and isinstance(declared.high, int) and not isinstance(now, float)
    if whole:
        return IntDistribution(declared.low, declared.high, log=declared.log, step=declared.step or 1)
    return FloatDistribution(float(declared.low), float(declared.high), log=declared.log, step=declared.step)


def _corners(ranges: dict[str, Range]) -> Iterator[Values]:
    ends = {key: declared.ends for key, declared in ranges.items()}
    if math.prod(map(len, ends.values())) <= MOST_CORNERS:
        yield from (dict(zip(ends, corner, strict=True)) for corner in itertools.product(*ends.values()))
    else:
        yield from ({key: end} for key, tried in ends.items() for end in tried)
