"""What an object names is built with it, or made by the operator beforehand, as docs/deploy.md says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from checks.built import Built, Finding, Object, Pod, name_of, namespace_of

MISSING = "is neither built nor made by the operator"
KEYS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap", "secretRef": "Secret", "configMapRef": "ConfigMap"}


class Reference(NamedTuple):
    """Something that an object names."""

    kind: str
    name: str
    where: str


def check(built: Built) -> Iterator[Finding]:
    """Rule reference."""
    for pod in built.pods():
        for needed in (*_of_pod(pod.spec), *_of_containers(pod)):
            if not built.has(needed.kind, needed.name, pod.namespace):
                yield Finding("reference", pod.name, f"{needed.where}: {needed.kind} {needed.name} {MISSING}")
        yield from _mounts(pod)
    for binding in built.of("RoleBinding", "ClusterRoleBinding"):
        yield from _of_binding(built, binding)
    for found in built.objects:
        namespace = namespace_of(found)
        if namespace and not built.has("Namespace", namespace, ""):
            yield Finding("reference", name_of(found), f"namespace {namespace} {MISSING}")


def _of_pod(spec: Object) -> Iterator[Reference]:
    yield Reference("ServiceAccount", spec.get("serviceAccountName", "default"), "serviceAccountName")
    for secret in spec.get("imagePullSecrets", []):
        yield Reference("Secret", secret["name"], "imagePullSecrets")
    for volume in spec.get("volumes", []):
        where = f"volume {volume['name']}"
        sources = [volume, *volume.get("projected", {}).get("sources", [])]
        for source in sources:
            if "configMap" in source:
                yield Reference("ConfigMap", source["configMap"]["name"], where)
            if "secret" in source:
                yield Reference("Secret", source["secret"].get("secretName") or source["secret"]["name"], where)
        if "persistentVolumeClaim" in volume:
            yield Reference("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], where)


def _of_containers(pod: Pod) -> Iterator[Reference]:
    for container in pod.containers():
        named = [(entry["name"], entry.get("valueFrom", {})) for entry in container.get("env", [])]
        named += [("envFrom", source) for source in container.get("envFrom", [])]
        for name, source in named:
            for key, kind in KEYS.items():
                if key in source and not source[key].get("optional"):
                    yield Reference(kind, source[key]["name"], f"{container['name']} {name}")


def _mounts(pod: Pod) -> Iterator[Finding]:
    volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
    for container in pod.containers():
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield Finding("reference", pod.name, f"{container['name']} mounts volume {mount['name']}, there is "
                                                     f"{sorted(volumes)}")


def _of_binding(built: Built, binding: Object) -> Iterator[Finding]:
    role, home = binding["roleRef"], namespace_of(binding)
    if not built.has(role["kind"], role["name"], home if role["kind"] == "Role" else ""):
        yield Finding("reference", name_of(binding), f"roleRef {role['kind']} {role['name']} {MISSING}")
    for subject in binding["subjects"]:
        if not built.has(subject["kind"], subject["name"], subject.get("namespace", home)):
            yield Finding("reference", name_of(binding), f"subject {subject['kind']} {subject['name']} {MISSING}")
