"""A small untrained model over a table of random items, and random histories for it."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.data.batch import History
from pinrec_core.model.experts import Experts
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import count_transitions
from pinrec_core.schemas import ITEMS

N_ITEMS = 300
LOG = LogConfig(surfaces=("home", "related"), positive_actions=("click", "save", "share"), negative_actions=("hide",),
                item_types=("pin", "query"), retrievable_types=("pin",))


OFFSETS_S = (30.0, 60.0, 180.0)


@pytest.fixture(scope="session", params=["outcome", "backbone"])
def model(request) -> PinRec:
    """Conditioned at the head or in the backbone."""
    return untrained(conditioning=request.param)


@pytest.fixture(scope="session", params=["outcome", "backbone"])
def timed_model(request) -> PinRec:
    """The same, with four time offsets."""
    return untrained(conditioning=request.param, offsets_s=OFFSETS_S)


@pytest.fixture(scope="session")
def make_model():
    """The function that makes such models: make(log, type_I, **model settings)."""
    return untrained


@pytest.fixture(scope="session")
def followed_model() -> PinRec:
    """With score biases and transitions counted over random sequences, and little liking for what is known."""
    model, rng = untrained(item_bias=True, action_bias=True), np.random.default_rng(3)
    model.transitions = count_transitions(rng.integers(N_ITEMS, size=4000), np.repeat(np.arange(200), 20),
                                          model.retrievable_I.numpy())
    model.experts = Experts(transitions=0.5, repeats=-1.0)  # some followers come first, others among the neighbours
    return model


def untrained(log: LogConfig = LOG, type_I: np.ndarray | None = None, **settings) -> PinRec:
    """Arbitrary but fixed weights, so its queries are too; every 10th item is a query and not retrievable."""
    numbers = np.arange(N_ITEMS)
    type_I = numbers % 10 == 9 if type_I is None else type_I
    rng = np.random.default_rng(0)
    items = pa.table({
        "item_id": [f"i{n}" for n in numbers], "item_type": type_I.astype(np.int8),
        "id_hash": rng.integers(2**63, size=N_ITEMS).astype(np.uint64),
        "content": [rng.normal(size=8).astype(np.float32).tolist() for _ in numbers],
        "attributes": [[int(n % 7)] for n in numbers], "title": [None] * N_ITEMS, "created_ms": [None] * N_ITEMS,
        "train_count": np.ones(N_ITEMS, np.int64)}, schema=ITEMS)
    torch.manual_seed(1)
    config = ModelConfig(width=16, layers=2, heads=2, item_dim=16, max_length=12, id_buckets=512, id_dim=16,
                         attention_bias="position_time", **settings)
    shares = {"home": {"click": 0.7, "save": 0.2, "share": 0.1}}
    return _spread(PinRec(config, log, items, shares)).eval()


def _spread(model: PinRec) -> PinRec:
    """Larger weights than at the start of training, so that outcomes and steps give clearly different queries."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    return model


@pytest.fixture(scope="session")
def histories() -> list[History]:
    """24 histories of 0 to 11 engagements."""
    rng = np.random.default_rng(2)
    return [History(rng.integers(N_ITEMS, size=n), rng.integers(1, 8, size=n), rng.integers(2, size=n).astype(np.int8),
                    np.sort(rng.integers(10**9, size=n))) for n in (*range(12), *range(12))]
