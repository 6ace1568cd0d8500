"""Numbers that are not finite, in a real run: the step is skipped and counted, too many end it and leave the batch."""

from __future__ import annotations

import math
import re

import numpy as np
import pyarrow as pa
import pytest
import torch
from quoted import says
from safetensors.torch import load_file

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.errors import TrainingError
from pinrec_core.manifest import read_manifest
from pinrec_core.model.io import load_model
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.pretrain import pretrain

BROKEN = 7  # the item whose content is not a number
MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16,
                    attribute_buckets=8)
CONFIG = PretrainConfig(epochs=2, batch_size=1, random_negatives=0, sketch_width=64, min_validation_requests=2)


@pytest.fixture
def broken(build_dataset, save_dataset, tmp_path):
    """Users 0 and 1 meet the broken item, users 2 to 4 do not."""
    walks = [(1, 2, BROKEN), (BROKEN, 3), (1, 2, 3), (4, 5, 6), (2, 4)]
    views = [(user, 0, 100 * k + 10, NO_ITEM, [(item, 1)]) for user, walk in enumerate(walks)
             for k, item in enumerate(walk)]
    told = build_dataset(views, dict.fromkeys(range(5), "train"))
    content = np.random.default_rng(0).normal(size=(told.n_items, 4))
    content[BROKEN] = math.nan
    column = pa.array(content.tolist(), told.items.schema.field("content").type)
    items = told.items.set_column(told.items.schema.get_field_index("content"), "content", column)
    object.__setattr__(told, "items", items)
    return save_dataset(told, tmp_path / "dataset")


def test_bad_steps_are_skipped_and_counted(broken, tmp_path):
    manifest = pretrain(broken, tmp_path / "out", model=MODEL, pretrain=CONFIG)
    assert manifest.counts["steps"] == 10 and manifest.counts["bad_steps"] == 4  # two users, two epochs
    weights = load_model(tmp_path / "out").state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert "NaN" not in (tmp_path / "out/metrics.jsonl").read_text()


def test_too_many_end_the_run_and_leave_the_batch(broken, tmp_path):
    with pytest.raises(TrainingError, match="2 steps with a non-finite loss.*max_bad_steps 1") as error:
        pretrain(broken, tmp_path / "out", model=MODEL, pretrain=CONFIG.model_copy(update={"max_bad_steps": 1}))
    assert not (tmp_path / "out").exists()
    says("error: ...: ... steps with a non-finite loss or gradient, more than max_bad_steps ...", error.value)
    batch = load_file(re.search(r"is in (\S+\.safetensors)", str(error.value))[1])
    assert BROKEN in batch["item_N"] or BROKEN in batch["item_BT"]
    assert {"user_B", "weight_N", "time_BT", "group_N"} <= set(batch)


def test_bad_steps_before_a_restart_count_too(broken, tmp_path, signal_at):
    from pinrec_core.errors import Preempted

    signal_at(5)
    with pytest.raises(Preempted):
        pretrain(broken, tmp_path / "out", model=MODEL, pretrain=CONFIG)
    pretrain(broken, tmp_path / "out", model=MODEL, pretrain=CONFIG)
    assert read_manifest(tmp_path / "out", "model").counts["bad_steps"] == 4
