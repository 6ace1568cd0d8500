"""The cluster: whether it answers, its namespace, and Kubeflow Pipelines in it."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any

from pipelines.doctor import versions
from pipelines.doctor.ask import LIMIT_S
from pipelines.doctor.finding import Finding, fail, ok, skipped, warn
from pipelines.doctor.subject import Subject

KFP_NAMESPACE = "kubeflow"  # where its own manifests put it; runs may be in another one
SELECTOR = "application-crd-id=kubeflow-pipelines"  # the label that its manifests give all they make
NEEDED = ("ml-pipeline", "ml-pipeline-persistenceagent", "ml-pipeline-scheduledworkflow", "workflow-controller")
INSTALL = "install Kubeflow Pipelines: docs/minikube.md"
_HEALTH = "apis/v2beta1/healthz"


def reachable(subject: Subject) -> Finding:
    """Whether the cluster answers, and a client that is not too far from it: Kubernetes supports one minor."""
    told = subject.kubectl.document("version")
    server, client = told["serverVersion"]["gitVersion"], told["clientVersion"]["gitVersion"]
    context = subject.kubectl.context or subject.kubectl.ask("config", "current-context").out.strip()
    seen, limit = f"context {context}, Kubernetes {server}", "kubectl within one minor version"
    ours, theirs = versions.numbers(client), versions.numbers(server)
    if ours and theirs and abs(ours[1] - theirs[1]) > 1:
        return warn(f"{seen}, kubectl {client}", limit, f"install kubectl {versions.dotted(theirs)}")
    return ok(seen, limit)


def namespace(subject: Subject) -> Finding:
    """The namespace of the runs."""
    name = subject.target.namespace
    if subject.kubectl.find("namespace", name):
        return ok(name)
    return fail(f"no namespace {name}", "", INSTALL if name == KFP_NAMESPACE else f"kubectl create namespace {name}")


def kubeflow(subject: Subject) -> Finding:
    """The deployments of Kubeflow Pipelines, and the backend's version by its image tag."""
    found = {each["metadata"]["name"]: each for each in subject.kubectl.items(
        "deployments", f"--namespace={KFP_NAMESPACE}", f"--selector={SELECTOR}")}
    oldest, newest = map(versions.dotted, versions.KFP)
    limit = f"{oldest} to {newest}, ready"
    missing = [name for name in NEEDED if name not in found]
    if missing:
        return fail(f"no deployment {', '.join(missing)} in {KFP_NAMESPACE}", limit, INSTALL)
    waiting = sorted(name for name, each in found.items() if not _is_ready(each))
    if waiting:
        told = fail if set(waiting) & set(NEEDED) else warn
        return told(f"not ready: {', '.join(waiting)}", limit, f"kubectl -n {KFP_NAMESPACE} get pods; kubectl -n "
                                                               f"{KFP_NAMESPACE} describe deployment {waiting[0]}")
    return _judge(_image_tag(found["ml-pipeline"]) or _told_version(subject), subject, limit)


def interface(subject: Subject) -> Finding:
    """The API of Kubeflow Pipelines at the target's host, asked with the target's token if it is set."""
    target = subject.target
    if not target.host:
        return skipped("the target names no host, which `pinrec submit` refuses", "kubectl -n kubeflow port-forward "
                       "svc/ml-pipeline 8888:8888, and host = \"http://localhost:8888\"")
    url, token = f"{target.host.rstrip('/')}/{_HEALTH}", os.environ.get(target.token_env, "")
    seen = f"{url} {'with' if token else 'without'} ${target.token_env}"
    try:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        return fail(f"{seen}: {error.code} {error.reason}", "200", f"look at host and at ${target.token_env}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return fail(f"{seen}: {error}", "200 and JSON", "kubectl -n kubeflow port-forward svc/ml-pipeline 8888:8888, "
                                                        "or correct the target's host")
    return ok(seen, "200")


def _is_ready(deployment: dict[str, Any]) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    return deployment.get("status", {}).get("readyReplicas", 0) >= wanted


def _image_tag(deployment: dict[str, Any]) -> str:
    """The tag of the first container's image if it is a version; "" for digests and branches."""
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag if versions.numbers(tag) else ""


def _told_version(subject: Subject) -> str:
    """What the backend says of itself, "" if it does not."""
    told = subject.kubectl.ask("get", "--raw", f"/api/v1/namespaces/{KFP_NAMESPACE}/services/ml-pipeline:8888/proxy/"
                                               "apis/v1beta1/healthz")
    return told.document().get("tag_name", "") if not told.code else ""


def _judge(version: str, subject: Subject, limit: str) -> Finding:
    number, scheduled = versions.numbers(version), subject.target_name in {
        each.target for each in subject.config.schedules.values()}
    if number is None:
        return warn(f"ready, of an unknown version {version!r}", limit, "install a release: docs/minikube.md")
    if scheduled and number < versions.KFP_SCHEDULED_DATE:
        return fail(f"{version}, and the file schedules runs", f"schedules need "
                    f"{versions.dotted(versions.KFP_SCHEDULED_DATE)}, which fills in the date", INSTALL)
    if number < versions.KFP[0]:
        return fail(version, limit, INSTALL)
    return ok(f"{version}, ready", limit) if number <= versions.KFP[1] else warn(version, limit, "install a version "
                                                                                "that was tested: docs/minikube.md")
