"""A compiled pipeline read as strictly as can be: what no protocol knows, and what no cluster takes, is an error."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PlatformSpec

# As Kubernetes' resource.ParseQuantity has it: no "K", no "Gb".
QUANTITY = re.compile(r"(\d+|\d+\.\d*|\.\d+)(m|k|[MGTPE]|[KMGTPE]i|[eE]\d+)?")
SPEC = PipelineDeploymentConfig.PipelineContainerSpec


class Compiled(NamedTuple):
    """A pipeline as its protocols have it."""

    spec: PipelineSpec
    containers: dict[str, SPEC]  # step -> what runs
    pods: dict[str, KubernetesExecutorConfig]  # step -> what Kubernetes is asked for; {} without a platform


def read(text: str) -> Compiled:
    """Parse one or two YAML documents. Raises json_format.ParseError or ValueError for anything that is not right."""
    documents = list(yaml.safe_load_all(text))
    return of(documents[0], documents[1] if len(documents) > 1 else {})


def of(pipeline_spec: dict[str, Any], platform_spec: dict[str, Any]) -> Compiled:
    """The same of two documents."""
    spec = json_format.ParseDict(pipeline_spec, PipelineSpec(), ignore_unknown_fields=False)
    deployment = json_format.ParseDict(pipeline_spec["deploymentSpec"], PipelineDeploymentConfig(),
                                       ignore_unknown_fields=False)
    json_format.ParseDict(platform_spec, PlatformSpec(), ignore_unknown_fields=False)
    pods = platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platform_spec else {}
    found = Compiled(spec, {_step(name): executor.container for name, executor in deployment.executors.items()}, {
        _step(name): json_format.ParseDict(pod, KubernetesExecutorConfig(), ignore_unknown_fields=False)
        for name, pod in pods.items()})
    for step, container in found.containers.items():
        _check_container(step, container)
    for step, pod in found.pods.items():
        _check_pod(step, pod, found.containers)
    return found


def tasks(spec: PipelineSpec) -> dict[str, Any]:
    """Every task that runs a container, from all levels of the graph."""
    dags = [spec.root.dag, *(component.dag for component in spec.components.values())]
    return {name.replace("-", "_"): task for dag in dags for name, task in dag.tasks.items()
            if spec.components[task.component_ref.name].executor_label}


def _step(executor: str) -> str:
    return executor.removeprefix("exec-").replace("-", "_")


def _check_container(step: str, container: SPEC) -> None:
    if not re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container.image) or container.image.endswith(":latest"):
        raise ValueError(f"{step}: image {container.image!r}")
    asked = container.resources
    for name in ("resource_cpu_request", "resource_cpu_limit", "resource_memory_request", "resource_memory_limit"):
        quantity = getattr(asked, name)
        if quantity and not QUANTITY.fullmatch(quantity):
            raise ValueError(f"{step}: {name} {quantity!r} is no quantity")
    counted = asked.accelerator
    if asked.HasField("accelerator") and not (counted.resource_type and int(counted.resource_count)):
        raise ValueError(f"{step}: accelerator without name or number")


def _check_pod(step: str, pod: KubernetesExecutorConfig, containers: dict[str, SPEC]) -> None:
    if step not in containers:
        raise ValueError(f"{step}: no such executor")
    for secret in pod.secret_as_env:
        if not secret.secret_name or not secret.key_to_env or not secret.key_to_env[0].secret_key:
            raise ValueError(f"{step}: a secret without a name or a key")
    for mount in pod.pvc_mount:
        if not mount.constant or not mount.mount_path.startswith("/"):
            raise ValueError(f"{step}: a claim without a name or a folder")
    for taint in pod.tolerations:
        if (taint.operator == "Exists") == bool(taint.value):
            raise ValueError(f"{step}: toleration {taint.operator} with value {taint.value!r}")
