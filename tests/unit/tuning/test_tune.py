"""Real tunings of a very small model: equal for equal seeds, given up early, killed and gone on with."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pinrec_core.config import Config
from pinrec_core.errors import ConfigError, ConflictError, IntegrityError, Preempted, TrainingError
from pinrec_core.manifest import read_manifest
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.update import Update
from pinrec_core.tuning.journal import JOURNAL
from pinrec_core.tuning.result import Table
from pinrec_core.tuning.tune import tune

BOTH = """surface = "home"

[tune.ranges]
"pretrain.learning_rate" = { low = 1e-3, high = 1e-2, log = true }
"finetune.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"""
FINETUNE = """surface = "home"

[tune.ranges]
"finetune.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"""


def test_equal_seeds_give_equal_trials_and_halving_gives_up(walks, write_config, tmp_path):
    config = Config.load(write_config())
    first, second = (tune(config, walks, tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert (tmp_path / "first/result/table.json").read_bytes() == (tmp_path / "second/result/table.json").read_bytes()
    assert [row.trial for row in first.rows] == [0, 1, 2, 3]
    assert len({row.values["pretrain.learning_rate"] for row in first.rows}) == 4
    given_up = [row for row in first.rows if row.state == "given up"]
    assert given_up
    for row in given_up:  # at a rung, behind half of those that had come so far
        assert row.epochs in (1, 2) and list(row.by_epoch) == list(range(1, row.epochs + 1))
        there = [other.by_epoch[row.epochs] for other in first.rows[:row.trial] if row.epochs in other.by_epoch]
        assert there and row.value < max(there)
    assert max(row.value for row in first.rows if row.state == "done") == first.rows[first.best].value
    assert all(row.epochs == 4 for row in first.rows if row.state == "done")


def test_the_best_configuration_is_whole_and_gives_the_same_measure(walks, write_config, tmp_path):
    config = Config.load(write_config())
    table = tune(config, walks, tmp_path / "study")
    best = Config.load(tmp_path / "study/result/best.toml")
    values = table.rows[table.best].values
    assert best.pretrain.learning_rate == values["pretrain.learning_rate"]
    assert best.model.layers == values["model.layers"] and best.tune == config.tune
    head = (tmp_path / "study/result/best.toml").read_text()
    assert f"trial      {table.best} of 4" in head and read_manifest(walks, "dataset").fingerprint in head
    again = pretrain(walks, tmp_path / "again", model=best.model, pretrain=best.pretrain)
    assert again.facts["validation_ndcg@50"] == table.rows[table.best].value
    assert (tmp_path / "study/result/plot.png").read_bytes().startswith(b"\x89PNG")
    assert read_manifest(tmp_path / "study/result", "tuning").counts["trials"] == 4
    assert not list((tmp_path / "study").glob("trials/*"))


def test_finetuning_alone_shares_one_base_model(walks, write_config, tmp_path):
    table = tune(Config.load(write_config(FINETUNE)), walks, tmp_path / "study")
    assert read_manifest(tmp_path / "study/base", "model").facts["stage"] == "base"
    assert table.surface == "home" and all(row.epochs <= 2 for row in table.rows)


def test_both_stages_climb_one_ladder(walks, write_config, tmp_path):
    table = tune(Config.load(write_config(BOTH)), walks, tmp_path / "study")
    assert not (tmp_path / "study/base").exists()
    best = table.rows[table.best]
    assert best.epochs == 6 and list(best.by_epoch) == [1, 2, 3, 4, 5, 6]


def test_a_killed_tuning_goes_on_to_the_same_table(walks, write_config, tmp_path):
    whole = tune(Config.load(write_config()), walks, tmp_path / "whole")
    config = write_config(pretrain="checkpoint_every_s = 0")  # one after every step
    study = tmp_path / "killed"
    command = [sys.executable, "-c", "import sys; from pinrec_core.cli.entry import *; settings = Settings(); "
               "sys.exit(execute(build_app(settings), settings, sys.argv[1:]))", "tune", "--config", str(config),
               "--dataset", str(walks), "--study", str(study)]
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    _wait_for(lambda: _checkpoints(study / "trials/1"))  # in the middle of the second trial
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (study / "result").exists()
    with open(study / JOURNAL, "ab") as journal:
        journal.write(b'{"op_code":5,"worker')  # a line that was cut in half
    gone_on = subprocess.run([*command, "--resume", "--json"], env=os.environ | {"OMP_NUM_THREADS": "1"},
                             capture_output=True, text=True, check=True)
    assert Table.model_validate_json(gone_on.stdout) == whole
    assert json.loads((study / "result/table.json").read_bytes()) == json.loads(whole.model_dump_json())
    assert "pretrain goes on after step" in gone_on.stderr


def test_a_tuning_that_is_asked_to_stop_goes_on(walks, write_config, tmp_path, monkeypatch):
    config, take = _of_trials(Config.load(write_config()), 1), Update.__call__
    whole = tune(config, walks, tmp_path / "whole")

    def interrupted(self, batch, step):
        if step == 5:
            signal.raise_signal(signal.SIGTERM)
        return take(self, batch, step)

    with monkeypatch.context() as patched, pytest.raises(Preempted, match="stopped in trial 0; .* --resume goes on"):
        patched.setattr(Update, "__call__", interrupted)
        tune(config, walks, tmp_path / "study")
    assert tune(config, walks, tmp_path / "study", resume=True) == whole


def test_more_trials_of_the_same_study(walks, write_config, tmp_path):
    one, two = (_of_trials(Config.load(write_config()), count) for count in (1, 2))
    tune(one, walks, tmp_path / "study")
    assert tune(two, walks, tmp_path / "study", resume=True) == tune(two, walks, tmp_path / "whole")


def test_a_study_is_not_taken_for_another(walks, write_config, tmp_path):
    one = _of_trials(Config.load(write_config()), 1)
    tune(one, walks, tmp_path / "study")
    with pytest.raises(IntegrityError, match="holds a study of 1 trials already; pass --resume"):
        tune(one, walks, tmp_path / "study")
    other = one.model_copy(update={"pretrain": one.pretrain.model_copy(update={"epochs": 3})})
    with pytest.raises(ConfigError, match="of other settings, data or another version"):
        tune(other, walks, tmp_path / "study", resume=True)
    (tmp_path / "study" / JOURNAL).write_text("nonsense\n")
    with pytest.raises(IntegrityError, match="not a journal of `pinrec tune`"):
        tune(one, walks, tmp_path / "study", resume=True)


def test_one_tuning_at_a_time(walks, write_config, tmp_path):
    (tmp_path / "study").mkdir()
    with open(tmp_path / "study/lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another tuning is at work there"):
            tune(Config.load(write_config()), walks, tmp_path / "study")


def test_a_trial_that_cannot_train_fails_alone(walks, write_config, tmp_path):
    ranges = '\n[tune.ranges]\n"pretrain.learning_rate" = { choices = [1e-3, 1e30] }\n'
    config = Config.load(write_config(ranges))
    bad = config.model_copy(update={"pretrain": config.pretrain.model_copy(update={"max_bad_steps": 0})})
    table = tune(bad, walks, tmp_path / "study")
    failed = [row for row in table.rows if row.state == "failed"]
    assert failed and all("non-finite" in row.why and row.values["pretrain.learning_rate"] == 1e30 for row in failed)
    ranges = '\n[tune.ranges]\n"pretrain.learning_rate" = { choices = [1e30, 1e31] }\n'
    config = Config.load(write_config(ranges))
    bad = config.model_copy(update={"pretrain": config.pretrain.model_copy(update={"max_bad_steps": 0})})
    with pytest.raises(TrainingError, match="none of 4 trials came to its end"):
        tune(bad, walks, tmp_path / "none")


def _of_trials(config: Config, count: int) -> Config:
    return config.model_copy(update={"tune": config.tune.model_copy(update={"trials": count})})


def _checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob("base.checkpoints/*/step-*"))


def _wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)
