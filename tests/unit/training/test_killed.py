"""Killed and stopped, again and again, a run ends as an undisturbed one: the same losses (per epoch, every digit) and
the same weights, byte by byte."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli_w

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.errors import EXIT_PREEMPTED
from pinrec_core.training.finetune import finetune
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.validation import Validation

MODEL = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=64, id_dim=16, dropout=0.2,
                    id_dropout=0.1, attribute_buckets=8, transitions=True)
LONG = {"epochs": 12, "batch_size": 1, "random_negatives": 4, "in_batch_negatives": 4, "sketch_width": 64,
        "patience": 100, "checkpoint_every_s": 0.05}
LATEST = 90  # of 168 steps: the last kill comes before the end


@pytest.mark.parametrize("signals", [(signal.SIGKILL,) * 3, (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)],
                         ids=["SIGKILL", "SIGTERM and SIGKILL"])
def test_killed_three_times_at_random_moments(walks, tmp_path, same, signals):
    settings = PretrainConfig(**LONG)
    pretrain(walks, tmp_path / "good", model=MODEL, pretrain=settings)
    again = {"dataset": walks, "output": tmp_path / "out", "model": MODEL, "pretrain": settings}
    pick = random.Random(len(set(signals)))
    for number, after in zip(signals, sorted(pick.sample(range(1, LATEST), 3)), strict=True):
        kill(pretrain, again, number, after, tmp_path / "out.checkpoints", pick.uniform(0, 0.05))
        assert not (tmp_path / "out").exists()
    pretrain(**again)
    assert same(tmp_path / "out", tmp_path / "good")
    losses = [line["loss"] for line in told(tmp_path / "out") if "loss" in line]
    assert len(losses) == LONG["epochs"] and losses[-1] < losses[0]
    assert not (tmp_path / "out.checkpoints").exists()


def test_fine_tuning_goes_on_too(walks, tmp_path, same):
    pretrain(walks, tmp_path / "base", model=MODEL, pretrain=PretrainConfig(epochs=1))
    again = {"dataset": walks, "base": tmp_path / "base", "surface": "home",
             "finetune": FinetuneConfig(**LONG)}
    finetune(**again, output=tmp_path / "good")
    kill(finetune, again | {"output": tmp_path / "out"}, signal.SIGKILL, 60, tmp_path / "out.checkpoints")
    finetune(**again, output=tmp_path / "out")
    assert same(tmp_path / "out", tmp_path / "good")


@pytest.mark.parametrize("steps", [(0,), (6,), (7, 8), (3, 27), (13, 14, 20)])
def test_stopped_in_any_step_of_an_epoch(train, stopped, same, steps):
    for step in steps:
        said = stopped("out", step)
        assert f"after step {step + 1}, epoch {step // 7 + 1}; its place is in" in said
    assert same(train("out"), train("good"))


@pytest.mark.parametrize("validation", [0, 2, 5], ids=["before the first epoch", "between epochs", "of transitions"])
def test_stopped_while_validating(train, stopped, same, monkeypatch, validation):
    measure, asked = Validation.scores, []

    def interrupted(self, model, weights):
        asked.append(weights)
        if len(asked) == validation + 1:
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("a signal ends validation at once")
        return measure(self, model, weights)

    monkeypatch.setattr(Validation, "scores", interrupted)
    assert f"after step {7 * min(validation, 4)}," in stopped("out", -1)
    assert same(train("out"), train("good"))


def test_the_command_exits_with_75_and_goes_on(walks, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(tomli_w.dumps({
        "name": "t", "log": {"surfaces": ["home"], "positive_actions": ["click"]},
        "gate": {"floors": {"home": {"recall@50": 0.1}}}, "model": MODEL.model_dump(exclude={"embedding_dropout"}),
        "pretrain": LONG}))
    command = [sys.executable, "-c", "from pinrec_core.cli.entry import *; import sys; s = Settings(); "
               "sys.exit(execute(build_app(s), s))", "pretrain", "--config", str(config), "--dataset", str(walks),
               "--output", str(tmp_path / "out"), "--checkpoints", str(tmp_path / "place")]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for(tmp_path / "place", 50, run.poll)
    asked = time.monotonic()
    run.send_signal(signal.SIGTERM)
    error = run.communicate()[1]
    assert run.returncode == EXIT_PREEMPTED == 75, error
    assert time.monotonic() - asked < 10  # of the 30 s that a node gives
    assert error.splitlines()[-1].startswith("preempted: pretrain: stopped by SIGTERM after step ")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "goes on after step " in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name in ("out", "place")] == ["out"]


def kill(step, arguments: dict, number: int, after: int, checkpoints: Path, delay_s: float = 0) -> None:
    """Run in a process of its own and send it a signal once it has a checkpoint of a step at or past `after`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pinrec_core.training.finetune"])
    run = context.Process(target=step, kwargs=arguments)
    run.start()
    wait_for(checkpoints, after, lambda: run.exitcode)
    time.sleep(delay_s)
    os.kill(run.pid, number)
    run.join()
    assert run.exitcode == (1 if number == signal.SIGTERM else -number)  # 1: Preempted left the function


def wait_for(checkpoints: Path, step: int, ended) -> None:
    while not any(int(path.name[5:]) >= step for path in checkpoints.glob("*/step-*")):
        assert ended() is None, "it ended before it could be killed"
        time.sleep(0.002)


def told(model: Path) -> list[dict]:
    return [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
