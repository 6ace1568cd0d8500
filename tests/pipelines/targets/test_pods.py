"""What the pod of every step gets, read from what is compiled: resources, places, volume, secret, time."""

from __future__ import annotations

import pytest
from strict_ir import Compiled, read

from pinrec_core.config import NotifyConfig, TargetConfig
from pinrec_core.config.target import STEPS
from pipelines.compile import compiled

# step -> cpu, memory, accelerators, seconds
MINIKUBE = {step: ("1", "1Gi", 0, 3600) for step in STEPS} | {
    "pretrain": ("2", "2Gi", 0, 3600), "finetune": ("1", "2Gi", 0, 3600)}
GKE = {step: ("1", "4Gi", 0, 7200) for step in STEPS} | {
    "aggregate_logs": ("8", "32Gi", 0, 7200), "pretrain": ("8", "32Gi", 1, 43200), "finetune": ("8", "32Gi", 1, 14400),
    "evaluate": ("4", "16Gi", 0, 7200), "build_index": ("4", "16Gi", 0, 7200), "verify_release": ("2", "16Gi", 0, 7200)}
TABLES = {"minikube": MINIKUBE, "gke": GKE}
GPU = {"pretrain", "finetune"}


@pytest.fixture(scope="module", params=sorted(TABLES))
def target(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def found(demo, target) -> Compiled:
    return read(compiled(demo, target).decode())


def test_every_step_asks_for_what_the_target_says(found, target):
    asked = {}
    for step, container in found.containers.items():
        resources = container.resources
        assert resources.resource_cpu_request == resources.resource_cpu_limit
        assert resources.resource_memory_request == resources.resource_memory_limit
        accelerators = resources.accelerator.resource_count if resources.HasField("accelerator") else 0
        asked[step] = (resources.resource_cpu_limit, resources.resource_memory_limit, int(accelerators),
                       found.pods[step].active_deadline_seconds)
    assert asked == TABLES[target]


def test_every_step_runs_the_image_of_the_target_and_says_so(demo, found, target):
    image = demo.targets[target].image
    assert {container.image for container in found.containers.values()} == {image}
    for step, container in found.containers.items():
        given = {variable.name: variable.value for variable in container.env}
        assert given["PINREC_CONTAINER_IMAGE"] == image
        assert given["OMP_NUM_THREADS"] == TABLES[target][step][0]
    assert {pod.image_pull_policy for pod in found.pods.values()} == {demo.targets[target].pull_policy.value}


def test_only_training_goes_where_the_accelerators_are(found, target):
    for step, pod in found.pods.items():
        taints = [(taint.key, taint.operator, taint.value, taint.effect) for taint in pod.tolerations]
        labels = dict(pod.node_selector.labels)
        if target == "minikube":
            assert (taints, labels) == ([], {})
        elif step in GPU:
            assert taints == [("nvidia.com/gpu", "Equal", "present", "NoSchedule")]
            assert labels == {"cloud.google.com/gke-nodepool": "gpu", "cloud.google.com/gke-accelerator": "nvidia-l4"}
            assert found.containers[step].resources.accelerator.resource_type == "nvidia.com/gpu"
        else:
            assert (taints, labels) == ([], {"cloud.google.com/gke-nodepool": "cpu"})


def test_every_step_mounts_the_claim_or_none_does(found, target):
    mounts = {step: [(mount.constant, mount.mount_path) for mount in pod.pvc_mount] for step, pod in found.pods.items()}
    assert mounts == {step: [("pinrec", "/mnt/pinrec")] if target == "minikube" else [] for step in STEPS}


def test_the_exit_task_alone_has_the_secret(found, target):
    secrets = [(step, secret.secret_name, secret.optional, key.secret_key, key.env_var)
               for step, pod in found.pods.items() for secret in pod.secret_as_env for key in secret.key_to_env]
    assert secrets == ([] if target == "minikube" else [
        ("notify", "pinrec-webhook", True, "PINREC_WEBHOOK_SECRET", "PINREC_WEBHOOK_SECRET")])


def test_cached_tasks_and_the_exit_task_know_their_run_by_their_pod(found):
    known = {step: [(field.name, field.field_path) for field in pod.field_path_as_env]
             for step, pod in found.pods.items() if pod.field_path_as_env}
    cached = ("aggregate_logs", "pretrain", "finetune", "evaluate")
    assert known == dict.fromkeys((*cached, "notify"), [("PINREC_RUN_UID", "metadata.labels['pipeline/runid']")])


def test_the_secret_has_the_name_that_notify_looks_for(demo):
    changed = demo.model_copy(update={"notify": NotifyConfig(webhook="https://hooks.example", secret_env="SIGNING")})
    (secret,) = read(compiled(changed, "gke").decode()).pods["notify"].secret_as_env
    assert [(key.secret_key, key.env_var) for key in secret.key_to_env] == [("PINREC_WEBHOOK_SECRET", "SIGNING")]


def test_what_a_target_leaves_to_the_cluster_is_not_asked_for(demo):
    bare = TargetConfig(image="pinrec:7", events="gs://b/e", catalog="gs://b/c", registry="gs://b/r", cpu="", memory="",
                        tolerations=[{"key": "spot"}], steps={"gate": {"cpu": "1500m"}})
    found = read(compiled(demo.model_copy(update={"targets": {"bare": bare}}), "bare").decode())
    asked = found.containers["pretrain"]
    assert not asked.HasField("resources")
    assert [variable.name for variable in asked.env] == ["PINREC_CONTAINER_IMAGE"]
    pod = found.pods["pretrain"]
    assert (pod.active_deadline_seconds, len(pod.pvc_mount), dict(pod.node_selector.labels)) == (0, 0, {})
    assert [(taint.operator, taint.value) for taint in pod.tolerations] == [("Exists", "")]
    gate = {variable.name: variable.value for variable in found.containers["gate"].env}
    assert (found.containers["gate"].resources.resource_cpu_limit, gate["OMP_NUM_THREADS"]) == ("1500m", "1")


def test_compiling_for_one_target_leaves_the_next_as_it_is(demo):
    before = compiled()
    compiled(demo, "gke")
    assert compiled() == before
