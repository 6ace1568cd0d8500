"""The same job through Beam's portable job service, with workers in this process and in a worker pool of their own."""

from __future__ import annotations

import pytest

from pinrec_core.errors import DataError

JOB_SERVICE = "apache_beam.runners.portability.local_job_service_main"
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"


@pytest.fixture
def job_endpoint(serve) -> str:
    """Option that names a running job service."""
    return f"--job_endpoint=localhost:{serve(JOB_SERVICE, '--port={port}')}"


def test_loopback_workers_build_the_same_dataset(busy_log, expected: str, job_endpoint: str) -> None:
    manifest = busy_log.aggregate("loopback", shards=4, runner="PortableRunner",
                                  runner_options=(job_endpoint, "--environment_type=LOOPBACK"))
    assert manifest.fingerprint == expected


def test_an_external_worker_pool_builds_the_same_dataset(busy_log, expected: str, job_endpoint: str, serve,
                                                         tmp_path) -> None:
    pool = serve(WORKER_POOL, "--service_port={port}")
    manifest = busy_log.aggregate(
        "external", shards=4, runner="PortableRunner", work_uri=str(tmp_path / "shared"),
        runner_options=(job_endpoint, "--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}"))
    assert manifest.fingerprint == expected
    assert not list((tmp_path / "shared").iterdir()), "the work folder stayed behind"


def test_what_a_remote_worker_found_reaches_the_person(new_logbook, tmp_path, job_endpoint: str) -> None:
    logbook = new_logbook(tmp_path)
    logbook.add("ann", "a", "click", 10)
    logbook.write(".jsonl")
    with open(tmp_path / "events" / "date=2026-03-02" / "part-0.jsonl", "w") as file:
        file.write('{"user_id": "u", "item_id": "a", "item_type": "pin", "surface": "home", "action": "click", '
                   '"timestamp_ms": 1772409600000}\n' * 20_000 + "this is no JSON\n")
    with pytest.raises(DataError, match="date=2026-03-02/part-0.jsonl"):
        logbook.aggregate(runner="PortableRunner", runner_options=(job_endpoint, "--environment_type=LOOPBACK"))
    assert not (tmp_path / "dataset").exists()
