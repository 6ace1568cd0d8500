"""A small dataset on disk, and the job of pretraining on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.training.job import PretrainJob

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=8, max_length=8, id_buckets=64, id_dim=8)


@pytest.fixture
def job(dataset, save_dataset, tmp_path) -> PretrainJob:
    """One epoch, a fraction of a second once torch is loaded."""
    return PretrainJob(dataset=save_dataset(dataset, tmp_path / "dataset"), output=tmp_path / "model", model=MODEL,
                       pretrain=PretrainConfig(epochs=1, random_negatives=4))


@pytest.fixture
def endless(job) -> PretrainJob:
    """The same, for as long as nobody stops it."""
    return job.model_copy(update={"pretrain": PretrainConfig(epochs=10**6, patience=10**6, random_negatives=4)})


@pytest.fixture
def hopeless(build_dataset, save_dataset, job, tmp_path) -> PretrainJob:
    """A dataset whose one user does not train: the worker refuses it."""
    data = build_dataset([(0, 0, 100, -1, [(1, 1)])], {0: "validation"})
    return job.model_copy(update={"dataset": save_dataset(data, tmp_path / "hopeless")})


@pytest.fixture(autouse=True)
def here(monkeypatch) -> None:
    """Workers import the code that is tested."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
