"""Steps that fail, are killed, hang, have no memory, no disk, no storage: how the run ends, what it says, what is live.

Real runs in processes of their own; the faults come from outside (faults/sitecustomize.py) or are a line that is cut.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cut_line import Line, line_to
from journey import ROOT, Outcome, run, small
from object_storage import bucket_server, reach

from pinrec_core import storage

FAULTS = Path(__file__).parent / "faults"
LIMIT_S = 8.0


@pytest.fixture(scope="module")
def place(month, tmp_path_factory) -> Path:
    """A work folder of our own with the small month and what a promoted run on it has left."""
    folder = tmp_path_factory.mktemp("failures")
    shutil.copytree(month / "data", folder / "data")
    done = run(folder, small(folder, {}))
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def live(place) -> bytes:
    """The aliases as they are before the test."""
    return (place / "registry/aliases.json").read_bytes()


@pytest.fixture
def broken(place, tmp_path, monkeypatch):
    """broken("module:function:what", changes, *options) runs with a fault."""
    def start(fault: str, changes: dict[str, Any], *options: str) -> Outcome:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTS), str(ROOT)]))
        monkeypatch.setenv("PINREC_TEST_FAULT", f"{fault}:{tmp_path}")
        done = run(place, small(tmp_path, changes), *options)
        assert (tmp_path / "done").exists(), "there was no fault"
        return done
    return start


def told(done: Outcome, live: bytes, step: str) -> str:
    """What a failed run says of its step, in one line, after a look at all that a failed run has to leave."""
    assert done.code == 1, done.err
    message = json.loads((done.run / "message.json").read_text())
    assert message["status"] == "failed" and message["failed"]["step"] == step
    first = message["failed"]["message"].splitlines()[0]
    assert f"step {step}: {first[:80]}" in message["text"] and first[:80] in done.err
    assert done.tasks("failed") == [step.split()[0]] and "notify" in done.tasks("done")
    assert (done.work / "registry/aliases.json").read_bytes() == live, "what was live is live"
    return first


def test_an_error_of_ours(place, live, tmp_path):
    done = run(place, small(tmp_path, {"validate.min_users": 10**6}))
    assert told(done, live, "validate-data").endswith("1 of 42 checks failed")
    assert "min_users" in done.err and "Traceback" not in done.err


def test_an_error_nobody_thought_of_and_a_receiver_that_is_down(broken, live, monkeypatch):
    monkeypatch.setenv("PINREC_WEBHOOK_SECRET", "s3cret")
    done = broken("pinrec_core.evaluation.evaluate:evaluate:error", {
        "evaluation.bootstrap_samples": 21, "notify": {"webhook": "http://127.0.0.1:9/", "time_limit_s": 1.0}})
    assert told(done, live, "evaluate home") == "KeyError: 'nobody thought of it'"
    webhook = json.loads((done.run / "message.json").read_text())["channels"]["webhook"]
    assert not webhook["delivered"] and "127.0.0.1 did not take it" in webhook["sentence"]


def test_a_killed_step(broken, live):
    first = told(broken("pinrec_core.logs.validate:validate_data:kill", {}), live, "validate-data")
    for word in ("was killed (SIGKILL, exit code 137), as the kernel does when memory runs out", "MiB at its peak",
                 "targets.NAME.steps.validate_data.memory"):
        assert word in first
    peak = int(first.split(" MiB")[0].split()[-1])
    assert 30 < peak < 3000


def test_a_killed_training_goes_on_from_its_place_and_the_run_is_promoted(broken):
    done = broken("pinrec_core.training.checkpoint:Checkpoints.write:kill_after", {
        "pretrain.checkpoint_every_s": 0.01, "pretrain.epochs": 2, "launch": {"restart_pause_s": 0}})
    assert done.code == 0, done.err
    text = next((done.work / "logs").glob(f"{done.run.name}.log")).read_text()
    assert "killed by SIGKILL" in text and "starts again" in text and "goes on after step" in text
    assert done.summary["status"] == "promoted"


def test_no_memory(broken, live):
    first = told(broken("pinrec_core.release.gate:gate:memory", {}), live, "gate")
    assert first.startswith("memory ran out (MemoryError); it had ") and "steps.gate.memory" in first


def test_no_end(broken, live, tmp_path):
    done = broken("pinrec_core.logs.validate:validate_data:hang", {}, "--step-timeout", str(LIMIT_S))
    first = told(done, live, "validate-data")
    assert first.startswith(f"took longer than its limit of {LIMIT_S:g} s") and "--step-timeout" in first
    assert gone((tmp_path / "child").read_text()), "its child goes too"


def gone(pid: str) -> bool:
    """Whether a process has ended, be it that nobody has asked how."""
    for _ in range(100):
        try:
            if Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_no_disk(broken, place, live, tmp_path):
    changes = {"aggregate.shards": 2}
    done = broken("pinrec_core.logs.aggregate:aggregate_logs:full", changes)
    assert "File too large" in told(done, live, "aggregate-logs")
    assert not list((place / "tasks" / done.run.name).rglob("manifest.json")), "nothing of it is complete"
    again = run(place, small(tmp_path, changes))
    assert again.code == 0 and "aggregate-logs" in again.tasks("done"), again.err


@pytest.fixture
def line() -> Iterator[Line]:
    """The way to a bucket."""
    with bucket_server("box") as server, line_to(server.host, server.port) as way:
        reach(way.url)
        yield way


def when(work: Path, words: str, act) -> threading.Thread:
    """Act once the log of the run that begins now has some words in it."""
    before = set((work / "logs").glob("*"))

    def watch() -> None:
        for _ in range(6000):
            for path in set((work / "logs").glob("unfinished-*")) - before:
                if words in path.read_text(errors="replace"):
                    act()
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("step", ["validate-data", "build-index"])
def test_storage_that_comes_back(place, tmp_path, line, step):
    cut = []
    watcher = when(place, f"Executing task '{step}'", lambda: cut.append(line.cut_for(4.0)))
    done = run(place, small(tmp_path, {}), "--registry", f"gs://box/{step}")
    watcher.join(1)
    assert cut and done.code == 0, done.err
    assert storage.exists(f"gs://box/{step}/aliases.json")


def test_storage_that_stays_away(place, tmp_path, line, monkeypatch):
    monkeypatch.setenv("PINREC_STORAGE_WAIT_S", "1")
    watcher = when(place, "Executing task 'validate-data'", line.cut)
    done = run(place, small(tmp_path, {}), "--registry", "gs://box/registry")
    watcher.join(1)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("error: step validate-data failed: gs://box/registry/") and "did not answer for 1 s" in last
    line.mend()
    again = run(place, small(tmp_path, {}), "--registry", "gs://box/registry")
    assert again.code == 0, again.err


def test_without_a_server_of_warm_tasks_an_end_is_told_too(tmp_path):
    script = ("from pipelines.warm.start import _script; from pathlib import Path; import sys; "
              "Path(sys.argv[1]).write_text(_script(Path('/nobody/listens')))")
    subprocess.run([sys.executable, "-c", script, tmp_path / "python"], check=True, cwd=ROOT)
    (tmp_path / "python").chmod(0o700)
    module = tmp_path / "kfp/dsl/executor_main.py"
    module.parent.mkdir(parents=True)
    for folder in (module.parents[1], module.parent):
        (folder / "__init__.py").touch()
    module.write_text("import os, time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    done = subprocess.run([tmp_path / "python", "-m", "kfp.dsl.executor_main"], capture_output=True, text=True,
                          check=False, cwd=tmp_path,
                          env=os.environ | {"PINREC_STEP_TIMEOUT_S": "1", "PYTHONPATH": str(tmp_path)})
    end = json.loads(done.stdout.splitlines()[-1].removeprefix("pinrec-step-end: "))
    assert done.returncode == end["code"] == -15 and end["limit_s"] == 1.0 and end["peak_kib"] > 1000
