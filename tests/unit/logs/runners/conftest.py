"""One log for all runners, what the local runner makes of it, and servers that start and stop with a test."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports import free_port

START_LIMIT_S = 30
TEST_LIMIT_S = 180  # a runner whose worker never came waits for ever
EVENTS = 3000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder carries the mark."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.runners)


@pytest.fixture(autouse=True)
def limit_time() -> Iterator[None]:
    """A test that hangs fails, and its servers are stopped like after any other failure."""
    def out_of_time(*_: object) -> None:
        pytest.fail(f"still waiting for the runner after {TEST_LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(TEST_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def busy_log(new_logbook, tmp_path_factory):
    """Some thousand events of 150 users with duplicates, bad rows, unknown items and two files a day, on disk."""
    logbook = new_logbook(tmp_path_factory.mktemp("busy"))
    logbook.catalog = [{"item_id": f"i{n}", "item_type": "pin"} for n in range(60)]
    draw = random.Random(7)
    for _ in range(EVENTS):
        row = (f"u{draw.randrange(150)}", f"i{draw.randrange(70)}", draw.choice(["impression", "click", "save"]),
               draw.randrange(3 * 86_400))
        columns = {"surface": draw.choice(["home", "home", "search", "elsewhere"])}
        for _ in range(1 + (draw.random() < 0.05)):
            logbook.add(*row, **columns)
    logbook.write()
    for date, rows in logbook.days.items():
        logbook.write_file(logbook.root / "events" / f"date={date}" / "part-1.parquet", rows[:200])
    return logbook


@pytest.fixture(scope="session")
def expected(busy_log) -> str:
    """Fingerprint of the dataset that the local runner builds."""
    manifest = busy_log.aggregate("local", shards=4)
    assert min(manifest.counts[count] for count in ("rows_kept", "rows_duplicate", "rows_quarantined")) > 500
    return manifest.fingerprint


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """serve(module, "--port={port}") starts a module as a server on a free port, waits for it, gives the port."""
    servers: list[subprocess.Popen] = []

    def start(module: str, *arguments: str) -> int:
        port = free_port()
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # a worker pool starts `python`
        said = tmp_path / f"{module}-{port}.log"  # a pipe would fill up and stop the server
        command = [sys.executable, "-m", module, *(argument.format(port=port) for argument in arguments)]
        with open(said, "wb") as log:
            servers.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env=os.environ | {"PATH": path}))
        wait_for(port, servers[-1], said)
        return port

    yield start
    for server in reversed(servers):
        stop(server)


def wait_for(port: int, server: subprocess.Popen, said: Path) -> None:
    """Return once the port answers; fail with what the server said if it ends or takes too long."""
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{server.args} did not answer on port {port}:\n{said.read_text(errors='replace')[-3000:]}")


def stop(server: subprocess.Popen) -> None:
    """End a server and the workers it started, which share its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
