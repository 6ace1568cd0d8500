"""The same job on a Dask cluster of two processes (experimental: docs/aggregation.md says why)."""

from __future__ import annotations

import contextlib
import os

import pytest

distributed = pytest.importorskip("dask.distributed", reason="the extra 'dask' is not installed: pip install '.[dask]'")


@pytest.fixture
def cluster():
    """Two worker processes of one thread each."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
                                  dashboard_address=None) as cluster:
        yield cluster
        with contextlib.suppress(ValueError):
            distributed.default_client().close()  # DaskRunner leaves its client open


def test_two_dask_processes_build_the_same_dataset(busy_log, expected: str, cluster) -> None:
    with distributed.Client(cluster) as client:
        workers = client.run(os.getpid)
    assert len(set(workers.values()) - {os.getpid()}) == 2
    manifest = busy_log.aggregate(
        "dask", shards=4, runner="apache_beam.runners.dask.dask_runner.DaskRunner",
        runner_options=(f"--dask_client_address={cluster.scheduler_address}", "--dask_npartitions=2"))
    assert manifest.fingerprint == expected
