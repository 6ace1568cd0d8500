"""pretrain: one model on every train user's engagements across all surfaces.

    pinrec pretrain --config FILE --dataset DIR --output DIR
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import torch

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.data.ahead import Ahead
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import engagement_windows, per_action, recency_weight
from pinrec_core.manifest import Manifest, fingerprint_of, write_manifest
from pinrec_core.model.io import save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions, count_transitions
from pinrec_core.storage import staged_directory
from pinrec_core.training.loop import Fit
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")


def pretrain(dataset: Path, output: Path, *, model: ModelConfig, pretrain: PretrainConfig,
             checkpoints: Path | None = None) -> Manifest:
    """Train the base model and write it to `output` (kind "model", stage "base").

    Raises DataError without training targets, TrainingError when the loss stays non-finite.
    """
    data = Dataset.open(dataset)
    validation = Validation.before_the_window(data, data.log.surfaces, pretrain)
    with staged_directory(output) as aside:
        fit = fit_base(data, validation, model, pretrain, aside / "metrics.jsonl")
        return seal_model(fit, aside, fingerprint_of(model, pretrain), {"dataset": data.manifest.fingerprint},
                          {"stage": "base"})


def fit_base(data: Dataset, validation: Validation, model: ModelConfig, pretrain: PretrainConfig,
             metrics: Path, deadline: float = math.inf) -> Fit:
    """A new model trained on the dataset's engagement windows, and the run that trained it (see Fit for `deadline`)."""
    torch.manual_seed(pretrain.seed)
    net = PinRec(model, data.log, data.items, action_shares(data))
    if model.transitions:
        net.transitions = transitions_of(data, model.transition_half_life_days)
    windows = engagement_windows(data, model.max_length, pretrain.recency_half_life_days, Ahead.of(model, pretrain))
    logger.info("pretrain: %d windows, %d targets, %d parameters", len(windows), len(windows.row_G),
                sum(p.numel() for p in net.parameters()))
    fit = Fit("pretrain", net, windows, validation, pretrain, metrics, deadline)
    fit.run()
    return fit


def transitions_of(data: Dataset, half_life_days: float) -> Transitions:
    """Transitions counted over the train users' engagements before the evaluation window."""
    user_E = np.repeat(np.arange(data.n_users), np.diff(data.offsets_U1))
    trained_E = np.isin(user_E, data.users_in("train")) & (data.time_E < data.train_end_ms)
    weight_E = recency_weight(data.time_E[trained_E], data.train_end_ms, half_life_days)
    return count_transitions(data.item_E[trained_E], user_E[trained_E], data.retrievable_I, weight_E)


def seal_model(fit: Fit, directory: Path, config_fingerprint: str, parents: dict[str, str],
               facts: dict[str, str]) -> Manifest:
    """Save the model and its manifest, with what training found out."""
    save_model(fit.model, directory)
    score = fit.best_score if fit.best_weights else None
    return write_manifest(directory, kind="model", config_fingerprint=config_fingerprint, parents=parents,
                          counts={"steps": fit.step, "bad_steps": fit.bad_steps, "best_epoch": fit.best_epoch,
                                  "items": fit.model.n_items, "targets": len(fit.data.row_G)},
                          facts={**facts, f"validation_{fit.validation.name}": score,
                                 "validation_requests": len(fit.validation)})


def action_shares(data: Dataset) -> dict[str, dict[str, float]]:
    """How often each positive action is taken, per surface, by train users before the evaluation window.

    A surface without any positive engagement there gives every action the same share.
    """
    user_E = np.repeat(np.arange(data.n_users), np.diff(data.offsets_U1))
    trained_E = (data.time_E < data.train_end_ms) & np.isin(user_E, data.users_in("train"))
    trained_E &= data.retrievable_I[data.item_E]
    shares = {}
    for code, surface in enumerate(data.log.surface_names):
        _, action = per_action(data.actions_E[trained_E & (data.surface_E == code)], data.log)
        count = np.bincount(action, minlength=len(data.log.positive_actions)).astype(float)
        count = count if count.sum() else np.ones_like(count)
        shares[surface] = dict(zip(data.log.positive_actions, (count / count.sum()).tolist(), strict=True))
    return shares
