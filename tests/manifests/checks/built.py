"""What kustomize built, with what is known around it: the objects that the operator makes, and the app's routes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Object = dict[str, Any]
WORKLOADS = {"Deployment": ("spec", "template"), "StatefulSet": ("spec", "template"), "DaemonSet": ("spec", "template"),
             "Job": ("spec", "template"), "CronJob": ("spec", "jobTemplate", "spec", "template"), "Pod": ()}


class Finding(NamedTuple):
    """Something wrong."""

    rule: str
    object: str  # Kind/name
    says: str


class Pod(NamedTuple):
    """The pods of a workload: whose, where, under which labels, made of what."""

    owner: Object
    labels: dict[str, str]
    spec: Object

    @property
    def name(self) -> str:
        """Of the workload."""
        return name_of(self.owner)

    @property
    def namespace(self) -> str:
        """Of the workload."""
        return namespace_of(self.owner)

    def containers(self) -> Iterator[Object]:
        """All of them, those that run first and those added by hand included."""
        for kind in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.spec.get(kind) or []


@dataclass(frozen=True)
class Built:
    """The objects of one build."""

    objects: list[Object]
    production: bool = False  # images by digest alone
    operator: frozenset[str] = frozenset()  # "Kind/name" of what the operator makes beforehand
    routes: frozenset[str] = field(default_factory=frozenset)  # paths that the app answers to GET

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of some kinds."""
        return (found for found in self.objects if found["kind"] in kinds)

    def pods(self) -> Iterator[Pod]:
        """What each workload's pods are like."""
        for found in self.objects:
            if found["kind"] == "InferenceService":
                yield Pod(found, found["spec"]["predictor"].get("labels", {}), found["spec"]["predictor"])
            elif found["kind"] in WORKLOADS:
                template = found
                for key in WORKLOADS[found["kind"]]:
                    template = template[key]
                yield Pod(found, template["metadata"].get("labels", {}), template["spec"])

    def has(self, kind: str, name: str, namespace: str) -> bool:
        """Whether it is built, in this namespace, or made by the operator."""
        return f"{kind}/{name}" in self.operator or any(
            found["metadata"]["name"] == name and namespace_of(found) == namespace for found in self.of(kind))


def build(folder: Path, **known: Any) -> Built:
    """What `kubectl kustomize` makes of a folder; CalledProcessError with its message if it refuses."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True)
    return Built([found for found in yaml.safe_load_all(done.stdout) if found], **known)


def name_of(found: Object) -> str:
    """Kind/name."""
    return f"{found['kind']}/{found['metadata']['name']}"


def namespace_of(found: Object) -> str:
    """Of an object, "" without one."""
    return found["metadata"].get("namespace", "")
