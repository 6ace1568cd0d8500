"""The second process in a work folder is told who is there; a dead one stops nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.errors import ConflictError
from pipelines.work_lock import LOCK_NAME, only_one

HOLDER = """
import sys
from pathlib import Path
from pipelines.work_lock import only_one
sys.argv = ["pinrec", "run", "--config", "a b.toml"]
with only_one(Path({work!r})):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder until its standard input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER.format(work=str(tmp_path))], text=True,
                               cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_error_names_the_process_that_holds_the_folder(holder, tmp_path):
    with pytest.raises(ConflictError) as error, only_one(tmp_path):
        pass
    assert f"process {holder.pid} of " in str(error.value) and "pinrec run --config 'a b.toml'" in str(error.value)
    says("error: ...: ... is at work there; wait until it has ended, or pass another --work", error.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_leaves_no_lock(holder, tmp_path, number):
    os.kill(holder.pid, number)
    holder.wait()
    with only_one(tmp_path):
        assert f"process {os.getpid()} of " in (tmp_path / LOCK_NAME).read_text()


def test_an_ended_one_leaves_no_lock_and_folders_do_not_hinder_each_other(tmp_path):
    with only_one(tmp_path / "a"), only_one(tmp_path / "b"), pytest.raises(ConflictError), only_one(tmp_path / "a"):
        pass
    with only_one(tmp_path / "a"):
        pass
