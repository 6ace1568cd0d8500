"""What is tried again, what is not, and what is said about it."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from pathlib import Path

import pytest

from pinrec_core.config import LaunchConfig
from pinrec_core.errors import ConfigError, IntegrityError, Preempted, RankLost, TrainingError
from pinrec_core.training.failure import forget_failures, record_failure, recorded_failures
from pinrec_core.training.job import FinetuneJob, read_job, write_job
from pinrec_core.training.launch.relay import KEPT_LINES, Relay
from pinrec_core.training.launch.restarts import StopRequest, WorkerDied, judge, with_restarts


class Attempts:
    """Dies so many times, then ends with an error or well; counts."""

    def __init__(self, deaths: int, error: Exception | None = None):
        self.deaths, self.error, self.made = deaths, error, 0

    def __call__(self) -> None:
        self.made += 1
        if self.made <= self.deaths:
            raise WorkerDied(f"death {self.made}")
        if self.error:
            raise self.error


@pytest.mark.parametrize(("max_restarts", "deaths"), [(0, 0), (2, 1), (2, 2)])
def test_deaths_are_forgiven_up_to_max_restarts(max_restarts, deaths):
    attempts = Attempts(deaths)
    with_restarts("pretrain", attempts, LaunchConfig(max_restarts=max_restarts, restart_pause_s=0), StopRequest())
    assert attempts.made == deaths + 1


def test_one_more_is_an_error_that_tells_of_the_last():
    with pytest.raises(TrainingError, match=r"died 3 times \(launch.max_restarts 2\).*death 3"):
        with_restarts("pretrain", Attempts(3), LaunchConfig(max_restarts=2, restart_pause_s=0), StopRequest())


def test_an_error_is_never_tried_again():
    attempts = Attempts(1, ConfigError("wrong"))
    with pytest.raises(ConfigError, match="wrong"):
        with_restarts("pretrain", attempts, LaunchConfig(restart_pause_s=0), StopRequest())
    assert attempts.made == 2


def test_a_request_to_stop_ends_the_pause_at_once():
    with StopRequest() as stop, pytest.raises(Preempted):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with_restarts("pretrain", Attempts(9), LaunchConfig(restart_pause_s=600), stop)


def test_a_thread_cannot_listen_and_changes_nothing():
    before, errors = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with StopRequest() as stop:
            errors.append(stop.is_set())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == [False] and signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("error", "ranks", "raised", "message"), [
    (IntegrityError("cut short"), 2, IntegrityError, "^cut short$"),
    (ValueError("bad shape"), 1, TrainingError, "^the training process ended with ValueError: bad shape"),
    (ValueError("reset by peer"), 2, WorkerDied, "^how; ValueError: reset by peer$"),
    (RankLost("rank 1 is silent"), 2, WorkerDied, "^how; RankLost: rank 1 is silent$"),
    (Preempted("stopped"), 2, WorkerDied, "^how$")])
def test_what_a_worker_recorded_decides(error, ranks, raised, message, tmp_path):
    record_failure(tmp_path, error, 0, ranks)
    with pytest.raises(raised, match=message):
        judge(recorded_failures(tmp_path), "how")


def test_the_cause_counts_and_not_its_echo(tmp_path):
    record_failure(tmp_path, RankLost("rank 1 is silent"), 0, 2)
    record_failure(tmp_path, IntegrityError("cut short"), 1, 2)
    with pytest.raises(IntegrityError, match="cut short"):
        judge(recorded_failures(tmp_path), "how")
    forget_failures(tmp_path)
    assert recorded_failures(tmp_path) == []


def test_lines_keep_their_level_and_the_last_are_kept(caplog):
    caplog.set_level(logging.DEBUG, "pinrec")
    relay = Relay()
    assert relay.last_lines == "it wrote no line"
    for line in ("WARNING pretrain: slow\n", "\n", "INFO", "Traceback (most recent call last):"):
        relay.take(line)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "pretrain: slow"), ("INFO", "INFO"), ("INFO", "Traceback (most recent call last):")]
    for number in range(KEPT_LINES):
        relay.take(f"line {number}")
    assert "slow" not in relay.last_lines and f"line {KEPT_LINES - 1}" in relay.last_lines


def test_a_job_is_read_as_it_was_written(tmp_path, job):
    tuned = FinetuneJob(dataset=Path("d"), base=Path("b"), output=Path("o"), surface="home", finetune={"epochs": 2})
    for wanted in (job, tuned):
        write_job(wanted, tmp_path / "job.json")
        assert read_job(tmp_path / "job.json") == wanted
    assert tuned.name == "finetune home"


@pytest.mark.parametrize("change", [{"stage": "evaluate"}, {"unknown": 1}, {"pretrain": {"epochs": 0}}])
def test_a_job_of_another_version_is_refused(change, tmp_path, job):
    path = tmp_path / "job.json"
    path.write_text(json.dumps(json.loads(job.model_dump_json()) | change))
    with pytest.raises(ConfigError, match="not a training job.*same image"):
        read_job(path)
