"""trainjob: the real client of Kubeflow Trainer against a stand-in for the cluster, real workers in its pods."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest
from cluster import NAMESPACE, SCHEMA, Cluster, serve, shell, unpullable
from test_child import until, workers

from pinrec_core.config import LaunchConfig, Launcher, TrainJobConfig
from pinrec_core.errors import ConfigError, DataError, Preempted, TrainingError
from pinrec_core.training.job import read_job, write_job
from pinrec_core.training.launch import trainjob
from pinrec_core.training.launch.start import launch
from pinrec_core.training.launch.volume import share

SLEEP = "echo INFO pretrain waits; exec sleep 600"
STEP = """
import sys
from pathlib import Path
from pinrec_core.config import LaunchConfig
from pinrec_core.training.job import read_job
from pinrec_core.training.launch.start import launch
launch(read_job(Path(sys.argv[1])), LaunchConfig.parse(sys.argv[2]))
"""


@pytest.fixture
def config(tmp_path) -> LaunchConfig:
    """One pod on a volume of its own, one restart without a pause."""
    (tmp_path / "volume").mkdir()
    settings = TrainJobConfig(image="pinrec:1", claim="pinrec", volume=str(tmp_path / "volume"), cpu="4",
                              memory="16Gi", gpu=1)
    return LaunchConfig(launcher=Launcher.TRAINJOB, max_restarts=1, restart_pause_s=0, trainjob=settings)


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Cluster:
    """A cluster that kubectl's configuration points to."""
    (tmp_path / "cluster").mkdir()
    monkeypatch.setattr(trainjob, "POLL_S", 0.1)
    for cluster, kubeconfig in serve(tmp_path / "cluster"):
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield cluster


def interrupt_when_running(cluster: Cluster, number: int) -> None:
    """Send ourselves a signal as soon as a pod has written its line."""
    def run() -> None:
        until(lambda: any("waits" in pod.log.read_text() for pod in cluster.pods.values()))
        os.kill(os.getpid(), number)
    threading.Thread(target=run, daemon=True).start()


def test_a_trainjob_is_followed_to_its_end_and_cleared_away(cluster, config, job, caplog):
    caplog.set_level(logging.INFO, "pinrec")
    peaks: list[int] = []
    manifest = launch(job, config, peaks.append)
    assert len(peaks) == 1 and peaks[0] > 100 * 1024, "KiB that the pod had"
    assert manifest.facts["stage"] == "base"
    assert (job.output / "manifest.json").is_file()
    assert [r.levelname for r in caplog.records if r.message.startswith("pretrain: ")] == ["INFO"]
    assert len(cluster.submitted) == 1 and len(cluster.deleted) == 1
    assert not list(Path(config.trainjob.volume, "jobs").iterdir())


def test_the_manifest_is_what_the_published_schema_wants(cluster, config, job):
    cluster.programs = [shell("exit 1"), shell("exit 1")]
    with pytest.raises(TrainingError):
        launch(job, config)
    manifest = cluster.submitted[0]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(manifest, SCHEMA)
    trainer, amounts = manifest["spec"]["trainer"], {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": 1}
    assert (trainer["image"], trainer["numNodes"]) == ("pinrec:1", 1)
    assert trainer["resourcesPerNode"] == {"requests": amounts, "limits": amounts}
    assert trainer["command"] == ["torchrun", "--nproc-per-node", "1", "-m", "pinrec_core.training.worker"]
    assert manifest["spec"]["activeDeadlineSeconds"] == config.trainjob.timeout_s
    [patch] = manifest["spec"]["runtimePatches"]
    [node] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "pinrec", "persistentVolumeClaim": {"claimName": "pinrec"}}]
    assert pod["containers"] == [{"name": "node", "volumeMounts": [
        {"name": "pinrec", "mountPath": config.trainjob.volume}]}]
    wanted = read_job(Path(trainer["args"][0]))
    for path in (Path(trainer["args"][0]), wanted.dataset, wanted.output, wanted.checkpoints):
        assert path.is_relative_to(config.trainjob.volume)


def test_a_workers_error_is_ours_and_its_trainjob_stays(cluster, config, hopeless):
    with pytest.raises(DataError, match="no training targets"):
        launch(hopeless, config)
    assert len(cluster.submitted) == 1 and not cluster.deleted


