"""One trial: train what its values change, and report the measure of every epoch, so that halving can give it up.

Epochs are the resource, those of pretraining first where it is part of the trial, then those of fine-tuning. The same
number of epochs means the same place of the same schedule in every trial, so like is compared with like.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from pinrec_core import storage
from pinrec_core.config import Config
from pinrec_core.errors import DataError
from pinrec_core.manifest import Manifest
from pinrec_core.training.finetune import finetune
from pinrec_core.training.loop import Watch
from pinrec_core.training.output import METRICS
from pinrec_core.training.pretrain import pretrain

_MEASURE = "validation_"  # how metrics.jsonl and a model's facts begin the name of a validation metric


@dataclass(frozen=True)
class Stages:
    """What a trial trains; what it does not is trained once, before the first trial."""

    pretrains: bool
    finetunes: bool

    @classmethod
    def of(cls, config: Config) -> Stages:
        """By the ranges that are declared and the model that is measured."""
        changes_base = any(not key.startswith("finetune.") for key in config.tune.ranges)
        return cls(changes_base, bool(config.tune.surface))

    def epochs(self, config: Config) -> int:
        """Of a trial that is never given up."""
        return self.before_finetune(config) + (config.finetune.epochs if self.finetunes else 0)

    def before_finetune(self, config: Config) -> int:
        """Epochs of the trial's own pretraining."""
        return config.pretrain.epochs if self.pretrains else 0


class Climb:
    """The way of one trial up the rungs: each epoch is reported once, with the best measure of its stage so far."""

    def __init__(self, trial: optuna.Trial, epochs: int):
        self.trial, self.epochs = trial, epochs
        self.reached = 0  # epochs reported
        self._best = 0.0

    def watch(self, before: int) -> Watch:
        """What a stage is to tell, `before` which so many epochs were. It raises TrialPruned where halving says so.

        A stage that goes on from a checkpoint tells of the epochs before it as well.
        """
        def told(entries: list[dict[str, Any]]) -> None:
            best = 0.0
            for entry in entries:
                scores = [value for name, value in entry.items() if name.startswith(_MEASURE)]
                best = max([best, *scores])
                if scores and entry["epoch"]:  # epoch 0 is what the stage was given
                    self._report(before + entry["epoch"], best)
        return told

    def rest_at(self, epochs: int) -> None:
        """A stage whose patience ended stands where it is until the next one begins."""
        for epoch in range(self.reached + 1, epochs + 1):
            self._report(epoch, self._best)

    def _report(self, epoch: int, value: float) -> None:
        if epoch <= self.reached:
            return
        self.trial.report(value, epoch)
        self.reached, self._best = epoch, value
        if epoch < self.epochs and self.trial.should_prune():
            raise optuna.TrialPruned


@dataclass(frozen=True)
class Workshop:
    """Where trials train: on which dataset, in which folder, and what they share."""

    dataset: Path
    folder: Path
    stages: Stages

    def prepare(self, config: Config) -> None:
        """Train the base model once if no range changes it; a complete one of the same settings is taken."""
        if not self.stages.pretrains:
            pretrain(self.dataset, self._shared_base, model=config.model, pretrain=config.pretrain)

    def measure(self, trial: optuna.Trial, config: Config) -> tuple[float, int]:
        """Train a trial to its end; its measure and how many validation requests are behind it.

        Raises TrialPruned when it is given up and what training raises; DataError without validation requests.
        """
        stages, climb = self.stages, Climb(trial, self.stages.epochs(config))
        folder, base = self._folder(trial.number), self._shared_base
        if stages.pretrains:
            base = folder / "base"
            watch = climb.watch(0)
            model = pretrain(self.dataset, base, model=config.model, pretrain=config.pretrain, watch=watch)
            watch(_entries(base))  # it told nothing if it was complete before this process was begun
        if stages.finetunes:
            before = stages.before_finetune(config)
            climb.rest_at(before)
            watch = climb.watch(before)
            model = finetune(self.dataset, base, folder / "model", surface=config.tune.surface,
                             finetune=config.finetune, watch=watch)
            watch(_entries(folder / "model"))
        return _measured(model, config)

    def clear(self, number: int) -> None:
        """Remove what a trial has trained: its values and its measure are all that counts."""
        storage.remove_tree(str(self._folder(number)))

    def tidy(self, finished: int) -> None:
        """Remove what a killed process has left of trials that are finished, which are so many."""
        for name in storage.list_names(str(self.folder / "trials")):
            if name.isdigit() and int(name) < finished:
                self.clear(int(name))

    @property
    def _shared_base(self) -> Path:
        return self.folder / "base"

    def _folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number}"


def _entries(model: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (model / METRICS).read_text("utf-8").splitlines()]


def _measured(model: Manifest, config: Config) -> tuple[float, int]:
    value, requests = model.facts.get(f"{_MEASURE}{config.tune.metric}"), model.facts["validation_requests"]
    if value is None:
        raise DataError(f"tune: {requests} validation requests are too few to choose by; raise "
                        "aggregate.validation_user_share and aggregate again, or lower min_validation_requests")
    return value, requests
