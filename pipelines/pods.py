"""What a target adds to the pipeline: the image, and what the pod of each step gets. The one place where it is said.

The pipeline itself (pipelines/training.py) knows no target: its function is called as it is, and then every task that
it made is given what [targets.NAME] says of its step. What belongs to a run and not to a pod goes with the request of
the run instead: service account, pipeline root, experiment.
"""

from __future__ import annotations

import functools
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.pipeline_context import Pipeline

from components.image import RUN_UID
from pinrec_core.config import NotifyConfig, StepConfig, TargetConfig
from pinrec_core.config.target import SECRET_KEY
from pinrec_core.release.provenance.built import IMAGE_VARIABLE
from pipelines.training import NAME, TITLE, pinrec_training

# Steps that may be cached, and notify, which reads what they left, know their run by their pod alone: that is in no
# cache key. So a cached step can say why it failed.
TOLD = ("aggregate_logs", "pretrain", "finetune", "evaluate", "notify")


def pipeline_on(target: TargetConfig, notify: NotifyConfig) -> Any:
    """The training pipeline as KFP's compiler takes it, with every task equipped for the target."""
    story = pinrec_training.pipeline_func

    @functools.wraps(story)
    def equipped(*arguments: Any) -> None:
        story(*arguments)
        for task in Pipeline.get_default_pipeline().tasks.values():
            equip(task, target, notify)

    return dsl.pipeline(name=NAME, display_name=TITLE)(equipped)


def equip(task: dsl.PipelineTask, target: TargetConfig, notify: NotifyConfig) -> None:
    """Give a task what the target says of its step."""
    name = task.component_spec.name.replace("-", "_")
    step = target.step(name)
    task.set_container_image(target.image)
    task.set_env_variable(IMAGE_VARIABLE, target.image)  # what a release says it was built in
    kubernetes.set_image_pull_policy(task, target.pull_policy.value)
    if target.claim:
        kubernetes.mount_pvc(task, pvc_name=target.claim, mount_path=target.claim_folder)
    if step.timeout_s:
        kubernetes.set_timeout(task, step.timeout_s)
    if name in TOLD:
        kubernetes.use_field_path_as_env(task, RUN_UID, "metadata.labels['pipeline/runid']")
    if name == "notify" and target.notify_secret:
        # Optional: a secret that is not there would keep the exit task from starting, and nobody would hear of the run.
        kubernetes.use_secret_as_env(task, target.notify_secret, {SECRET_KEY: notify.secret_env}, optional=True)
    _give_resources(task, step)
    _place(task, step)


def _give_resources(task: dsl.PipelineTask, step: StepConfig) -> None:
    """Requests equal to limits, so that a pod has what it was promised and takes no more."""
    if step.cpu:
        task.set_cpu_request(step.cpu).set_cpu_limit(step.cpu)
        # Without it torch starts a thread for every core of the node, and they wait for each other.
        task.set_env_variable("OMP_NUM_THREADS", str(whole_cpus(step.cpu)))
    if step.memory:
        task.set_memory_request(step.memory).set_memory_limit(step.memory)
    if step.accelerators:
        task.set_accelerator_type(step.accelerator).set_accelerator_limit(step.accelerators)


def _place(task: dsl.PipelineTask, step: StepConfig) -> None:
    """The nodes that a pod may be on."""
    for key, value in sorted(step.node_selector.items()):
        kubernetes.add_node_selector(task, key, value)
    for taint in step.tolerations:
        kubernetes.add_toleration(task, key=taint.key, operator="Equal" if taint.value else "Exists",
                                  value=taint.value or None, effect=taint.effect.value)


def whole_cpus(cpu: str) -> int:
    """Whole processors of a CPU quantity, one at least.

    >>> whole_cpus("500m"), whole_cpus("1.5"), whole_cpus("4000m"), whole_cpus("8")
    (1, 1, 4, 8)
    """
    return max(1, int(cpu[:-1]) // 1000 if cpu.endswith("m") else int(float(cpu)))
