"""What pinrec asks of its pods beyond the restricted profile, and which images they may run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks.built import Built, Finding, Pod

DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
TAGGED = re.compile(r".+:(?P<tag>[\w][\w.-]{0,127})")
USER = 10001  # of the Dockerfile


def check(built: Built) -> Iterator[Finding]:
    """Rules image and hardening."""
    for pod in built.pods():
        yield from (Finding("hardening", pod.name, problem) for problem in _of_pod(built, pod))
        for container in pod.containers():
            for problem in _of_image(container["image"], built.production):
                yield Finding("image", pod.name, f"{container['name']}: image {container['image']} {problem}")


def _of_image(image: str, production: bool) -> Iterator[str]:
    if DIGEST.fullmatch(image):
        return
    tagged = TAGGED.fullmatch(image.rsplit("/", 1)[-1])
    if production:
        yield "of production is no digest"
    elif not tagged:
        yield "names no version"
    elif tagged["tag"] == "latest":
        yield "is whatever was built last"


def _of_pod(built: Built, pod: Pod) -> Iterator[str]:
    for container in pod.containers():
        context = pod.spec.get("securityContext", {}) | container.get("securityContext", {})
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']}: readOnlyRootFilesystem is not true"
        if container.get("command", [""])[0] == "pinrec" and context.get("runAsUser") != USER:
            yield f"{container['name']}: runAsUser is {context.get('runAsUser')}, the image's is {USER}"
    account = pod.spec.get("serviceAccountName", "default")
    if pod.spec.get("automountServiceAccountToken") is not False and not _has_rights(built, account, pod.namespace):
        yield f"a token of {account} is mounted, which has no rights; set automountServiceAccountToken: false"
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false: a Service named pinrec-* would set PINREC_* variables"


def _has_rights(built: Built, account: str, namespace: str) -> bool:
    return any(subject["name"] == account and subject.get("namespace", namespace) == namespace
               for binding in built.of("RoleBinding", "ClusterRoleBinding") for subject in binding["subjects"])
