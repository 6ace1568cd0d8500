"""The learning rate of every step: a function of the step alone, so that a restart needs nothing but its number."""

from __future__ import annotations

import math

from pinrec_core.config import TrainConfig


def learning_rate(step: int, config: TrainConfig, steps: int) -> float:
    """The rate of a step, counted from 0, of so many: linear warm-up, then cosine to zero."""
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
