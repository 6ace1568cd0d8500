"""The checks in their order, and what must hold before one is worth asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pipelines.doctor import cluster, inputs, machine, pods, tools
from pipelines.doctor.ask import Unanswered
from pipelines.doctor.finding import Finding, Status, fail, skipped
from pipelines.doctor.room import room
from pipelines.doctor.subject import Subject


class Check(NamedTuple):
    """One precondition."""

    name: str
    look: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()  # names of checks before it; it is skipped if one of them failed or was


CONFIG = Check("config", inputs.config)
INPUTS = (Check("events", inputs.events, ("config",)), Check("catalog", inputs.catalog, ("config",)),
          Check("registry", inputs.registry, ("config",)), Check("redis", inputs.store, ("config",)))
HERE = (Check("python", machine.python), Check("packages", machine.packages), Check("memory", machine.memory),
        Check("disk", machine.disk), CONFIG, *INPUTS)
MINIKUBE = Check("minikube", tools.minikube)
IN_CLUSTER = (Check("namespace", cluster.namespace, ("config", "cluster")),
              Check("kubeflow", cluster.kubeflow, ("config", "cluster")),
              Check("api", cluster.interface, ("config",)),
              Check("nodes", room, ("config", "cluster")),
              Check("claim", pods.claim, ("config", "cluster", "namespace")),
              Check("rights", pods.rights, ("config", "cluster", "namespace")),
              Check("secrets", pods.secrets, ("config", "cluster", "namespace")))


def checks(subject: Subject) -> list[Check]:
    """Those that concern the subject: without a target what `pinrec run` needs, with one what a cluster needs too."""
    if not subject.target_name:
        return list(HERE)
    minikube = (MINIKUBE,) if subject.on_minikube else ()
    return [*HERE[:2], CONFIG, Check("docker", tools.docker), Check("kubectl", tools.kubectl), *minikube,
            Check("cluster", cluster.reachable, ("kubectl", *(each.name for each in minikube))), *IN_CLUSTER[:4],
            Check("image", pods.image, ("config", *(each.name for each in minikube))), *IN_CLUSTER[4:], *INPUTS]


def examine(subject: Subject, chosen: Iterable[Check]) -> Iterator[tuple[str, Finding]]:
    """Name and finding of each check, as soon as it is known."""
    standing: dict[str, Status] = {}
    for check in chosen:
        missing = [name for name in check.needs if standing.get(name) in (Status.FAIL, Status.SKIPPED)]
        finding = skipped(f"needs {missing[0]}") if missing else _look(check, subject)
        standing[check.name] = finding.status
        yield check.name, finding


def _look(check: Check, subject: Subject) -> Finding:
    try:
        return check.look(subject)
    except Unanswered as error:
        return fail(str(error), "an answer", f"look at it with `{_by_hand(check, subject)}`")
    except KeyError as error:
        return fail(f"the answer has no {error}", "an answer", f"look at it with `{_by_hand(check, subject)}`")


def _by_hand(check: Check, subject: Subject) -> str:
    """The command that shows more."""
    context = f" --context {subject.kubectl.context}" if subject.kubectl.context else ""
    return "minikube image ls" if check.name == "image" else f"kubectl{context} cluster-info"