def test_a_killed_pod_is_started_again(cluster, config, job, caplog):
    cluster.programs = [shell("kill -9 $$")]
    launch(job, config)
    assert len(cluster.submitted) == 2
    assert cluster.submitted[0] == cluster.submitted[1]
    assert caplog.text.count("starts again") == 1


def test_a_trainjob_that_fails_too_often_is_explained(cluster, config, job):
    cluster.programs = [shell("kill -9 $$"), shell("echo WARNING nearly full; kill -9 $$")]
    with pytest.raises(TrainingError) as raised:
        launch(job, config)
    name = cluster.submitted[0]["metadata"]["name"]
    for words in (f"TrainJob {NAMESPACE}/{name} Failed, FailedJobs", "jobset failed due to", "OOMKilled, exit code 137",
                  "WARNING nearly full", f"kubectl -n {NAMESPACE} describe trainjob {name}", "died 2 times"):
        assert words in str(raised.value)
    assert cluster.deleted == [name]  # the first one; the last one is there to be looked at
    assert list(cluster.pods) == [name]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, Preempted), (signal.SIGINT, KeyboardInterrupt)])
def test_a_step_that_is_stopped_deletes_its_trainjob(number, error, cluster, config, job):
    cluster.programs = [shell(SLEEP)]
    interrupt_when_running(cluster, number)
    with pytest.raises(error):
        launch(job, config)
    assert cluster.deleted == [cluster.submitted[0]["metadata"]["name"]]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_trainjob_that_takes_too_long_is_deleted_and_explained(cluster, config, job):
    cluster.programs = [unpullable]
    short = config.model_copy(update={"trainjob": config.trainjob.model_copy(update={"timeout_s": 1})})
    with pytest.raises(TrainingError, match=r"not done 1 s .*Pending \(ErrImagePull: no such image\)"):
        launch(job, short)
    assert len(cluster.submitted) == 1 and len(cluster.deleted) == 1


def test_a_killed_step_finds_its_trainjob_again(cluster, config, job, tmp_path):
    cluster.programs = [lambda manifest: ["sh", "-c", f"sleep 8; exec {sys.executable} -m pinrec_core.training.worker "
                                                      f"{manifest['spec']['trainer']['args'][0]}"]]
    write_job(job, tmp_path / "wanted.json")
    step = subprocess.Popen([sys.executable, "-c", STEP, tmp_path / "wanted.json", config.model_dump_json()])
    until(lambda: cluster.pods)
    step.kill()
    step.wait()
    assert launch(job.model_copy(update={"output": tmp_path / "elsewhere"}), config).facts["stage"] == "base"
    assert len(cluster.submitted) == 1


def test_an_api_server_that_is_away_for_a_while_is_waited_for(cluster, config, job, caplog):
    cluster.programs = [lambda manifest: setattr(cluster, "away", 3) or [
        sys.executable, "-m", "pinrec_core.training.worker", manifest["spec"]["trainer"]["args"][0]]]
    launch(job, config)
    assert "503, etcd is away; looks again" in caplog.text
    assert len(cluster.submitted) == 1


def test_what_the_cluster_refuses_is_said(cluster, config, job):
    cluster.forbidden = {"POST"}
    with pytest.raises(ConfigError, match="403, trainjobs is forbidden.*can-i create"):
        launch(job, config)
    unknown = config.model_copy(update={"trainjob": config.trainjob.model_copy(update={"runtime": "no-such"})})
    with pytest.raises(ConfigError, match='runtime no-such.*"no-such" not found'):
        launch(job, unknown)
    assert not cluster.submitted


def test_a_step_without_the_volume_says_how_to_get_it(config, job, tmp_path):
    settings = config.trainjob.model_copy(update={"volume": str(tmp_path / "absent")})
    with pytest.raises(ConfigError, match="absent is no folder here.*claim .pinrec.; set claim and claim_folder"):
        launch(job, config.model_copy(update={"trainjob": settings}))


def test_inputs_are_copied_once_and_a_name_follows_from_what_is_trained(config, job, tmp_path):
    first = share(job, config)
    again = share(job.model_copy(update={"output": tmp_path / "next-run"}), config)
    assert first == again
    assert [path.parent.name for path in Path(config.trainjob.volume).glob("datasets/*/manifest.json")] == [
        first.job.dataset.name]
    other = job.model_copy(update={"pretrain": job.pretrain.model_copy(update={"epochs": 2})})
    assert share(other, config).name != first.name
    assert share(first.job, config).job.dataset == first.job.dataset  # lies there already
    assert not workers()
