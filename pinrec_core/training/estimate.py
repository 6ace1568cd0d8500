"""What a configuration will cost before anything runs: parameters, memory, steps and positions.

Parameters are counted on models of one and two items that hold no numbers: whatever grows with the catalogue grows by
the same amount per item. Steps are those of the very rows that training would take. `pinrec config validate` tells it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from pinrec_core.config import Config, LogConfig, ModelConfig, TrainConfig
from pinrec_core.data.ahead import Ahead
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.views import feed_views
from pinrec_core.data.windows import TrainingSet, engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import ITEMS

_FLOAT = 4  # bytes


class ModelSize(NamedTuple):
    """Of a model for a catalogue; sizes in bytes."""

    parameters: int
    row_parameters: int  # of them in tables whose rows are updated one by one: hashed ids, attributes, score biases
    weights: int
    optimizer: int  # state of RowwiseAdamW: two numbers per parameter, of tables two per row
    gradients: int  # of what is not a table; those of rows are as many as a step reads
    features: int  # what is fixed of each item: content, hashes, type; without attributes
    item_vectors: int  # of the whole catalogue, made for validation and for the index

    @property
    def training(self) -> int:
        """What a training process holds beside the data and the activations of a batch."""
        return self.weights + self.optimizer + self.gradients + self.features + self.item_vectors


class StageSize(NamedTuple):
    """What a training stage goes through, if it is not stopped early."""

    stage: str  # "pretrain", "finetune home"
    rows: int
    targets: int
    positions: int  # history tokens read in an epoch, without padding
    steps_per_epoch: int
    epochs: int  # at most

    @property
    def steps(self) -> int:
        """At most."""
        return self.steps_per_epoch * self.epochs

    def seconds(self, positions_per_s: float) -> float:
        """At a measured speed, at most; validation is not in it."""
        return self.positions * self.epochs / positions_per_s


def size_of(model: ModelConfig, log: LogConfig, n_items: int, content_dim: int) -> ModelSize:
    """The size of a model of so many items with content vectors of such a length (0 = none)."""
    one, two = (_size(model, log, items, content_dim) for items in (1, 2))
    counted = [first + (n_items - 1) * (second - first) for first, second in zip(one, two, strict=True)]
    return ModelSize(*counted, n_items * model.item_dim * _FLOAT)


def stages_of(config: Config, dataset: Dataset) -> list[StageSize]:
    """All training stages on a dataset, in the order in which they run."""
    model, pretrain, finetune = config.model, config.pretrain, config.finetune
    windows = engagement_windows(dataset, model.max_length, pretrain.recency_half_life_days, Ahead.of(model, pretrain))
    return [_stage("pretrain", windows, pretrain),
            *(_stage(f"finetune {surface}", feed_views(dataset, surface, model.max_length, finetune, model.offsets_s),
                     finetune) for surface in config.log.surfaces)]


def _stage(name: str, rows: TrainingSet, train: TrainConfig) -> StageSize:
    return StageSize(name, len(rows), len(rows.row_G), int((rows.end_R - rows.start_R).sum()),
                     rows.steps(train.batch_size), train.epochs)


def _size(config: ModelConfig, log: LogConfig, n_items: int, content_dim: int) -> tuple[int, ...]:
    """The first fields of ModelSize, counted."""
    with torch.device("meta"):
        model = PinRec(config, log, _items(n_items, content_dim), {})
    sparse = [module.weight for module in model.modules() if getattr(module, "sparse", False)]
    tables = {id(table): table.shape[0] for table in sparse}
    tables |= {id(table): table.numel() for table in model.bias.tables}
    every = sum(parameter.numel() for parameter in model.parameters())
    in_rows = sum(parameter.numel() for parameter in model.parameters() if id(parameter) in tables)
    dense = every - in_rows
    features = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    return every, in_rows, every * _FLOAT, 2 * _FLOAT * (dense + sum(tables.values())), dense * _FLOAT, features


def _items(n_items: int, content_dim: int) -> pa.Table:
    """A table of items that differ in nothing."""
    content = [np.zeros(content_dim, np.float32)] * n_items if content_dim else [None] * n_items
    columns = {"item_id": [""] * n_items, "item_type": [0] * n_items, "id_hash": [0] * n_items, "content": content,
               "attributes": [[]] * n_items, "title": [None] * n_items, "created_ms": [None] * n_items,
               "train_count": [0] * n_items}
    return pa.table(columns, schema=ITEMS)
