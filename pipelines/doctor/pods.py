"""What the pods of the steps need: the image, the volume, the service account's rights, the secrets."""

from __future__ import annotations

from pinrec_core.config import Launcher
from pinrec_core.config.target import DIGEST, SECRET_KEY
from pipelines.doctor.ask import ask
from pipelines.doctor.finding import Finding, fail, ok, skipped, warn
from pipelines.doctor.subject import Subject

RIGHTS = (("create", "workflowtaskresults.argoproj.io"), ("patch", "workflowtaskresults.argoproj.io"),
          ("get", "pods"), ("get", "configmaps/kfp-launcher"))  # of Argo's executor, KFP's driver and launcher
ARTIFACT_RIGHTS = (("get", "secrets/mlpipeline-minio-artifact"),)  # where artifacts go to the cluster's own store
TRAINJOB_RIGHTS = (*((verb, "trainjobs.trainer.kubeflow.org") for verb in ("create", "get", "delete")),
                   ("get", "trainingruntimes.trainer.kubeflow.org"), ("list", "pods"))
ARTIFACT_SECRET, ARTIFACT_KEYS = "mlpipeline-minio-artifact", ("accesskey", "secretkey")
_KEYS = "--output=go-template={{range $key, $value := .data}}{{$key}} {{end}}"  # names alone: values stay there


def image(subject: Subject) -> Finding:
    """Whether the cluster has the image, or can pull just this one."""
    name = subject.target.image
    if DIGEST.match(name):
        return ok(name, "a digest")
    if not subject.on_minikube:
        return skipped(f"{name}: pulled from its registry when a pod starts", f"docker manifest inspect {name}")
    tags = {tag for each in ask(["minikube", "image", "ls", "--format=json"]).document()
            for tag in each.get("repoTags") or ()}
    if {name, f"docker.io/library/{name}", f"docker.io/{name}"} & tags:
        return ok(f"{name} is in minikube")
    return fail(f"{name} is not in minikube", "", f"minikube image build -t {name} .")


def claim(subject: Subject) -> Finding:
    """Whether the volume is there and bound."""
    target = subject.target
    if not target.claim:
        return skipped("the target names no claim")
    found, limit = subject.kubectl.find("persistentvolumeclaim", target.claim, target.namespace), "Bound"
    if found is None:
        return fail(f"no claim {target.claim} in {target.namespace}", limit, _overlay(subject))
    phase, size = found["status"].get("phase", ""), found["spec"]["resources"]["requests"]["storage"]
    if phase == "Bound":
        return ok(f"{target.claim}: Bound, {size}", limit)
    told = warn if phase == "Pending" else fail  # some classes bind when the first pod comes
    return told(f"{target.claim}: {phase}", limit, f"kubectl -n {target.namespace} describe pvc {target.claim}")


def rights(subject: Subject) -> Finding:
    """What the service account of the steps may do."""
    namespace, name = subject.target.namespace, subject.target.service_account
    if subject.kubectl.find("serviceaccount", name, namespace) is None:
        return fail(f"no service account {name} in {namespace}", "", _overlay(subject))
    wanted = [(*right, namespace) for right in (*RIGHTS, *(() if subject.target.pipeline_root else ARTIFACT_RIGHTS))]
    if subject.config.launch.launcher is Launcher.TRAINJOB:
        wanted += [(*right, subject.config.launch.trainjob.namespace or namespace) for right in TRAINJOB_RIGHTS]
    refused, limit = [], f"{len(wanted)} rights"
    for verb, resource, where in wanted:
        told = subject.kubectl.ask("auth", "can-i", verb, resource, f"--namespace={where}",
                                   f"--as=system:serviceaccount:{namespace}:{name}")
        if told.out.strip() == "no":
            refused.append(f"{verb} {resource}")
        elif told.code:
            return warn(f"{name}: {told.reason}", limit, "ask somebody who may impersonate service accounts to look")
    if refused:
        return fail(f"{name} may not {', '.join(refused)}", limit, f"bind a role that allows it to {name}; Kubeflow's "
                                                                   "own manifests do so for pipeline-runner")
    return ok(f"{name} may do all", limit)


def secrets(subject: Subject) -> Finding:
    """The secrets that pods read have their keys; no value is read here."""
    target, wanted = subject.target, {}
    if target.notify_secret:
        wanted[target.notify_secret] = (SECRET_KEY,)
    if not target.pipeline_root:
        wanted[ARTIFACT_SECRET] = ARTIFACT_KEYS  # of the cluster's own object store
    missing = {name: sorted(set(keys) - _keys(subject, name)) for name, keys in wanted.items()}
    lacking = [f"{name} has no {', '.join(keys)}" for name, keys in missing.items() if keys]
    if lacking:
        first = next(name for name, keys in missing.items() if keys)
        files = " ".join(f"--from-file={key}=FILE" for key in missing[first])
        return fail("; ".join(lacking), f"in {target.namespace}",
                    f"kubectl -n {target.namespace} create secret generic {first} {files}")
    return ok(", ".join(f"{name}: {', '.join(keys)}" for name, keys in wanted.items()) or "none needed")


def _keys(subject: Subject, name: str) -> set[str]:
    """Names of the keys of a secret; empty if there is no secret."""
    told = subject.kubectl.ask("get", "secret", name, f"--namespace={subject.target.namespace}", "--ignore-not-found",
                               _KEYS)
    return set(told.out.split()) if not told.code else set()


def _overlay(subject: Subject) -> str:
    """What makes the objects that pinrec brings along."""
    return "kubectl apply -k manifests/overlays/" + (subject.target_name if subject.on_minikube else "NAME")
