"""The training loop: epochs of steps, each judged by validation, from wherever the last checkpoint was."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pinrec_core.config import ExpertWeights, TrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.data.windows import TrainingSet
from pinrec_core.errors import DataError, IntegrityError, Preempted, TrainingError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.best import Best
from pinrec_core.training.checkpoint import Checkpoints
from pinrec_core.training.gradients import is_shard
from pinrec_core.training.place import Place
from pinrec_core.training.prefetch import prefetched
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.recorder import Recorder
from pinrec_core.training.stop import StopSignals
from pinrec_core.training.update import Taken, Update
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")
Watch = Callable[[list[dict[str, Any]]], None]  # gets all entries of metrics.jsonl after every validation; may raise


@dataclass
class Fit:
    """What is trained, on what, judged by what, and (once it runs) how far it is."""

    stage: str
    model: PinRec
    data: TrainingSet
    validation: Validation
    config: TrainConfig
    metrics_path: Path
    experts: ExpertWeights = ExpertWeights()  # those that are fixed
    deadline: float = math.inf  # time.monotonic() after which no further epoch is begun
    checkpoints: Checkpoints | None = None  # None: what is killed starts anew
    stop: StopSignals | None = None  # None: nobody asks it to stop
    ranks: Ranks = ALONE  # the processes that train together
    watch: Watch | None = None  # what it raises ends the run: somebody tries many and gives up on this one

    def run(self) -> None:
        """Train until epochs or time are over or validation stops improving; the model ends with its best weights.

        Raises DataError without anything to train on, TrainingError when the loss stays non-finite, Preempted when a
        signal asked it to stop; its place is in a checkpoint then.
        """
        self._begin()
        try:
            while not self.place.over:
                self._train_epoch()
                self._judge_epoch()
            self.best.give_to(self.model, self.experts, self.recorder)
        except Preempted as stopped:
            raise self._with_its_place_kept() from stopped
        finally:
            self.recorder.close()

    @property
    def steps(self) -> int:
        """Steps of one epoch."""
        return self.data.steps(self.config.batch_size)

    def _begin(self) -> None:
        """From the newest checkpoint, or from nothing."""
        if not len(self.data.row_G):
            raise DataError(f"{self.stage}: no training targets; check the window, the surface and the user split")
        torch.manual_seed(self.config.seed + self.ranks.rank)  # each rank has dropout of its own for its rows
        self.stop = self.stop or StopSignals(self.stage, self.ranks)
        self.place = Place.first(self.config.seed)
        self.update = Update(self.model, self.config, self.config.epochs * self.steps, self.ranks)
        self.best = Best(self.stage, self.validation, self.config, self.stop)
        self.recorder = Recorder(self.stage, self.metrics_path, self.config, self.checkpoints, self.ranks)
        if self.checkpoints and (kept := self.checkpoints.newest()):
            self._restore(kept)
        self.recorder.begin(self.place, self.config.epochs * self.steps)

    def _train_epoch(self) -> None:
        """The batches of the epoch that are still to come; epoch 0 has none."""
        self.shuffler = self.place.shuffler()
        if not self.place.epoch:
            return
        self.model.train()
        batches = self.data.batches(self.config.batch_size, self.shuffler, self.place.position, self.ranks.rows)
        with contextlib.closing(prefetched(batches, self.model.log_temperature.device)) as ready:
            for batch in ready:
                self._step(batch)

    def _step(self, batch: TrainingBatch) -> None:
        taken = self.update(batch, self.place.step)
        self.place.advance(taken.loss if taken and not taken.bad else math.nan)
        if taken:
            self.recorder.tick(self.place, batch, taken)
            if taken.bad:
                self._count_bad_step(batch, taken)
        if self.ranks.any(self.recorder.due):
            self.recorder.keep(self._state(), self.place)
        self.stop.check()

    def _count_bad_step(self, batch: TrainingBatch, taken: Taken) -> None:
        place, most = self.place, self.config.max_bad_steps
        place.bad_steps += 1
        logger.warning("%s step %d skipped: loss %s, gradient norm %s", self.stage, place.step, taken.loss, taken.norm)
        if place.bad_steps > most:
            where = self.recorder.save_batch(batch, place)
            raise TrainingError(f"{self.stage}: {place.bad_steps} steps with a non-finite loss or gradient, more than "
                                f"max_bad_steps {most}; the batch of the last, step {place.step}, {where}; if its "
                                f"values are sound, lower the learning_rate, now {self.config.learning_rate}")

    def _judge_epoch(self) -> None:
        """Measure, keep the best weights, and see whether that was the last epoch."""
        place, score = self.place, self.best.measure(self.model)
        told = {"epoch": place.epoch, "step": place.step}
        if place.epoch:
            self.recorder.record(told | {"loss": place.mean_loss, "tau": 1 / self.model.scale.item(),
                                         "bad_steps": place.bad_steps})
        if score is not None:
            self.recorder.record(told | {f"validation_{self.validation.name}": score, "requests": len(self.validation)})
            self.best.offer(score, place.epoch, self.model)
            if self.watch:
                self.watch([json.loads(line) for line in self.recorder.lines])
        late = self.ranks.any(place.epoch > 0 and time.monotonic() > self.deadline)
        if place.epoch >= self.config.epochs or late or self.best.too_long_ago(place.epoch):
            place.over = True
        else:
            place.turn(self.shuffler)

    def _state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as tensors and plain values; of other ranks what rank 0 has not."""
        random = {"random": torch.get_rng_state()}
        if not self.ranks.is_writer and not any(map(is_shard, self.model.parameters())):
            return random
        return random | {"place": vars(self.place), "best": self.best.state_dict(), "model": self.model.state_dict(),
                         "update": self.update.state_dict(), "lines": self.recorder.lines}

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.place, self.recorder.lines = Place(**state["place"]), state["lines"]
            for name, part in (("best", self.best), ("model", self.model), ("update", self.update)):
                part.load_state_dict(state[name])
            torch.set_rng_state(state["random"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise IntegrityError(f"{self.checkpoints.folder}: its checkpoint does not fit this code ({error}); remove "
                                 "the folder to start anew") from error
        logger.info("%s goes on after step %d/%d, epoch %d (%s)", self.stage, self.place.step, self.update.steps,
                    self.place.epoch, self.checkpoints.folder)

    def _with_its_place_kept(self) -> Preempted:
        """Write a checkpoint; the error that says so."""
        kept = self.recorder.keep(self._state(), self.place)
        where = f"its place is in {self.checkpoints.folder}" if kept else "its place could not be kept"
        return Preempted(f"{self.stage}: stopped by {self.stop.reason} after step {self.place.step}, epoch "
                         f"{self.place.epoch}; {where}; the same command goes on")
