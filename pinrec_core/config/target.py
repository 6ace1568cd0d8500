"""[targets.NAME]: a cluster that runs the pipeline: where its interface and its data are, what each step is given.

`pinrec compile --target NAME` reads it; "local" is this machine and needs no section. A target of production takes
images by digest alone: a tag can be moved to other code under a pipeline that is reviewed, cached and scheduled.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Section, is_folder_below_root

_NAME, _WORD = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
# What Kubernetes and KFP both take: what one of them refuses would fail after the compilation.
Cpu = Annotated[str, Field(pattern=r"^([1-9]\d*m|[1-9]\d*(\.\d+)?|0\.\d*[1-9]\d*)?$")]  # "2", "1.5", "500m"
Memory = Annotated[str, Field(pattern=r"^([1-9]\d*(Ki|[MGTPE]i?))?$")]  # "16Gi", "500M"; never a bare number of bytes
Name = Annotated[str, Field(pattern=f"^{_NAME}$", max_length=253)]  # of a Kubernetes object
NoName = Annotated[str, Field(pattern=f"^({_NAME})?$", max_length=253)]  # the same, or ""
LabelKey = Annotated[str, Field(pattern=f"^({_NAME}/)?{_WORD}$", max_length=317)]
LabelValue = Annotated[str, Field(pattern=f"^({_WORD})?$", max_length=63)]
ResourceName = Annotated[str, Field(pattern=f"^{_NAME}/{_WORD}$", max_length=317)]

SECRET_KEY = "PINREC_WEBHOOK_SECRET"  # the key of notify_secret
LOCAL = "local"  # the target that needs no section: the tasks run on this machine
STEPS = ("aggregate_logs", "validate_data", "pretrain", "finetune", "resolve_live", "evaluate", "gate", "build_index",
         "verify_release", "promote", "reject", "notify")
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")


class Effect(StrEnum):
    """What a node's taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class PullPolicy(StrEnum):
    """When a node fetches the image."""

    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"  # it was loaded onto the node, as `minikube image load` does


class Toleration(Section):
    """A taint that pods may be placed in spite of."""

    key: LabelKey  # of the taint
    value: LabelValue = ""  # "" = whatever the taint's value is
    effect: Effect = Effect.NO_SCHEDULE


class StepConfig(Section):
    """What the pod of a step gets. What a step leaves out is the target's."""

    cpu: Cpu = ""  # requested and limit; "" = the target's
    memory: Memory = ""  # requested and limit; "" = the target's
    accelerators: int = Field(default=0, ge=0)  # 0 = none
    accelerator: ResourceName = "nvidia.com/gpu"  # the resource that is counted
    node_selector: dict[LabelKey, LabelValue] = {}  # labels that the node must have, beside the target's
    tolerations: list[Toleration] = []  # beside the target's
    timeout_s: int = Field(default=0, ge=0)  # seconds after which the pod is ended; 0 = the target's


class TargetConfig(Section):
    """A cluster with Kubeflow Pipelines."""

    host: str = ""  # URL of the Kubeflow Pipelines API; "" = not set, which submit, schedule and status refuse
    token_env: str = Field(default="PINREC_KFP_TOKEN", min_length=1)  # environment variable with its bearer token
    namespace: Name = "kubeflow"  # of the runs
    experiment: str = Field(default="pinrec", min_length=1)  # of Kubeflow Pipelines, under which runs are listed
    service_account: Name = "pipeline-runner"  # that the pods of the steps run as; goes with each run
    cron_time_zone: str = Field(default="UTC", min_length=1)  # CRON_SCHEDULE_TIMEZONE of its schedule controller
    image: str = Field(min_length=1)  # of every step
    pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    production: bool = False  # true = images by digest alone
    events: str = Field(min_length=1)  # URI or folder in the pods: the event log
    catalog: str = Field(min_length=1)  # URI or folder in the pods: the item catalog
    registry: str = Field(min_length=1)  # URI or folder in the pods: the release registry
    pipeline_root: str = ""  # URI below which Kubeflow keeps artifacts; "" = the cluster's default
    store: str = ""  # URI or folder in the pods for large data, of which artifacts then hold no more than the address;
    # "" = the artifacts hold the data
    claim: NoName = ""  # PersistentVolumeClaim that the steps mount; "" = none
    claim_folder: str = "/mnt/pinrec"  # where
    notify_secret: NoName = ""  # Kubernetes secret with the key PINREC_WEBHOOK_SECRET, for notify; "" = none
    cpu: Cpu = "1"  # per pod, of steps that say nothing else; "" = the cluster's
    memory: Memory = "2Gi"  # per pod, of steps that say nothing else; "" = the cluster's
    timeout_s: int = Field(default=0, ge=0)  # of steps that say nothing else; 0 = none
    node_selector: dict[LabelKey, LabelValue] = {}  # labels that the nodes of all steps must have
    tolerations: list[Toleration] = []
    steps: dict[str, StepConfig] = {}

    def step(self, name: str) -> StepConfig:
        """What step `name` gets, with the target's settings where it has none of its own."""
        own = self.steps.get(name, StepConfig())
        return own.model_copy(update={
            "cpu": own.cpu or self.cpu, "memory": own.memory or self.memory,
            "timeout_s": own.timeout_s or self.timeout_s,
            "node_selector": self.node_selector | own.node_selector,
            "tolerations": [*self.tolerations, *own.tolerations]})

    @model_validator(mode="after")
    def _steps_exist(self) -> Self:
        unknown = sorted(set(self.steps) - set(STEPS))
        if unknown:
            raise ValueError(f"steps.{unknown[0]}: no such step; the steps are {list(STEPS)}")
        return self

    @model_validator(mode="after")
    def _production_is_pinned(self) -> Self:
        if self.production and not DIGEST.match(self.image):
            raise ValueError(f"image {self.image!r} of a production target is no digest; write name@sha256:..., as "
                             "`docker push` prints it")
        if not self.production and re.search(r"(:latest|/[^:@]+|^[^:@/]+)$", self.image):
            raise ValueError(f"image {self.image!r} names no version; Kubeflow caches by image name, so write a tag "
                             "of its own for every build")
        return self

    @model_validator(mode="after")
    def _claim_folder_is_absolute(self) -> Self:
        if not is_folder_below_root(self.claim_folder):
            raise ValueError(f"claim_folder {self.claim_folder!r} is no absolute folder below /; write /mnt/pinrec")
        return self

    @model_validator(mode="after")
    def _pods_see_the_data(self) -> Self:
        for name in ("events", "catalog", "registry", "store"):
            place = getattr(self, name)
            seen = place.startswith("gs://") or self.claim and PurePosixPath(place).is_relative_to(self.claim_folder)
            if place and not seen:
                raise ValueError(f"{name} {place!r} is neither gs:// nor below the folder of a claim, so no pod sees "
                                 "it; write gs://..., or set claim and a folder below claim_folder")
        return self
