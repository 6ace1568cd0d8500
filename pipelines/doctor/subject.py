"""What is examined: a configuration file, and the cluster of one of its targets if one is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pinrec_core.config import Config, TargetConfig
from pinrec_core.errors import ConfigError
from pipelines.doctor.ask import Kubectl

MINIKUBE = "minikube"  # a target of that name is the cluster of minikube's profile and kubectl context of that name


@dataclass(frozen=True)
class Subject:
    """What the checks look at."""

    file: Path | None = None  # the configuration file, None = none was named
    config: Config | None = None  # None = there is none, or it cannot be used
    problem: str = ""  # why it cannot be used
    target_name: str = ""  # "" = this machine
    target: TargetConfig | None = None
    kubectl: Kubectl = field(default_factory=Kubectl)

    @property
    def on_minikube(self) -> bool:
        """Whether the target's cluster is minikube's."""
        return self.target_name == MINIKUBE

    @property
    def work(self) -> Path:
        """The work folder of a run on this machine."""
        return Path("work") / self.config.name if self.config else Path("work")

    @classmethod
    def of(cls, file: Path | None, target_name: str = "", context: str = "") -> Subject:
        """Load the file; a file that cannot be used is a finding, not an error.

        Raises ConfigError if a target is named that the file does not have, or without a file.
        """
        if target_name and file is None:
            raise ConfigError(f"--target {target_name} needs --config FILE with a section [targets.{target_name}]")
        kubectl = Kubectl(context or (MINIKUBE if target_name == MINIKUBE else ""))
        try:
            config = Config.load(file) if file else None
        except ConfigError as error:
            return cls(file, problem=str(error), target_name=target_name, kubectl=kubectl)
        if config and target_name and target_name not in config.targets:
            raise ConfigError(f"{file}: no target {target_name!r}; targets are {sorted(config.targets)}")
        return cls(file, config, "", target_name, config.targets[target_name] if config and target_name else None,
                   kubectl)
