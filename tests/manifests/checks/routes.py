"""Probes and Prometheus ask for routes that the app has, on ports that the container has."""

from __future__ import annotations

from collections.abc import Iterator

from checks.built import Built, Finding, Pod, name_of

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def check(built: Built) -> Iterator[Finding]:
    """Rule route."""
    for pod in built.pods():
        for container in pod.containers():
            yield from _of_container(built, pod, container)
    for monitor in built.of("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint.get("path", "/metrics") not in built.routes:
                yield Finding("route", name_of(monitor), f"path {endpoint['path']!r} is no route of the app")


def _of_container(built: Built, pod: Pod, container: dict) -> Iterator[Finding]:
    serves = container.get("command", [])[:2] == ["pinrec", "serve"]
    ports = {port["name"] for port in container.get("ports", [])}
    for name in PROBES:
        probe = container.get(name)
        if serves and not probe:
            yield Finding("route", pod.name, f"{container['name']} has no {name}")
        for how in ("httpGet", "tcpSocket"):
            if probe and how in probe and probe[how]["port"] not in ports:
                yield Finding("port", pod.name, f"{name} asks port {probe[how]['port']!r}, there are {sorted(ports)}")
        if serves and probe and probe.get("httpGet", {}).get("path") not in built.routes:
            yield Finding("route", pod.name, f"{name} asks {probe.get('httpGet', {}).get('path')!r}, which is no route "
                                             "of the app")
