"""One step: loss, gradient, and the update if both are finite."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.gradients import clip_gradients, sum_gradients
from pinrec_core.training.objective import Objective
from pinrec_core.training.optimizer import optimizer_of
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.schedule import learning_rate


class Taken(NamedTuple):
    """What a step came to."""

    loss: float
    norm: float  # of the gradient, before it is clipped
    rate: float  # learning rate

    @property
    def bad(self) -> bool:
        """Loss or gradient was not finite, and the weights are as they were."""
        return not (math.isfinite(self.loss) and math.isfinite(self.norm))


class Update:
    """Objective, optimiser and schedule of one training of so many steps."""

    def __init__(self, model: PinRec, config: TrainConfig, steps: int, ranks: Ranks = ALONE):
        self.model, self.config, self.steps, self.ranks = model, config, steps, ranks
        self.objective = Objective(model, config, ranks)
        self.optimizer = optimizer_of(model, config)

    def __call__(self, batch: TrainingBatch, step: int) -> Taken | None:
        """Take the step of this number, counted from 0; None for a batch without targets, of which nothing is learned.

        Nothing is ever updated from a loss or a gradient that is not finite.
        """
        rate = learning_rate(step, self.config, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["of_rate"]
        if not self.ranks.any(len(batch.targets.item_N) > 0):
            return None
        loss = self.objective(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = list(self.model.parameters())
        loss = sum_gradients(parameters, loss, self.ranks)
        norm = clip_gradients(parameters, self.config.grad_clip, self.ranks)
        taken = Taken(loss.item(), norm.item(), rate)
        if not taken.bad:
            self.optimizer.step()
        return taken

    def state_dict(self) -> dict[str, Any]:
        """What the steps so far have left, beside the model's weights."""
        return {"optimizer": self.optimizer.state_dict(), "sketch": self.objective.sketch.state_dict(),
                "negatives": self.objective.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.sketch.load_state_dict(state["sketch"])
        self.objective.generator.set_state(state["negatives"])
