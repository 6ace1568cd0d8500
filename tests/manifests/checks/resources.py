"""Amounts that Kubernetes can read, and requests that their limits allow."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from kubernetes.utils import parse_quantity

from checks.built import Built, Finding, Pod, name_of

REQUESTED = ("cpu", "memory")  # what a scheduler must know of every container


def check(built: Built) -> Iterator[Finding]:
    """Rule quantity."""
    for pod in built.pods():
        for container in pod.containers():
            yield from _of_container(pod, container)
        for volume in pod.spec.get("volumes", []):
            limit = (volume.get("emptyDir") or {}).get("sizeLimit")
            if "emptyDir" in volume:
                yield from _unreadable(pod.name, f"volume {volume['name']} sizeLimit", limit)
    for claim in built.of("PersistentVolumeClaim"):
        yield from _unreadable(name_of(claim), "storage", claim["spec"]["resources"]["requests"].get("storage"))


def _of_container(pod: Pod, container: dict) -> Iterator[Finding]:
    given = container.get("resources", {})
    requests, limits = given.get("requests", {}), given.get("limits", {})
    unreadable = [problem for kind, amounts in (("requests", requests), ("limits", limits))
                  for resource, amount in amounts.items()
                  for problem in _unreadable(pod.name, f"{container['name']} {kind}.{resource}", amount)]
    yield from unreadable
    if unreadable:
        return
    for resource in REQUESTED:
        if resource not in requests:
            yield Finding("quantity", pod.name, f"{container['name']} requests no {resource}")
    if "memory" not in limits:
        yield Finding("quantity", pod.name, f"{container['name']} has no limit of memory")
    for resource in requests.keys() & limits.keys():
        if parse_quantity(requests[resource]) > parse_quantity(limits[resource]):
            yield Finding("quantity", pod.name, f"{container['name']} requests {resource} {requests[resource]}, above "
                                                f"its limit {limits[resource]}")


def _unreadable(owner: str, what: str, amount: str | int | None) -> Iterator[Finding]:
    try:
        if amount is None or parse_quantity(amount) <= Decimal(0):
            yield Finding("quantity", owner, f"{what} is {amount}")
    except ValueError:
        yield Finding("quantity", owner, f"{what} {amount!r} is no quantity; write 500m, 2Gi")
