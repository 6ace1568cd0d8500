"""pretrain: one model on every train user's engagements across all surfaces.

    pinrec pretrain --config FILE --dataset DIR --output DIR
"""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path

import torch

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.data.ahead import Ahead
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import engagement_windows
from pinrec_core.manifest import Manifest, fingerprint_of
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.counts import action_shares, log_exposure, transitions_of
from pinrec_core.training.device import trained_on, training_device
from pinrec_core.training.loop import Fit, Watch
from pinrec_core.training.output import METRICS, ModelOutput, training_of
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.row_shards import id_tables
from pinrec_core.training.stop import StopSignals
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")


def pretrain(dataset: Path, output: Path, *, model: ModelConfig, pretrain: PretrainConfig,
             checkpoints: Path | None = None, watch: Watch | None = None) -> Manifest:
    """Train the base model and write it to `output` (kind "model", stage "base").

    The run keeps its place below `checkpoints` (default: `<output>.checkpoints`) while it runs; called again after it
    was killed or preempted, it goes on from there, and called again after it was done, it returns what is there.
    Raises DataError without training targets, TrainingError when the loss stays non-finite, Preempted when it was asked
    to stop, IntegrityError if `output` holds something else, and whatever `watch` raises (see Fit).

    Under torchrun all processes call it alike: they train together, one writes, and all return the same manifest.
    RankLost then when another process is lost, IntegrityError if they were given different things.
    """
    ranks = Ranks.join(pretrain.rank_timeout_s)
    with StopSignals("pretrain", ranks) as stop:
        with stop.at_once():
            data = Dataset.open(dataset)
            wanted = ModelOutput(Path(output), "pretrain", fingerprint_of(model, pretrain),
                                 {"dataset": data.manifest.fingerprint}, {"stage": "base"},
                                 training_of("pretrain", pretrain))
            place = wanted.checkpoints(checkpoints, pretrain, ranks)
            ranks.check_same("what pretrain is given", place.fingerprint)
            if found := ranks.broadcast(wanted.found()):
                place.clear()
                return found
            validation = Validation.before_the_window(data, data.log.surfaces, pretrain, ranks)
            fit = new_base(data, validation, model, pretrain, place.folder / METRICS, ranks)
            fit.checkpoints, fit.stop, fit.watch = place, stop, watch
        with trained_on(training_device(), fit.model):
            fit.run()
        return wanted.seal(fit)


def fit_base(data: Dataset, validation: Validation, model: ModelConfig, pretrain: PretrainConfig,
             metrics: Path, deadline: float = math.inf) -> Fit:
    """A new model trained on the dataset's engagement windows, and the run that trained it (see Fit for `deadline`).

    It keeps no checkpoints.
    """
    fit = new_base(data, validation, model, pretrain, metrics)
    fit.deadline = deadline
    with trained_on(training_device(), fit.model):
        fit.run()
    return fit


def new_base(data: Dataset, validation: Validation, model: ModelConfig, pretrain: PretrainConfig, metrics: Path,
             ranks: Ranks = ALONE) -> Fit:
    """A new model and the run that is to train it on the dataset's engagement windows."""
    torch.manual_seed(pretrain.seed)
    net = PinRec(model, data.log, data.items, action_shares(data), partial(id_tables, ranks))
    if model.transitions:
        net.transitions = transitions_of(data, model.transition_half_life_days)
    if model.exposure_half_life_days:
        net.bias.log_exposure_SI.copy_(log_exposure(data, model.exposure_half_life_days))
    windows = engagement_windows(data, model.max_length, pretrain.recency_half_life_days, Ahead.of(model, pretrain))
    logger.info("pretrain: %d windows, %d targets, %d parameters", len(windows), len(windows.row_G),
                sum(p.numel() for p in net.parameters()))
    return Fit("pretrain", net, windows, validation, pretrain, metrics, ranks=ranks)
