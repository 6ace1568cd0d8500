"""A cluster with all that the pipeline needs, behind the real kubectl, and a configuration file with it as target."""

from __future__ import annotations

import shutil
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w

from pipelines.doctor.subject import Subject

from .kubernetes_api import KubernetesApi

TINY = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"
KFP = ("ml-pipeline", "ml-pipeline-ui", "ml-pipeline-persistenceagent", "ml-pipeline-scheduledworkflow",
       "workflow-controller")
SECRET_VALUE = "aG9saWRheXM="  # what no output may ever show


def deployment(image: str = "ghcr.io/kubeflow/kfp-api-server:2.15.0", ready: int = 1) -> dict:
    """A deployment of one replica, labelled as Kubeflow's are."""
    return {"metadata": {"labels": {"application-crd-id": "kubeflow-pipelines"}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "main", "image": image}]}}},
            "status": {"readyReplicas": ready}}


def node(cpu: str = "4", memory: str = "16393216Ki", **other) -> dict:
    """A node, as large as it says."""
    return {"metadata": {"labels": other.pop("labels", {})}, "spec": {"taints": other.pop("taints", [])},
            "status": {"allocatable": {"cpu": cpu, "memory": memory, **other}}}


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Iterator[KubernetesApi]:
    """All is well in it; kubectl's current context "here" points to it."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed, so what it is asked is not tested")
    api = KubernetesApi()
    for name in KFP:
        api.put("deployments", name, deployment(), "kubeflow")
    api.put("namespaces", "kubeflow", {})
    api.put("nodes", "minikube", node())
    api.put("persistentvolumeclaims", "pinrec", {"spec": {"resources": {"requests": {"storage": "20Gi"}}},
                                                 "status": {"phase": "Bound"}}, "kubeflow")
    api.put("serviceaccounts", "pipeline-runner", {}, "kubeflow")
    api.put("secrets", "mlpipeline-minio-artifact", {"data": {"accesskey": SECRET_VALUE, "secretkey": SECRET_VALUE}},
            "kubeflow")
    monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl keeps what it has discovered
    monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "kubeconfig", "here")))
    yield api
    api.close()


@pytest.fixture
def configure(tmp_path) -> Callable[..., Path]:
    """configure(target=..., cluster={...}, **sections): tiny.toml with one target and with these sections."""

    def write(target: str = "there", cluster: dict | None = None, **sections) -> Path:
        content = tomllib.loads(TINY.read_text("utf-8")) | sections
        content["targets"] = {target: {
            "image": "pinrec:0.1.0", "events": "/mnt/pinrec/data/events", "catalog": "/mnt/pinrec/data/catalog",
            "registry": "/mnt/pinrec/registry", "claim": "pinrec"} | (cluster or {})}
        file = tmp_path / "doctor.toml"
        file.write_text(tomli_w.dumps(content))
        return file

    return write


@pytest.fixture
def subject(configure) -> Callable[..., Subject]:
    """subject(...): as `configure`, ready to be examined."""

    def make(target: str = "there", **settings) -> Subject:
        return Subject.of(configure(target, **settings), target, "here")

    return make


@pytest.fixture
def program(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """program(name, shell): an executable of that name, first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def write(name: str, shell: str) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{shell}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return write
