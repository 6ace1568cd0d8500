"""What validation chooses: the best weights so far, when to stop, and what counted experts are worth."""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

from torch import Tensor

from pinrec_core.config import ExpertWeights, TrainConfig
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.experts import weigh
from pinrec_core.training.recorder import Recorder
from pinrec_core.training.stop import StopSignals
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")


class Best:
    """The weights with the highest validation score so far; none before the first, or where too little validates."""

    def __init__(self, stage: str, validation: Validation, config: TrainConfig, stop: StopSignals):
        self.stage, self.validation, self.config, self.stop = stage, validation, config, stop
        self.score = -math.inf
        self.epoch = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def enough(self) -> bool:
        """Are there requests enough to choose by?"""
        return len(self.validation) >= self.config.min_validation_requests

    def measure(self, model: PinRec) -> float | None:
        """The score of the weights as they are; None with too few requests. Changes nothing, so it can be stopped."""
        if not self.enough:
            logger.warning("%s: %d validation requests, fewer than min_validation_requests %d; the last weights are "
                           "kept", self.stage, len(self.validation), self.config.min_validation_requests)
            return None
        with self.stop.at_once():
            return self.validation.score(model)

    def offer(self, score: float, epoch: int, model: PinRec) -> None:
        """Take the model's weights if they score higher than all before."""
        logger.info("%s epoch %d/%d validation %s %.4f (n = %d)", self.stage, epoch, self.config.epochs,
                    self.validation.name, score, len(self.validation))
        if score > self.score:
            self.score, self.epoch, self.weights = score, epoch, copy.deepcopy(model.state_dict())

    def too_long_ago(self, epoch: int) -> bool:
        """Is patience over? With too few requests it never is."""
        return self.enough and epoch - self.epoch >= self.config.patience

    def give_to(self, model: PinRec, experts: ExpertWeights, recorder: Recorder) -> None:
        """Put the best weights into the model, which is then ready for use; without any it keeps its own.

        Counted experts get the given weights, else those that validation finds best. They are the last thing that is
        chosen: every epoch was judged on what the network alone can do. With too few validation requests what is not
        given stays as it was: nothing, or the base model's.
        """
        if self.weights:
            model.load_state_dict(self.weights)
        model.eval()
        with self.stop.at_once():
            tried = list(weigh(model, self.validation if self.enough else None, experts))
        for entry in tried:
            self.score = entry["score"]
            recorder.record(entry)

    def state_dict(self) -> dict[str, Any]:
        """What has been chosen so far."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.score, self.epoch, self.weights = state["score"], state["epoch"], state["weights"]
