"""Launchers "local" and "torchrun": the training in a child process of this one.

A child, because memory that runs out or a crash in native code then ends the child, and not the step that starts it
again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from pinrec_core.errors import EXIT_PREEMPTED, TrainingError
from pinrec_core.training.failure import forget_failures, recorded_failures
from pinrec_core.training.launch.relay import Relay
from pinrec_core.training.launch.restarts import StopRequest, judge, preempted

WORKER = "pinrec_core.training.worker"
POLL_S = 0.2  # how soon the end of the child, or being asked to stop, is seen
GRACE_S = 40.0  # for an unexpected end of this process: torchrun gives its workers 30 s to write their place
DRAIN_S = 5.0  # for the last lines; a grandchild that lives on may hold the pipe open for ever


def run_local(name: str, job_file: Path, stop: StopRequest) -> None:
    """One attempt in one process. A worker that fails without a word (it could not even start) is not started again."""
    relay = Relay()
    code = _run([sys.executable, "-m", WORKER, str(job_file)], job_file.parent, stop, relay)
    if code > 0 and code != EXIT_PREEMPTED and not recorded_failures(job_file.parent) and not stop.is_set():
        raise TrainingError(f"{name}: the worker {_how(code)} and recorded no reason; {relay.last_lines}")
    _conclude(name, job_file.parent, code, stop, f"the worker {_how(code)}; {relay.last_lines}")


def run_torchrun(name: str, job_file: Path, processes: int, stop: StopRequest) -> None:
    """One attempt in several processes on this machine.

    torchrun exits with 1 whatever ended a worker, so one that recorded no failure was killed or preempted.
    """
    relay = Relay()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m",
               WORKER, str(job_file)]
    code = _run(command, job_file.parent, stop, relay)
    _conclude(name, job_file.parent, code, stop,
              f"torchrun with {processes} workers {_how(code)}; {relay.last_lines}")


def _conclude(name: str, folder: Path, code: int, stop: StopRequest, how: str) -> None:
    """Return if the attempt succeeded, raise what ended it otherwise."""
    failures = recorded_failures(folder)
    if code and stop.is_set() and all(failure.is_echo for failure in failures):
        raise preempted(name)
    if code:
        judge(failures, how)


def _run(command: list[str], folder: Path, stop: StopRequest, relay: Relay) -> int:
    """Run a command to its end, its lines to our log; SIGTERM goes on to it. Returns its exit code, -signal if killed.

    It has a session of its own: what a terminal or a supervisor sends to our whole process group reaches it once.
    """
    forget_failures(folder)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace", start_new_session=True,
                             env=os.environ | {"PYTHONUNBUFFERED": "1"})
    reader = threading.Thread(target=lambda: [relay.take(line) for line in child.stdout], daemon=True)
    reader.start()
    try:
        while child.poll() is None and not stop.wait(POLL_S):
            pass
        child.terminate()  # nothing if it has ended
        return child.wait()
    finally:
        _end(child)
        reader.join(DRAIN_S)


def _end(child: subprocess.Popen) -> None:
    """End a child that still runs because an exception, say Ctrl-C, ends us; it may write its place."""
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _how(code: int) -> str:
    """How a process ended, for people."""
    if code == EXIT_PREEMPTED:
        return "was preempted and has written its place"
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as the kernel does when memory runs out"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
