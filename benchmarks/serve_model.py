"""The models of benchmarks/serve.py: random weights, but for the last layer, which is fitted in closed form.

With random weights alone queries would point where no item is, and an approximate index would have to visit most of its
cells for them. So the last layer is the ridge regression, over some users, from what the layers before it make of a
history to the vector of one of its latest items: queries lie near items, and those of different outcomes and steps near
different ones, much as after a training.

Suffixes: B users, A actions, N = B * A, W features, D item dimension, I items.
"""

from __future__ import annotations

import pyarrow as pa
import torch
from torch import Tensor

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.data.batch import HistoryBatch, collate
from pinrec_core.data.dataset import Dataset
from pinrec_core.model.conditions import Conditions
from pinrec_core.model.pinrec import PinRec

FITTED = 2000  # users
RIDGE = 1e-3  # relative to the mean square of the features
_BATCH = 250


def invented_model(config: ModelConfig, log: LogConfig, items: pa.Table, dataset: Dataset) -> PinRec:
    """A model for the log's first surface: action a asks for what is like the user's (a + 1)-th latest item."""
    torch.manual_seed(0)
    surface = log.surfaces[0]
    equal = dict.fromkeys(log.positive_actions, 1 / len(log.positive_actions))
    model = PinRec(config, log, items, {surface: equal}).eval()
    with torch.no_grad():
        for table in (model.surface, model.action, *model.condition.tables.values()):
            table.weight.normal_(std=1.0)
    _fit(model, dataset)
    return model


@torch.no_grad()
def _fit(model: PinRec, dataset: Dataset) -> None:
    vectors_ID, actions = model.all_item_vectors(), len(model.log.positive_actions)
    histories = [dataset.history(user, dataset.eval_end_ms, model.config.max_length) for user in range(FITTED)]
    parts = []
    for start in range(0, len(histories), _BATCH):
        batch = collate(histories[start : start + _BATCH])
        latest_BA = batch.item_BT[:, -actions:].flip(1)
        parts.append((_features(model, batch, vectors_ID, actions), vectors_ID[latest_BA].flatten(0, 1)))
    feature_NW, wanted_ND = (torch.cat(part).double() for part in zip(*parts, strict=True))
    feature_NW = torch.nn.functional.pad(feature_NW, (0, 1), value=1.0)  # the bias
    gram_WW = feature_NW.T @ feature_NW
    ridge_WW = RIDGE * gram_WW.diagonal().mean() * torch.eye(len(gram_WW), dtype=torch.double)
    solved_WD = torch.linalg.solve(gram_WW + ridge_WW, feature_NW.T @ wanted_ND)
    model.head[2].weight.copy_(solved_WD[:-1].T)
    model.head[2].bias.copy_(solved_WD[-1])


def _features(model: PinRec, batch: HistoryBatch, vectors_ID: Tensor, actions: int) -> Tensor:
    """What the last layer is given, [N, W], user by user."""
    states = model.encode(batch, vectors_ID)
    hidden_BW = states.hidden_BLW[torch.arange(len(batch)), states.last_B]
    action_N = torch.arange(actions).repeat(len(batch))
    condition_NC = model.condition(Conditions(action_N, torch.zeros_like(action_N), torch.zeros_like(action_N)))
    return model.head[:2](torch.cat([hidden_BW.repeat_interleave(actions, dim=0), condition_NC], dim=1))
