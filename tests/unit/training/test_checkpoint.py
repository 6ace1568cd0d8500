"""Checkpoints: the newest whole one is taken, damaged ones are named, those of other settings never, none is lost."""

from __future__ import annotations

import logging
import resource
import shutil

import pytest

from pinrec_core.config import FinetuneConfig, PretrainConfig
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import fingerprint_of
from pinrec_core.training.checkpoint import Checkpoints


@pytest.fixture
def kept(tmp_path):
    """Steps with a checkpoint of the run "out", and the paths of these."""
    return lambda: {int(path.name[5:]): path for path in sorted((tmp_path / "out-place").glob("*/step-*"))}


@pytest.fixture
def narrow():
    """A disk on which files end at so many bytes: what is longer cannot be written, as on a full one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_newest_stay(stopped, kept):
    stopped("out", 9, checkpoint_every_s=0, keep_checkpoints=3)
    assert list(kept()) == [8, 9, 10]


@pytest.mark.parametrize("damage", ["cut", "flipped", "file", "manifest"])
def test_a_damaged_one_is_named_and_the_one_before_it_taken(train, stopped, kept, same, caplog, damage):
    stopped("out", 9, checkpoint_every_s=0, keep_checkpoints=2)
    state, manifest = (kept()[10] / name for name in ("state.pt", "manifest.json"))
    whole = state.read_bytes()
    if damage in ("cut", "flipped"):
        half = len(whole) // 2
        state.write_bytes(whole[:half] + (bytes([whole[half] ^ 1]) + whole[half + 1:] if damage == "flipped" else b""))
    else:
        (state if damage == "file" else manifest).unlink()
    caplog.set_level(logging.INFO)
    train("out", checkpoint_every_s=0)
    assert "step-000000010 is damaged" in caplog.text and "goes on after step 9/28" in caplog.text
    assert same(train("out"), train("good"))


def test_a_damaged_one_pushes_no_whole_one_out(stopped, kept):
    stopped("out", 9, checkpoint_every_s=0, keep_checkpoints=2)
    (kept()[10] / "state.pt").write_bytes(b"")
    stopped("out", 9, keep_checkpoints=1)  # from step 9: the damaged one of step 10 would be the newest by name
    assert list(kept()) == [10] and len((kept()[10] / "state.pt").read_bytes()) > 1000
    assert "goes on" in stopped("out", 12)


def test_all_damaged_is_a_new_start(train, stopped, kept, same, caplog):
    stopped("out", 9)
    for path in kept().values():
        (path / "manifest.json").write_text("{}")
    assert same(train("out"), train("good"))
    assert "is damaged" in caplog.text and "goes on after" not in caplog.text


def test_a_changed_setting_finds_nothing_and_is_told_what_lies_there(train, stopped, kept, caplog):
    caplog.set_level(logging.INFO)
    stopped("out", 9, checkpoint_every_s=0, keep_checkpoints=2)
    train("out", learning_rate=0.02)
    assert "goes on after" not in caplog.text
    assert "2 checkpoints of other settings, data or versions lie in" in caplog.text
    assert list(kept()) == [9, 10]


def test_how_often_checkpoints_are_written_changes_nothing_else(train, stopped, same, caplog):
    caplog.set_level(logging.INFO)
    stopped("out", 9)
    out = train("out", checkpoint_every_s=7, keep_checkpoints=5)
    assert "goes on after step 10" in caplog.text and same(out, train("good"))


@pytest.mark.parametrize("section", [PretrainConfig(), FinetuneConfig()])
def test_no_fingerprint_knows_the_incidental(section):
    changes = {"checkpoint_every_s": 1.0, "keep_checkpoints": 9, "tensorboard": True}
    assert fingerprint_of(section.model_copy(update=changes)) == fingerprint_of(section)
    assert fingerprint_of(section.model_copy(update={"seed": 1})) != fingerprint_of(section)
    parsed = type(section).parse(section.model_copy(update=changes).model_dump_json())
    assert parsed.model_dump(include=set(changes)) == changes  # they cross to the step all the same


def test_a_full_disk_loses_no_checkpoint_and_does_not_end_the_run(train, stopped, kept, narrow, caplog, same):
    stopped("out", 9)
    most = (kept()[10] / "state.pt").stat().st_size
    good = train("good")
    narrow(most // 2)  # the model itself still fits
    said = stopped("out", 12)
    assert "after step 13, epoch 2; its place could not be kept" in said and list(kept()) == [10]
    out = train("out", checkpoint_every_s=0)
    assert same(out, good)
    warned = [record.message for record in caplog.records if "checkpoint of step 13 not written" in record.message]
    assert all(word in warned[0] for word in ("out-place", "File too large", "the one of step 10 stays", "Make room"))


def test_what_a_killed_writer_left_is_removed(train, stopped, kept, tmp_path):
    stopped("out", 9)
    folder = kept()[10].parent
    (folder / ".step-000000011.staging-dead").mkdir()
    stopped("out", 12)
    assert not list(folder.glob(".step*"))


def test_a_finished_run_called_again_gives_what_is_there(train, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    before = (train("out") / "manifest.json").stat().st_mtime_ns
    (tmp_path / "out-place/pretrain-0123456789abcdef/step-000000001").mkdir(parents=True)  # of another run
    assert (train("out") / "manifest.json").stat().st_mtime_ns == before
    assert "is complete already" in caplog.text
    assert (tmp_path / "out-place/pretrain-0123456789abcdef").is_dir()


def test_what_else_lies_at_the_output_is_said_before_training(train, tmp_path, caplog):
    train("out")
    with pytest.raises(IntegrityError, match="already exists and is not what pretrain would write"):
        train("out", learning_rate=0.02)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(IntegrityError, match="already exists"):
        train("out")


@pytest.mark.parametrize("kind", [str, "path"])
def test_a_bucket_is_refused(kind, tmp_path):
    root = "gs://bucket/place" if kind is str else tmp_path.__class__("gs://bucket/place")
    with pytest.raises(ConfigError, match="mounted volume"):
        Checkpoints(root, "pretrain", "0" * 64, 2)
