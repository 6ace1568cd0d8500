"""Where a training is: all that a restart must know beside weights, optimiser and random state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np


@dataclass
class Place:
    """So many batches into an epoch. Epochs count from 1; epoch 0 is the validation before the first, and no batch."""

    order: dict[str, Any]  # state of the generator that shuffles, as the epoch began: it gives the same order again
    epoch: int = 0
    position: int = 0  # batches of the epoch that are done
    step: int = 0  # batches of all epochs that are done
    bad_steps: int = 0
    losses: list[float] = field(default_factory=list)  # of the epoch's steps; nan where there was none or a bad one
    over: bool = False  # nothing is left to train: epochs, time or patience are used up

    @classmethod
    def first(cls, seed: int) -> Self:
        """Before anything is done."""
        return cls(np.random.default_rng(seed).bit_generator.state)

    def shuffler(self) -> np.random.Generator:
        """A generator as it was when the epoch began."""
        generator = np.random.default_rng()
        generator.bit_generator.state = self.order
        return generator

    def advance(self, loss: float) -> None:
        """One more batch is done."""
        self.position, self.step = self.position + 1, self.step + 1
        self.losses.append(loss)

    def turn(self, shuffler: np.random.Generator) -> None:
        """The epoch is done; the next one shuffles with what this one has left of the generator."""
        self.epoch, self.position, self.losses = self.epoch + 1, 0, []
        self.order = shuffler.bit_generator.state

    @property
    def mean_loss(self) -> float | None:
        """Of the epoch's good steps; None without any."""
        return None if all(map(math.isnan, self.losses)) else float(np.nanmean(self.losses))
