"""Which parameters decay, and which share of the learning rate each takes."""

from __future__ import annotations

import torch

from pinrec_core.config import TrainConfig
from pinrec_core.model.pinrec import PinRec


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
