"""A small model with large weights over random items, and random histories for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.data.batch import History
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import ITEMS

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"), negative_actions=("hide",),
                item_types=("pin", "query"))
CONFIG = ModelConfig(width=16, layers=2, heads=2, item_dim=8, max_length=6, id_buckets=64, id_dim=8,
                     attribute_buckets=32, attribute_dim=4, dropout=0.3)


def items(n: int = 20, cold: tuple[int, ...] = (), content: bool = True) -> pa.Table:
    """Random items, the last one a query; cold ones were never trained on."""
    rng = np.random.default_rng(0)
    return pa.table({
        "item_id": [f"i{k}" for k in range(n)], "item_type": [int(k == n - 1) for k in range(n)],
        "id_hash": pa.array(rng.integers(1 << 62, size=n), pa.uint64()),
        "content": [rng.normal(size=5).tolist() if content else None for _ in range(n)],
        "attributes": [[int(x) for x in rng.integers(1 << 40, size=k % 3)] for k in range(n)],
        "title": [None] * n, "created_ms": [None] * n, "train_count": [0 if k in cold else 1 for k in range(n)],
    }, schema=ITEMS)


def make(config: ModelConfig = CONFIG, table: pa.Table | None = None) -> PinRec:
    """An untrained model in evaluation mode."""
    torch.manual_seed(0)
    shares = {surface: {"click": 0.5, "save": 0.5} for surface in LOG.surfaces}
    model = PinRec(config, LOG, items() if table is None else table, shares)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)  # large enough that a leak would show
    return model.eval()


def history(length: int, seed: int = 0) -> History:
    """A random history of `length` events."""
    rng = np.random.default_rng(seed)
    return History(rng.integers(0, 19, length), rng.integers(0, 4, length), rng.integers(0, 2, length),
                   1_700_000_000_000 + np.sort(rng.integers(0, 10**9, length)))
