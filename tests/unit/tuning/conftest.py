"""A saved dataset that trains in a second, and configuration files that tune a very small model on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.schemas import NO_ITEM

CONFIG = """
name = "walks"

[log]
surfaces = ["home", "search"]
positive_actions = ["click", "save"]
negative_actions = ["hide"]
item_types = ["pin", "query"]
retrievable_types = ["pin"]

[model]
width = 16
layers = 1
heads = 2
item_dim = 16
max_length = 8
id_buckets = 64
id_dim = 16
attribute_buckets = 8

[pretrain]
epochs = 4
batch_size = 4
random_negatives = 4
in_batch_negatives = 4
sketch_width = 64
patience = 100
validation_metric = "ndcg"

[finetune]
epochs = 2
batch_size = 8
random_negatives = 4
in_batch_negatives = 4
sketch_width = 64
validation_metric = "ndcg"

[gate.floors]
home = { "recall@50" = 0.1 }
search = { "recall@50" = 0.1 }

[tune]
metric = "ndcg@50"
trials = 4
halving_factor = 2
"""
BASE = """
[tune.ranges]
"pretrain.learning_rate" = { low = 1e-5, high = 1e-1, log = true }
"model.layers" = { low = 1, high = 2 }
"pretrain.correct_positive" = { choices = [true, false] }
"""


@pytest.fixture
def write_config(tmp_path):
    """Writes a configuration file with these lines after its [tune], and others after its [pretrain]."""
    def write(more: str = BASE, name: str = "walks.toml", pretrain: str = "") -> Path:
        path = tmp_path / name
        path.write_text(CONFIG.replace("[pretrain]", f"[pretrain]\n{pretrain}") + more)
        return path
    return write


@pytest.fixture
def walks(build_dataset, save_dataset, tmp_path) -> Path:
    """Twenty users walk the items 0..8 in a circle, each from an item of its own; a fifth validates."""
    views = [(user, 0, 80 * step + user, NO_ITEM, [((user + step) % 9, 1), ((user + step + 4) % 9, 0)])
             for user in range(20) for step in range(12)]
    splits = {user: "validation" if user % 5 == 3 else "train" for user in range(20)}
    return save_dataset(build_dataset(views, splits), tmp_path / "dataset")
