"""This machine, the configuration, the data: what is seen of the real thing."""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from object_storage import bucket_server

from pinrec_core import storage
from pinrec_core.errors import ConfigError
from pipelines.doctor import inputs, machine
from pipelines.doctor.finding import Status, ok
from pipelines.doctor.subject import Subject

ROOT = Path(__file__).parents[3]
TINY = ROOT / "pipelines/configs/tiny.toml"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty current directory; processes that are started from it still find pinrec."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """A bucket named logs on a GCS server of this machine."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with bucket_server("logs"):
        yield "gs://logs"


def write_days(uri: str, days: int, last: date = date(2026, 1, 8)) -> None:
    """Partitions of so many days."""
    for back in range(days):
        storage.write_bytes(f"{uri}/date={last - timedelta(days=back)}/part.parquet", b"rows")


def test_this_python_and_its_packages():
    assert machine.python(Subject()).status is Status.OK
    found = machine.packages(Subject())
    assert found.status is Status.OK and found.limit == "constraints.txt", found
    assert {"torch", "apache-beam", "faiss-cpu", "kfp", "numpy"} <= set(machine._needed())
    assert "fastapi" not in machine._needed()  # of the extra serve


@pytest.mark.parametrize(("installed", "status"), [("2.4.5", Status.WARN), ("1.26.0", Status.FAIL), ("", Status.FAIL)])
def test_packages_of_other_versions(monkeypatch, installed, status):
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "numpy" and not installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed if name == "numpy" else known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = machine.packages(Subject())
    assert found.status is status and "numpy" in found.seen and found.next.startswith("pip install -c constraints.txt")


def test_memory_and_disk(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert machine.disk(Subject()).seen.endswith(f"GiB free at {tmp_path}")
    monkeypatch.setattr(machine, "DISK_GIB", 1e9)
    assert machine.disk(Subject()).status is Status.WARN
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4194304 kB\n")
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert (machine.memory(Subject()).status, machine.memory(Subject()).seen) == (Status.OK, "4.0 GiB free")
    (tmp_path / "memory.max").write_text(f"{2 * 1024**3}\n")
    (tmp_path / "memory.current").write_text(f"{1024**3}\n")
    assert (machine.memory(Subject()).status, machine.memory(Subject()).seen) == (Status.WARN, "1.0 GiB free")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory(Subject()).status is Status.OK


def test_a_file_that_cannot_be_used_is_a_finding(tmp_path):
    (tmp_path / "mine.toml").write_text(TINY.read_text("utf-8").replace("lookback_days", "lookback_day"))
    found = inputs.config(Subject.of(tmp_path / "mine.toml"))
    assert found.status is Status.FAIL and "did you mean 'lookback_days'" in found.seen
    assert inputs.config(Subject.of(tmp_path / "none.toml")).status is Status.FAIL
    assert inputs.config(Subject()).status is Status.SKIPPED


def test_a_target_that_the_file_does_not_have(configure):
    with pytest.raises(ConfigError, match=r"no target 'here'; targets are \['there'\]"):
        Subject.of(configure(), "here")
    with pytest.raises(ConfigError, match="needs --config FILE"):
        Subject.of(None, "here")


def test_data_on_this_machine(elsewhere):
    subject = Subject.of(TINY)
    missing = inputs.events(subject)
    assert missing.status is Status.FAIL and missing.next.startswith("pinrec synth work/tiny/data")
    assert inputs.catalog(subject).status is Status.FAIL
    write_days("work/tiny/data/events", 5)
    assert "up to 2026-01-08, 3 of 8 days missing, first 2026-01-01" in inputs.events(subject).seen
    write_days("work/tiny/data/events", 8)
    assert inputs.events(subject).seen == "work/tiny/data/events: 2026-01-01 to 2026-01-08"
    storage.write_bytes("work/tiny/data/catalog/part.parquet", b"rows")
    assert inputs.catalog(subject).status is Status.OK
    storage.write_bytes("work/tiny/data/events/date=tomorrow/part.parquet", b"rows")
    assert "date=tomorrow is no day" in inputs.events(subject).seen


def test_a_registry_leaves_no_trace(elsewhere):
    assert inputs.registry(Subject.of(TINY)).status is Status.OK
    assert list(elsewhere.iterdir()) == []


def test_a_registry_that_cannot_be_written(elsewhere, monkeypatch):
    (elsewhere / "work").write_text("a file is in the way")
    assert inputs.registry(Subject.of(TINY)).status is Status.FAIL
    monkeypatch.chdir("/proc")  # where nobody writes, root neither
    assert inputs.registry(Subject.of(TINY)).status is Status.FAIL


def test_data_in_a_bucket(bucket, configure):
    places = {"events": f"{bucket}/events", "catalog": f"{bucket}/catalog", "registry": f"{bucket}/registry"}
    subject = Subject.of(configure(cluster=places), "there")
    assert inputs.events(subject).seen == "gs://logs/events: no partitions"
    write_days(f"{bucket}/events", 8)
    storage.write_bytes(f"{bucket}/catalog/part.parquet", b"rows")
    assert inputs.events(subject).seen == "gs://logs/events: 2026-01-01 to 2026-01-08"
    assert inputs.catalog(subject).status is Status.OK
    found = inputs.registry(subject)
    assert found.status is Status.OK and "writable for you" in found.seen
    assert storage.list_names(f"{bucket}/registry") == []


def test_a_bucket_that_is_not_there(bucket, configure):
    places = {"events": "gs://nowhere/events", "catalog": "gs://nowhere/c", "registry": "gs://nowhere/registry"}
    subject = Subject.of(configure(cluster=places), "there")
    for look in (inputs.events, inputs.catalog, inputs.registry):
        assert look(subject).status is Status.FAIL and "404" in look(subject).seen


def test_storage_that_hangs_is_given_up(configure, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setattr("pipelines.doctor.ask.ask.__defaults__", (2.0, ""))
        subject = Subject.of(configure(cluster={"events": "gs://logs/events"}), "there")
        assert "did not answer within 2 s" in inputs.events(subject).seen


def test_a_redis(configure, monkeypatch, tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed, so the Redis store is not tested")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    serve = {"store": f"redis://:the-password@127.0.0.1:{port}/0", "store_timeout_ms": 2000}
    subject = Subject.of(configure(serve=serve))
    found = inputs.store(subject)
    assert found.status is Status.FAIL and "the-password" not in str(found)
    server = subprocess.Popen(["redis-server", "--port", str(port), "--requirepass", "the-password", "--save", "",
                               "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        while (found := inputs.store(subject)).status is Status.FAIL:
            assert server.poll() is None
        assert found.seen == f"redis://***@127.0.0.1:{port}/0: answers"
        assert inputs.store(Subject.of(TINY)).status is Status.SKIPPED
    finally:
        server.kill()
        server.wait()


def test_credentials_in_addresses_are_left_out():
    assert ok("redis://me:secret@host:6379/0 and gs://bucket/a@b").seen == "redis://***@host:6379/0 and gs://bucket/a@b"
