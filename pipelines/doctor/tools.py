"""The programs that pinrec calls for a cluster: docker, kubectl with kustomize, minikube."""

from __future__ import annotations

from pipelines.doctor import versions
from pipelines.doctor.ask import Unanswered, ask
from pipelines.doctor.finding import Finding, fail, ok, warn
from pipelines.doctor.subject import Subject

GET_MINIKUBE = "install minikube: https://minikube.sigs.k8s.io/docs/start/"


def docker(subject: Subject) -> Finding:
    """The client, and an engine that answers: it builds the image, and is where minikube usually runs."""
    oldest = versions.dotted(versions.DOCKER)
    limit = f"an engine from {oldest} on"
    try:
        told = ask(["docker", "version", "--format", "{{json .}}"])
        server = (told.document() or {}).get("Server")
    except Unanswered as error:
        return warn(str(error), limit, "install docker: https://docs.docker.com/engine/install/")
    if not server:
        return warn(f"no engine answers: {told.reason}", limit, "start it: sudo systemctl start docker; then look with "
                                                                "`docker version`")
    if (found := versions.numbers(server["Version"])) is None or found < versions.DOCKER:
        return warn(f"engine {server['Version']}", limit, f"install docker {oldest} or newer")
    return ok(f"engine {server['Version']}", limit)


def kubectl(subject: Subject) -> Finding:
    """The client and the kustomize inside it."""
    limit = f"kustomize from {versions.dotted(versions.KUSTOMIZE)} on"
    then = "install kubectl: https://kubernetes.io/docs/tasks/tools/"
    try:
        told = ask(["kubectl", "version", "--client", "--output=json"]).document()
    except Unanswered as error:
        return fail(str(error), limit, then)
    kustomize = told.get("kustomizeVersion", "none")
    seen = f"{told['clientVersion']['gitVersion']}, kustomize {kustomize}"
    found = versions.numbers(kustomize)
    return ok(seen, limit) if found and found >= versions.KUSTOMIZE else fail(seen, limit, then)


def minikube(subject: Subject) -> Finding:
    """The program, and whether its cluster runs."""
    limit = f"from {versions.dotted(versions.MINIKUBE)} on, running"
    try:
        version = ask(["minikube", "version", "--output=json"]).document()["minikubeVersion"]
        if (found := versions.numbers(version)) is None or found < versions.MINIKUBE:
            return fail(version, limit, GET_MINIKUBE)
    except Unanswered as error:
        return fail(str(error), limit, GET_MINIKUBE)
    try:
        state = ask(["minikube", "status", "--output=json"]).document()
    except Unanswered as error:  # it prints text where there is no cluster
        return fail(f"{version}, no cluster: {error}", limit, "make minikube")
    nodes = state if isinstance(state, list) else [state]  # a list where there are several
    wrong = sorted({f"{part} {node[part]}" for node in nodes for part in ("Host", "Kubelet", "APIServer")
                    if node.get(part, "Running") not in ("Running", "Irrelevant")})
    if wrong:
        return fail(f"{version}, {', '.join(wrong)}", limit, "minikube start")
    return ok(f"{version}, running", limit)
