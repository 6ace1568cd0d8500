"""[launch] and [launch.trainjob]: where training processes run, and how often they are started again.

None of it shapes what is learned but `processes` and `nodes`: they share out the batches, so that sums are rounded in
another order.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Positive, Section, is_folder_below_root

Quantity = Annotated[str, Field(pattern=r"^(\d+(\.\d+)?(m|k|[KMGT]i?)?)?$")]  # of Kubernetes: "4", "500m", "16Gi"


class Launcher(StrEnum):
    """What starts the training processes."""

    LOCAL = "local"  # one child process of the step
    TORCHRUN = "torchrun"  # torchrun in a child process of the step: `processes` of them on this machine
    TRAINJOB = "trainjob"  # a TrainJob of Kubeflow Trainer: `processes` on each of `trainjob.nodes` pods


class TrainJobConfig(Section):
    """The TrainJob that the trainjob launcher submits and follows; see docs/training.md for what the cluster needs."""

    image: str = ""  # of the training pods, with what extra "steps" installs; "" = not set, which trainjob refuses
    claim: str = ""  # PersistentVolumeClaim that the step and the training pods mount, ReadWriteMany if they are on
    # several nodes; "" = not set, which trainjob refuses
    volume: str = "/mnt/pinrec"  # where both mount it
    namespace: str = ""  # "" = that of the step's pod; outside a cluster that of kubectl's current context
    runtime: str = Field(default="torch-distributed", min_length=1)  # TrainingRuntime or ClusterTrainingRuntime
    nodes: Positive = 1  # pods
    cpu: Quantity = ""  # per pod, requested and limit; "" = the runtime's
    memory: Quantity = ""  # per pod, requested and limit; "" = the runtime's
    gpu: int = Field(default=0, ge=0)  # per pod, nvidia.com/gpu
    timeout_s: Positive = 86400  # seconds from a TrainJob's submission, waiting for room included; then it is deleted

    @model_validator(mode="after")
    def _volume_is_a_folder(self) -> Self:
        if not is_folder_below_root(self.volume):
            raise ValueError(f"volume {self.volume!r} is no absolute folder below /; the claim is mounted there")
        return self


class LaunchConfig(Section):
    """How the pretrain and finetune steps start their training."""

    launcher: Launcher = Launcher.LOCAL
    processes: Positive = 1  # torchrun and trainjob: training processes per machine, one per GPU where there are some
    max_restarts: int = Field(default=3, ge=0)  # after a preemption or a kill, never after an error; 0 = none
    restart_pause_s: float = Field(default=10.0, ge=0)  # seconds before each
    checkpoints: str = ""  # folder below which runs keep their place, say on a mounted volume; "" = beside the output,
    # with trainjob <volume>/checkpoints
    trainjob: TrainJobConfig = TrainJobConfig()  # what launcher trainjob submits

    @model_validator(mode="after")
    def _launcher_has_what_it_needs(self) -> Self:
        if self.launcher is Launcher.LOCAL and self.processes > 1:
            raise ValueError(f"launcher 'local' is one process, processes is {self.processes}; set launcher = "
                             "\"torchrun\"")
        if self.launcher is not Launcher.TRAINJOB:
            return self
        for name in ("image", "claim"):
            if not getattr(self.trainjob, name):
                raise ValueError(f"launcher 'trainjob' needs trainjob.{name}; see docs/training.md")
        if self.checkpoints and not PurePosixPath(self.checkpoints).is_relative_to(self.trainjob.volume):
            raise ValueError(f"checkpoints {self.checkpoints!r} does not lie below trainjob.volume "
                             f"{self.trainjob.volume!r}, so that a pod's place would go with the pod; move it there")
        return self

    def canonical_json(self) -> str:
        """As JSON without what is default: a setting added to pinrec changes no cache key of KFP."""
        return self.model_dump_json(exclude_defaults=True)
