"""A saved dataset that trains in a second, settings under which everything random takes part, and a signal on time."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.errors import Preempted
from pinrec_core.schemas import NO_ITEM
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.update import Update

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.2,
                    id_dropout=0.1, action_mask=0.2, attribute_buckets=8, transitions=True)
PRETRAIN = PretrainConfig(epochs=4, batch_size=2, learning_rate=0.01, random_negatives=4, in_batch_negatives=4,
                          sketch_width=64, patience=100, checkpoint_every_s=3600)


@pytest.fixture(autouse=True)
def at_a_terminal():
    """Ctrl-C is what it is at a terminal, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def walks(build_dataset, save_dataset, tmp_path) -> Path:
    """Seven users walk the items 0..8 in a circle, an eighth validates: 14 windows, 7 steps an epoch."""
    views = [(user, 0, 80 * step + user, NO_ITEM, [((user + step) % 9, 1)]) for user in range(8) for step in range(12)]
    splits = {user: "validation" if user == 3 else "train" for user in range(8)}
    return save_dataset(build_dataset(views, splits), tmp_path / "dataset")


@pytest.fixture
def train(walks, tmp_path):
    """Pretrain under a name, which gives the output and the checkpoints their folders; settings may be changed."""

    def train(name: str, **changes) -> Path:
        pretrain(walks, tmp_path / name, model=MODEL, pretrain=PRETRAIN.model_copy(update=changes),
                 checkpoints=tmp_path / f"{name}-place")
        return tmp_path / name

    return train


@pytest.fixture
def signal_at(monkeypatch):
    """A real signal in the middle of the steps of the given numbers (from 0), each once."""

    def arrange(*steps: int, number: int = signal.SIGTERM) -> None:
        waiting, take = set(steps), Update.__call__

        def interrupted(self, batch, step):
            if step in waiting:
                waiting.remove(step)
                signal.raise_signal(number)
            return take(self, batch, step)

        monkeypatch.setattr(Update, "__call__", interrupted)

    return arrange


@pytest.fixture
def stopped(train, signal_at):
    """Train until SIGTERM comes in the given step; what Preempted said."""

    def stopped(name: str, step: int, **changes) -> str:
        signal_at(step)
        with pytest.raises(Preempted) as error:
            train(name, **changes)
        return str(error.value)

    return stopped


@pytest.fixture
def same():
    """Are two model directories equal, file by file and byte by byte, progress (which tells the time) left out?"""

    def same(left: Path, right: Path) -> bool:
        names = [{path.name for path in folder.iterdir()} - {"progress"} for folder in (left, right)]
        assert "weights.safetensors" in names[0] and "metrics.jsonl" in names[0]
        return names[0] == names[1] and all((left / name).read_bytes() == (right / name).read_bytes()
                                            for name in names[0])

    return same
