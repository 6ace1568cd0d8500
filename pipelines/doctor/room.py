"""Whether the nodes have what the target's steps ask for, and whether it is free now."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from pinrec_core.config import StepConfig
from pinrec_core.config.target import STEPS
from pipelines.doctor.ask import Unanswered
from pipelines.doctor.finding import Finding, fail, ok, warn
from pipelines.doctor.subject import Subject

GROW = "give nodes more, or lower cpu and memory of the target's steps"


class Node(NamedTuple):
    """What a node offers; amounts in cores, bytes and devices by the name of the resource."""

    name: str
    labels: dict[str, str]
    taints: list[dict[str, str]]
    offers: dict[str, Decimal]
    taken: dict[str, Decimal]  # of pods that are there; empty if they may not be listed

    def takes(self, step: StepConfig) -> bool:
        """Whether its labels and taints let the step's pods in."""
        return (step.node_selector.items() <= self.labels.items()
                and all(_tolerated(taint, step) for taint in self.taints))

    def holds(self, asked: dict[str, Decimal], *, beside_others: bool) -> bool:
        """Whether it is large enough, for all of it or beside the pods that are there."""
        return all(self.offers.get(name, Decimal(0)) - (self.taken.get(name, Decimal(0)) if beside_others else 0)
                   >= amount for name, amount in asked.items())


def room(subject: Subject) -> Finding:
    """Every step needs one node that lets it in and is large enough."""
    nodes, steps = _nodes(subject), {name: subject.target.step(name) for name in STEPS}
    refused = [name for name, step in steps.items() if not any(node.takes(step) for node in nodes)]
    small = [name for name, step in steps.items() if name not in refused and not _fits(nodes, step, False)]
    busy = [name for name, step in steps.items() if name not in refused + small and not _fits(nodes, step, True)]
    largest = max(nodes, key=lambda node: node.offers.get("memory", Decimal(0)), default=None)
    seen = f"{len(nodes)} nodes, the largest with {_told(largest.offers)}" if largest else "no nodes"
    if small:
        return fail(f"{seen}: too small for {', '.join(small)}", _largest([steps[name] for name in small]), GROW)
    if refused:
        return warn(f"{seen}: none with the labels, and without other taints, of {', '.join(refused)}",
                    "node_selector and tolerations of the target",
                    "nothing if a node pool that is empty now has them; else correct the target")
    if busy:
        return warn(f"{seen}: not free now for {', '.join(busy)}, which wait until other pods end",
                    _largest([steps[name] for name in busy]), GROW)
    return ok(seen, _largest(list(steps.values())))


def _nodes(subject: Subject) -> list[Node]:
    """The nodes that take pods."""
    taken: dict[str, dict[str, Decimal]] = {}
    try:
        for pod in subject.kubectl.items("pods", "--all-namespaces", "--field-selector="
                                         "status.phase!=Succeeded,status.phase!=Failed"):
            _add(taken.setdefault(pod["spec"].get("nodeName", ""), {}), pod)
    except Unanswered:  # who may not list pods is told what the nodes are in all
        taken = {}
    return [Node(each["metadata"]["name"], each["metadata"].get("labels", {}), each["spec"].get("taints", []),
                 {name: _amount(value) for name, value in each["status"]["allocatable"].items()},
                 taken.get(each["metadata"]["name"], {}))
            for each in subject.kubectl.items("nodes") if not each.get("spec", {}).get("unschedulable")]


def _add(taken: dict[str, Decimal], pod: dict[str, Any]) -> None:
    for container in pod["spec"]["containers"]:
        for name, value in container.get("resources", {}).get("requests", {}).items():
            taken[name] = taken.get(name, Decimal(0)) + _amount(value)


def _asked(step: StepConfig) -> dict[str, Decimal]:
    """What a pod of the step requests."""
    asked = {"cpu": _amount(step.cpu), "memory": _amount(step.memory)}
    return asked | ({step.accelerator: Decimal(step.accelerators)} if step.accelerators else {})


def _fits(nodes: list[Node], step: StepConfig, beside_others: bool) -> bool:
    return any(node.takes(step) and node.holds(_asked(step), beside_others=beside_others) for node in nodes)


def _largest(steps: list[StepConfig]) -> str:
    """The most that one of them asks for, by resource."""
    asked = [_asked(step) for step in steps]
    return _told({name: max(each.get(name, Decimal(0)) for each in asked) for each in asked for name in each})


def _told(amounts: dict[str, Decimal]) -> str:
    """Cores, memory and devices in words."""
    devices = [f"{amount:f} {name}" for name, amount in amounts.items() if "/" in name and amount]
    return ", ".join([f"{amounts.get('cpu', Decimal(0)):.3g} CPU",
                      f"{amounts.get('memory', Decimal(0)) / 1024**3:.1f} GiB", *devices])


def _amount(text: str) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity

    return parse_quantity(text or "0")


def _tolerated(taint: dict[str, str], step: StepConfig) -> bool:
    """Whether the scheduler lets the step's pods onto a node with this taint."""
    return taint["effect"] == "PreferNoSchedule" or any(
        each.key == taint["key"] and each.effect == taint["effect"] and each.value in ("", taint.get("value", ""))
        for each in step.tolerations)
