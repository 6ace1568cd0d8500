"""Inputs that are references: a training finds its data in a store, wherever its processes run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from object_storage import counted_bucket

from pinrec_core.config import LaunchConfig, Launcher, TrainJobConfig
from pinrec_core.manifest import read_manifest
from pinrec_core.store import address, kept
from pinrec_core.training.job import PretrainJob
from pinrec_core.training.launch.start import launch
from pinrec_core.training.launch.volume import share


@pytest.fixture
def on_volume(tmp_path) -> LaunchConfig:
    (tmp_path / "volume").mkdir()
    return LaunchConfig(launcher=Launcher.TRAINJOB, trainjob=TrainJobConfig(
        image="pinrec:1", claim="pinrec", volume=str(tmp_path / "volume")))


def stored(job: PretrainJob, store: str, artifact: Path) -> PretrainJob:
    """The job with its dataset in a store, and nowhere else."""
    with kept(artifact, store) as output:
        shutil.copytree(job.dataset, output)
    return job.model_copy(update={"dataset": artifact})


def test_the_model_is_that_of_a_folder(job, tmp_path):
    expected = launch(job, LaunchConfig())
    with counted_bucket() as (bucket, _):
        again = stored(job, bucket, tmp_path / "artifact").model_copy(update={"output": tmp_path / "again"})
        assert launch(again, LaunchConfig()).fingerprint == expected.fingerprint


def test_a_store_on_the_volume_is_used_in_place(job, on_volume, tmp_path):
    there = stored(job, f"{on_volume.trainjob.volume}/store", tmp_path / "artifact")
    assert str(share(there, on_volume).job.dataset) == address(tmp_path / "artifact")
    assert not Path(on_volume.trainjob.volume, "datasets").exists()


def test_what_is_in_a_bucket_comes_to_the_volume_once(job, on_volume, tmp_path):
    with counted_bucket() as (bucket, wire):
        there = stored(job, bucket, tmp_path / "artifact")
        first = share(there, on_volume)
        assert first.job.dataset.is_relative_to(on_volume.trainjob.volume)
        size = sum(file.size for file in read_manifest(first.job.dataset, "dataset").files.values())
        wire.reset()
        assert share(there, on_volume) == first
        assert wire.received < size


def test_the_model_moves_by_its_name_alone_on_the_same_volume(job, on_volume, tmp_path):
    shared = share(job, on_volume)
    shutil.copytree(job.dataset, shared.job.output)  # stands for the directory that a worker leaves
    manifest = (shared.job.output / "manifest.json")
    manifest.write_text(manifest.read_text().replace('"kind": "dataset"', '"kind": "model"'))
    inode = (shared.job.output / "items.parquet").stat().st_ino
    shared.take_over(tmp_path / "model")
    assert (tmp_path / "model/items.parquet").stat().st_ino == inode
    assert not shared.folder.exists()
