"""Selectors select what they are there for, and ports by name exist there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks.built import Built, Finding, Object, Pod, name_of, namespace_of


def check(built: Built) -> Iterator[Finding]:
    """Rules selector and port."""
    yield from _own_templates(built)
    for service in built.of("Service"):
        yield from _pods_and_ports(built, service, service["spec"]["selector"],
                                   [port.get("targetPort", port["port"]) for port in service["spec"]["ports"]])
    for budget in built.of("PodDisruptionBudget"):
        yield from _pods_and_ports(built, budget, budget["spec"]["selector"]["matchLabels"], [])
    for policy in built.of("NetworkPolicy"):
        yield from _of_policy(built, policy)
    for scaler in built.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if not built.has(target["kind"], target["name"], namespace_of(scaler)):
            yield Finding("selector", name_of(scaler), f"scales {target['kind']} {target['name']}, which is not built")
    for monitor in built.of("ServiceMonitor"):
        yield from _of_monitor(built, monitor)
    for rules in built.of("PrometheusRule"):
        yield from _of_rules(built, rules)


def selected(built: Built, labels: dict[str, str], namespace: str) -> list[Pod]:
    """The pods with all of these labels; an empty selector is all of them."""
    return [pod for pod in built.pods() if pod.namespace == namespace and labels.items() <= pod.labels.items()]


def _own_templates(built: Built) -> Iterator[Finding]:
    for pod in built.pods():
        wanted = pod.owner["spec"].get("selector", {}).get("matchLabels", {})
        if not wanted.items() <= pod.labels.items():
            yield Finding("selector", pod.name, f"selects {wanted}, its own pods have {pod.labels}")
        for spread in pod.spec.get("topologySpreadConstraints", []):
            labels = spread["labelSelector"]["matchLabels"]
            if not labels.items() <= pod.labels.items():
                yield Finding("selector", pod.name, f"spreads {labels}, its own pods have {pod.labels}")


def _pods_and_ports(built: Built, owner: Object, labels: dict[str, str], ports: list[str | int]) -> Iterator[Finding]:
    pods = selected(built, labels, namespace_of(owner))
    if not pods:
        yield Finding("selector", name_of(owner), f"selects {labels}, which no pod has")
    for pod in pods:
        there = {port[key] for container in pod.containers() for port in container.get("ports", [])
                 for key in ("name", "containerPort") if key in port}
        yield from (Finding("port", name_of(owner), f"port {port!r} is not of {pod.name}, which has "
                                                    f"{sorted(map(str, there))}")
                    for port in ports if port not in there)


def _of_policy(built: Built, policy: Object) -> Iterator[Finding]:
    spec = policy["spec"]
    ports = [port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])]
    yield from _pods_and_ports(built, policy, spec["podSelector"].get("matchLabels", {}), ports)
    for rule in spec.get("egress", []):
        for peer in rule.get("to", []):
            if "podSelector" in peer and "namespaceSelector" not in peer:
                yield from _pods_and_ports(built, policy, peer["podSelector"].get("matchLabels", {}),
                                           [port["port"] for port in rule.get("ports", [])])
    for rule in spec.get("ingress", []):
        for peer in rule.get("from", []):
            if "podSelector" in peer and "namespaceSelector" not in peer:
                yield from _pods_and_ports(built, policy, peer["podSelector"].get("matchLabels", {}), [])


def _of_monitor(built: Built, monitor: Object) -> Iterator[Finding]:
    wanted = monitor["spec"]["selector"]["matchLabels"]
    services = [found for found in built.of("Service") if namespace_of(found) == namespace_of(monitor)
                and wanted.items() <= found["metadata"].get("labels", {}).items()]
    if not services:
        yield Finding("selector", name_of(monitor), f"selects {wanted}, which no Service has")
    for service in services:
        there = {port.get("name") for port in service["spec"]["ports"]}
        yield from (Finding("port", name_of(monitor), f"port {endpoint['port']!r} is not of {name_of(service)}")
                    for endpoint in monitor["spec"]["endpoints"] if endpoint["port"] not in there)


def _of_rules(built: Built, rules: Object) -> Iterator[Finding]:
    """A ServiceMonitor calls the job of what it scrapes as its Service is called."""
    services = {found["metadata"]["name"] for found in built.of("Service")}
    jobs = {job for group in rules["spec"]["groups"] for rule in group["rules"]
            for job in re.findall(r'\bjob="([^"]*)"', str(rule.get("expr", "")))}
    yield from (Finding("selector", name_of(rules), f"asks for job {job!r}, which no Service is called")
                for job in sorted(jobs - services))
