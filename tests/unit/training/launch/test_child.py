"""local and torchrun: real workers that end well, fail, are killed and are told to stop."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.config import LaunchConfig, Launcher
from pinrec_core.errors import EXIT_PREEMPTED, DataError, TrainingError
from pinrec_core.training.job import write_job
from pinrec_core.training.launch.child import WORKER
from pinrec_core.training.launch.start import in_this_process, launch

SECONDS = 60  # to wait for anything
STEP = """
import sys, logging
from pathlib import Path
from components.artifacts import train
from pinrec_core.report.step_marks import Took
from pinrec_core.training.job import read_job
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
train(read_job(Path(sys.argv[1])), sys.argv[2], Took())
"""


def until(found: Callable[[], object]) -> object:
    """Wait for something to be true and return it."""
    for _ in range(SECONDS * 50):
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come in time")


def workers(parent: int | None = None) -> list[int]:
    """Processes that run a worker itself (torchrun's command line names it too), below `parent` or us."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if WORKER.encode() in words and b"torch.distributed.run" not in words:
                found += [int(entry.name)] if _descends(int(entry.name), parent or os.getpid()) else []
        except OSError:  # it has ended
            continue
    return found


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def kill_workers(times: int) -> threading.Thread:
    """Kill the next workers of ours, so many of them."""
    def run() -> None:
        killed: set[int] = set()
        while len(killed) < times:
            victim = until(lambda: set(workers()) - killed).pop()
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_training_ends_as_in_this_process_and_its_lines_are_ours(job, tmp_path, caplog):
    caplog.set_level(logging.INFO, "pinrec")
    peaks: list[int] = []
    manifest = launch(job, LaunchConfig(), peaks.append)
    assert len(peaks) == 1 and peaks[0] > 100 * 1024, "KiB; torch alone has more"
    lines = [record for record in caplog.records if record.message.startswith("pretrain: ")]
    assert lines and lines[0].levelno == logging.INFO
    here = in_this_process(job.model_copy(update={"output": tmp_path / "here"}), LaunchConfig())
    assert here.fingerprint == manifest.fingerprint


@pytest.mark.parametrize("settings", [{}, {"launcher": "torchrun", "processes": 2}])
def test_a_workers_error_is_ours_and_not_tried_again(settings, hopeless, caplog):
    with pytest.raises(DataError) as raised:
        launch(hopeless, LaunchConfig(restart_pause_s=0, **settings))
    says("error: ...: no training targets; check the window, the surface and the user split", raised.value)
    assert "starts again" not in caplog.text
    assert not hopeless.output.exists()


@pytest.mark.parametrize("launcher", [Launcher.LOCAL, Launcher.TORCHRUN])
def test_a_killed_worker_is_started_again(launcher, job, caplog):
    killer = kill_workers(1)
    launch(job, LaunchConfig(launcher=launcher, restart_pause_s=0))
    killer.join(1)
    assert not killer.is_alive()
    assert caplog.text.count("starts again") == 1
    assert (job.output / "manifest.json").is_file()


def test_a_worker_that_is_always_killed_ends_the_step(endless):
    kill_workers(2)
    with pytest.raises(TrainingError, match=r"died 2 times \(launch.max_restarts 1\).*SIGKILL.*memory") as raised:
        launch(endless, LaunchConfig(max_restarts=1, restart_pause_s=0))
    says("error: ...: died ... times (launch.max_restarts ...), the last time so: ...", raised.value)


def test_a_worker_that_cannot_start_is_not_started_again(job, monkeypatch, caplog):
    monkeypatch.setattr("pinrec_core.training.launch.child.WORKER", "pinrec_core.no_such_worker")
    with pytest.raises(TrainingError, match="(?s)recorded no reason.*no_such_worker"):
        launch(job, LaunchConfig(restart_pause_s=0))
    assert "starts again" not in caplog.text


@pytest.mark.parametrize("section", ["{}", '{"launcher": "torchrun", "processes": 2}'])
def test_sigterm_goes_on_to_the_workers_and_the_step_ends_with_75(section, endless, tmp_path):
    write_job(endless, tmp_path / "wanted.json")
    with open(tmp_path / "log", "w+") as log:
        step = subprocess.Popen([sys.executable, "-c", STEP, tmp_path / "wanted.json", section], stdout=log,
                                stderr=subprocess.STDOUT)
        until(lambda: "targets" in (tmp_path / "log").read_text())
        running = workers(step.pid)
        step.send_signal(signal.SIGTERM)
        assert step.wait(SECONDS) == EXIT_PREEMPTED, (tmp_path / "log").read_text()
    assert running and not any(Path(f"/proc/{pid}").exists() for pid in running)
    assert "stopped as asked" in (tmp_path / "log").read_text()
    assert not endless.output.exists()
