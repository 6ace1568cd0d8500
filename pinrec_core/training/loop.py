"""The training loop: steps, schedule, validation, early stop, best weights, JSON-lines metrics, a progress line."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from pinrec_core.config import TrainConfig
from pinrec_core.data.windows import TrainingSet
from pinrec_core.errors import DataError, TrainingError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.gradients import clip_gradients, sum_gradients
from pinrec_core.training.objective import Objective
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")
TRANSITION_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # tried on validation
PROGRESS_S = 10.0  # seconds between progress lines


@dataclass
class Fit:
    """One training run in progress."""

    stage: str
    model: PinRec
    data: TrainingSet
    validation: Validation
    config: TrainConfig
    metrics_path: Path
    deadline: float = math.inf  # time.monotonic() after which no further epoch is begun
    ranks: Ranks = ALONE  # the processes that train together
    step: int = 0
    bad_steps: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def run(self) -> None:
        """Train until epochs or time are over or validation stops improving; the model ends with its best weights.

        Raises DataError without anything to train on, TrainingError when the loss stays non-finite.
        """
        if not len(self.data.row_G):
            raise DataError(f"{self.stage}: no training targets; check the window, the surface and the user split")
        torch.manual_seed(self.config.seed + self.ranks.rank)  # dropout of its own for each rank's rows
        generator = np.random.default_rng(self.config.seed)
        objective = Objective(self.model, self.config, self.ranks)
        optimizer = optimizer_of(self.model, self.config)
        progress = Progress(self.stage, self.config.epochs * self.steps)
        self._validate(0)
        for epoch in range(1, self.config.epochs + 1):
            self.model.train()
            losses = [self._step(objective, optimizer, batch, progress)
                      for batch in self.data.batches(self.config.batch_size, generator, self.ranks.rows)]
            self._record({"epoch": epoch, "step": self.step, "loss": float(np.nanmean(losses)),
                          "tau": 1 / self.model.scale.item(), "bad_steps": self.bad_steps})
            if self._validate(epoch) or self.ranks.any(time.monotonic() > self.deadline):
                break
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        self._weigh_transitions()

    @property
    def steps(self) -> int:
        """Steps of one epoch."""
        return self.data.steps(self.config.batch_size)

    def _step(self, objective, optimizer, batch, progress) -> float:
        """One update; a non-finite loss or gradient is skipped and counted. Returns the loss."""
        rate = learning_rate(self.step, self.config, self.config.epochs * self.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["of_rate"]
        self.step += 1
        targets = self.ranks.total(len(batch.targets.item_N))
        if not targets:
            return math.nan
        loss = objective(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = list(self.model.parameters())
        loss = sum_gradients(parameters, loss, self.ranks)
        norm = clip_gradients(parameters, self.config.grad_clip, self.ranks)
        if torch.isfinite(loss) and torch.isfinite(norm):
            optimizer.step()
        else:
            self._count_bad_step(loss.item(), norm.item())
        progress.tick(self.step, targets, loss.item(), rate)
        return loss.item()

    def _count_bad_step(self, loss: float, norm: float) -> None:
        self.bad_steps += 1
        logger.warning("%s step %d skipped: loss %s, gradient norm %s", self.stage, self.step, loss, norm)
        if self.bad_steps > self.config.max_bad_steps:
            raise TrainingError(f"{self.stage}: {self.bad_steps} steps with a non-finite loss or gradient, more than "
                                f"max_bad_steps {self.config.max_bad_steps}; lower the learning_rate, now "
                                f"{self.config.learning_rate}")

    def _validate(self, epoch: int) -> bool:
        """Measure, keep the best weights; True when patience is over. With too few requests nothing stops."""
        if len(self.validation) < self.config.min_validation_requests:
            logger.warning("%s: %d validation requests, fewer than min_validation_requests %d; the last weights are "
                           "kept", self.stage, len(self.validation), self.config.min_validation_requests)
            return False
        score, name = self.validation.score(self.model), self.validation.name
        self._record({"epoch": epoch, "step": self.step, f"validation_{name}": score,
                      "requests": len(self.validation)})
        logger.info("%s epoch %d/%d validation %s %.4f (n = %d)", self.stage, epoch, self.config.epochs, name, score,
                    len(self.validation))
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best_weights = copy.deepcopy(self.model.state_dict())
        return epoch - self.best_epoch >= self.config.patience

    def _weigh_transitions(self) -> None:
        """Give counted transitions, if the model has any, the weight that validation finds best.

        The weight is the last thing that is chosen: every epoch was judged on what the network alone can do. With too
        few validation requests it stays as it was: none, or that of the base model.
        """
        if self.model.transitions is None or len(self.validation) < self.config.min_validation_requests:
            return
        scores = self.validation.scores(self.model, TRANSITION_WEIGHTS)
        best = int(np.argmax(scores))
        self.model.transition_weight, self.best_score = TRANSITION_WEIGHTS[best], scores[best]
        self._record({"transition_weights": TRANSITION_WEIGHTS, "transition_scores": scores})
        logger.info("%s transitions get weight %.2f, validation %s %.4f (%.4f without)", self.stage,
                    TRANSITION_WEIGHTS[best], self.validation.name, scores[best], scores[0])

    def _record(self, entry: dict) -> None:
        if not self.ranks.is_writer:
            return
        with open(self.metrics_path, "a") as file:
            file.write(json.dumps({"stage": self.stage, **entry}) + "\n")


class Progress:
    """A line every few seconds: step, loss, learning rate, targets per second, time left."""

    def __init__(self, stage: str, steps: int):
        self.stage, self.steps = stage, steps
        self.start = self.last = time.monotonic()
        self.targets = 0

    def tick(self, step: int, targets: int, loss: float, rate: float) -> None:
        """Count one step and speak when it is time."""
        self.targets += targets
        now = time.monotonic()
        if now - self.last < PROGRESS_S:
            return
        self.last, spent = now, now - self.start
        logger.info("%s step %d/%d loss %.4f lr %.2e %.0f targets/s ETA %.0f s", self.stage, step, self.steps, loss,
                    rate, self.targets / spent, spent / step * (self.steps - step))


def optimizer_of(model: PinRec, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW that decays the matrices of linear layers only: neither embeddings, norms, biases nor the temperature.

    `of_rate` of a group is its share of the learning rate.
    """
    matrices = {id(layer.weight) for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    decayed = [parameter for parameter in model.parameters() if id(parameter) in matrices]
    plain = [parameter for parameter in model.parameters() if id(parameter) not in matrices | {id(model.item_bias)}]
    groups = [{"params": decayed, "weight_decay": config.weight_decay, "of_rate": 1.0},
              {"params": plain, "weight_decay": 0.0, "of_rate": 1.0}]
    if model.item_bias is not None:
        groups.append({"params": [model.item_bias], "weight_decay": 0.0, "of_rate": config.bias_rate})
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def learning_rate(step: int, config: TrainConfig, steps: int) -> float:
    """The rate of a step, counted from 0, of so many: linear warm-up, then cosine to zero."""
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
