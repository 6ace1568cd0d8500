"""gs:// in, gs:// between and gs:// out through Beam's own filesystem, and the job as Dataflow would get it."""

from __future__ import annotations

import json
import logging

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2
from ports import free_port

from pinrec_core import objects, storage
from pinrec_core.config import AggregateConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.aggregation.inputs import look_at
from pinrec_core.logs.aggregation.job import Job, lay_out, run_job
from pinrec_core.logs.aggregation.partitions import plan_reading
from pinrec_core.logs.aggregation.runners import runner_options
from pinrec_core.logs.aggregation.window import open_window
from pinrec_core.manifest import read_manifest

EXTRA = "the extra 'gcp' is not installed: pip install '.[gcp]'"
auth = pytest.importorskip("apache_beam.internal.gcp.auth")
pytest.importorskip("apache_beam.io.gcp.gcsfilesystem", reason=EXTRA)
emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
IMAGE = "registry.example/pinrec:0.1.0"
DATE = "2026-03-03"
DOERS = ("SpillEvents/Clean and spill", "BuildShards/Number items", "BuildShards/Build shards")
STEPS = ("Tasks", "SpillEvents/Spread", *DOERS, "BuildShards/Gather items", "BuildShards/Gather shards")


@pytest.fixture
def bucket(monkeypatch):
    """A bucket on a fresh local server that Beam and google-cloud-storage both talk to."""
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://localhost:{port}")
    # Without this Beam asks this machine for credentials of a cloud it is not in, for half a minute.
    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)
    monkeypatch.setattr(auth._Credentials, "_credentials", None)
    logging.getLogger("gcp_storage_emulator").setLevel(logging.WARNING)
    objects.client.cache_clear()
    server = emulator.create_server("localhost", port, in_memory=True, default_bucket="site")
    server.start()
    yield "gs://site"
    server.stop()
    objects.client.cache_clear()


@pytest.fixture
def remote_log(busy_log, bucket: str) -> str:
    """The busy log on object storage."""
    for path in sorted(busy_log.root.glob("[ec]*/**/*.parquet")):
        storage.write_bytes(f"{bucket}/{path.relative_to(busy_log.root).as_posix()}", path.read_bytes())
    return bucket


def names_below(uri: str, suffix: str = "") -> list[str]:
    """Objects below a location."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    return [blob.name for blob in objects.client().list_blobs(bucket, prefix=prefix) if blob.name.endswith(suffix)]


def test_object_storage_in_between_and_out(busy_log, expected: str, remote_log: str) -> None:
    settings = AggregateConfig(**busy_log.settings | {"shards": 4, "work_uri": f"{remote_log}/work"})

    def run():
        return aggregate_logs(f"{remote_log}/events", f"{remote_log}/catalog", f"{remote_log}/dataset",
                              log=busy_log.log, aggregate=settings, date=DATE)

    manifest = run()
    assert manifest.fingerprint == expected
    assert not names_below(f"{remote_log}/work"), "the work folder stayed behind"
    with storage.local_tree(f"{remote_log}/dataset") as folder:
        assert read_manifest(folder, "dataset").fingerprint == expected
        read_manifest(folder / "state", "aggregation_state")
    with pytest.raises(IntegrityError, match="already exists"):
        run()


def test_cleaned_partitions_are_taken_over_through_object_storage(busy_log, expected: str, remote_log: str) -> None:
    settings = AggregateConfig(**busy_log.settings | {"shards": 4, "work_uri": f"{remote_log}/work"})

    def run(output: str, **more) -> str:
        return aggregate_logs(f"{remote_log}/events", f"{remote_log}/catalog", f"{remote_log}/{output}",
                              log=busy_log.log, aggregate=settings, date=DATE, **more).fingerprint

    def nothing_to_read(job: Job, tasks: list, carried: list) -> None:
        assert not tasks
        run_job(job, tasks, carried)

    assert run("first") == expected
    assert run("second", previous=f"{remote_log}/first", run=nothing_to_read) == expected


def test_dataflow_gets_the_same_job_with_the_projects_image(busy_log, remote_log: str) -> None:
    settings = AggregateConfig(**busy_log.settings | {
        "runner": "DataflowRunner", "work_uri": f"{remote_log}/work", "runner_options": (
            "--project=example", "--region=europe-west1", f"--temp_location={remote_log}/temp",
            f"--staging_location={remote_log}/staging", "--sdk_location=container",
            f"--sdk_container_image={IMAGE}", f"--template_location={remote_log}/template.json",
            "--job_name=pinrec-aggregate", "--no_save_main_session")})
    inputs = look_at(f"{remote_log}/events", f"{remote_log}/catalog", open_window(DATE, settings))
    job = Job(busy_log.log, settings, inputs.window, f"{remote_log}/scratch", f"{remote_log}/scratch/parts")
    with beam.Pipeline(options=runner_options(settings)) as pipeline:
        lay_out(pipeline, job, plan_reading(inputs.events))
    template = json.loads(storage.read_bytes(f"{remote_log}/template.json"))
    pool, = template["environment"]["workerPools"]
    assert [entry["containerImage"] for entry in pool["sdkHarnessContainerImages"]] == [IMAGE]
    assert not [entry for entry in pool["packages"] if entry["name"].endswith((".tar.gz", ".whl"))], "all code is in it"
    staged, = names_below(f"{remote_log}/staging", "pipeline.pb")
    document = storage.read_bytes(f"{remote_log}/{staged}")
    transforms = {step.unique_name: step for step in
                  beam_runner_api_pb2.Pipeline.FromString(document).components.transforms.values()}
    assert set(STEPS) <= set(transforms)
    for step in DOERS:
        payload = beam_runner_api_pb2.ParDoPayload.FromString(transforms[step].spec.payload)
        assert pickler.loads(payload.do_fn.payload)[0].job == job, "a worker gets all it needs"
