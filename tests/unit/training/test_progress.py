"""What a run tells while it runs: lines in the log and in progress.jsonl, event files, and nothing twice."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys

import pytest

from pinrec_core.errors import ConfigError
from pinrec_core.training import progress

NEEDS_TENSORBOARD = pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not there")


@pytest.fixture
def talkative(monkeypatch):
    """Every step is an interval, and so is every line of the log."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "QUIET_S", 0.0)


def lines(model) -> list[dict]:
    return [json.loads(line) for line in (model / "progress/progress.jsonl").read_text().splitlines()]


def test_every_interval_is_told(train, talkative, caplog):
    caplog.set_level(logging.INFO)
    told = lines(train("out"))
    assert [line["step"] for line in told] == list(range(1, 29)) and {line["steps"] for line in told} == {28}
    for line in told:
        assert line["loss"] > 0 and line["gradient_norm"] > 0 and line["learning_rate"] >= 0
        assert line["positions_per_s"] > line["targets_per_s"] / 2 > 0
    assert told[-1]["eta_s"] == 0 < told[0]["eta_s"]
    spoken = [record.message for record in caplog.records if " step 28/28 loss " in record.message]
    assert len(spoken) == 1 and all(word in spoken[0] for word in ("lr ", "gradient norm", "positions/s", "ETA 0 s"))
    assert spoken[0].isprintable()


def test_rates_and_mean_are_those_of_the_interval(tmp_path, monkeypatch, dataset):
    """By hand, on a clock of the test's own: ten seconds, two steps of 3 positions and 2 targets each."""
    from types import SimpleNamespace

    import torch

    from pinrec_core.config import PretrainConfig
    from pinrec_core.training.update import Taken

    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told = progress.Progress("pretrain", tmp_path / "progress", PretrainConfig(), first=4, steps=10)
    batch = SimpleNamespace(history=SimpleNamespace(length_B=torch.tensor([1, 2])),
                            targets=SimpleNamespace(item_N=torch.zeros(2)))
    for step, loss in ((5, 1.0), (6, 3.0)):
        now[0] += 5.0
        told.tick(step, batch, Taken(loss, 0.5, 0.1))
    line, = lines(tmp_path)
    assert line == {"stage": "pretrain", "step": 6, "steps": 10, "loss": 2.0, "learning_rate": 0.1,
                    "gradient_norm": 0.5, "positions_per_s": 0.6, "targets_per_s": 0.4, "eta_s": 20.0}


def test_fewer_lines_where_no_one_watches(train, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    assert not sys.stderr.isatty()
    assert len(lines(train("out"))) == 28
    assert " loss " not in caplog.text


def test_a_restart_tells_no_step_twice(train, stopped, talkative):
    stopped("out", 9, checkpoint_every_s=0)
    stopped("out", 15)
    folder, = train("out").parent.glob("out/progress")
    assert [line["step"] for line in lines(folder.parent)] == list(range(1, 29))


def test_lines_of_steps_that_are_taken_again_are_dropped(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 3}\n{"step": 4}\n{"step": 5}\n{"step": 3, "lo')
    progress._forget_after(path, 4)
    assert path.read_text() == '{"step": 3}\n{"step": 4}\n'


def test_a_missing_tensorboard_is_said_at_the_start(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as Python marks what cannot be imported
    with pytest.raises(ConfigError, match=r"pip install 'pinrec\[tensorboard\]'"):
        train("out", tensorboard=True)


@NEEDS_TENSORBOARD
def test_event_files_hold_every_interval_once(train, stopped, talkative, same):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stopped("out", 9, tensorboard=True)
    out = train("out", tensorboard=True)
    events = EventAccumulator(str(out / "progress")).Reload()
    assert [event.step for event in events.Scalars("pretrain/loss")] == list(range(1, 29))
    assert set(events.Tags()["scalars"]) == {f"pretrain/{name}" for name in (
        "loss", "learning_rate", "gradient_norm", "positions_per_s", "targets_per_s", "eta_s")}
    assert same(out, train("good"))
