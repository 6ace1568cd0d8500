"""What is applied: every composition that docs/deploy.md names builds, and no check finds anything."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from checks import build, findings, hardening
from checks.command import replicas, serve_config

ROOT = Path(__file__).parents[2]
COMPOSITIONS = [
    ("overlays/minikube", (), ""),
    ("overlays/minikube", ("redis",), "kubeflow"),
    ("overlays/minikube", ("trainjob",), "kubeflow"),
    ("overlays/minikube", ("servicemonitor",), "kubeflow"),
    ("overlays/minikube", ("alerts", "redis", "servicemonitor", "trainjob"), "kubeflow"),
    ("overlays/gke", (), ""),
    ("overlays/gke/serving", ("servicemonitor", "alerts"), "pinrec"),
    ("overlays/gke/serving", ("kserve",), "pinrec"),
    ("overlays/gke/serving", ("kserve", "servicemonitor"), "pinrec"),
    ("overlays/gke/pipeline", ("trainjob",), "kubeflow"),
]
TRAINJOB_RULES = re.compile(r"^    - (\{apiGroups.*\})$", re.MULTILINE)


@pytest.mark.parametrize(("overlay", "components", "namespace"), COMPOSITIONS,
                         ids=lambda value: "+".join(value) if isinstance(value, tuple) else value)
def test_nothing_is_wrong_with(compose, overlay, components, namespace):
    built = compose(overlay, *components, namespace=namespace)
    assert built.objects
    assert not findings(built)


def test_the_base_lacks_nothing_but_what_an_overlay_says(compose):
    found = findings(compose("base"))
    assert sorted(finding.rule for finding in found) == ["command", "command", "image"]
    said = "\n".join(finding.says for finding in found)
    assert "set PINREC_REGISTRY" in said
    assert "set PINREC_STORE" in said
    assert "image pinrec names no version" in said


def test_where_the_overlays_serve_from(compose):
    served = {}
    for overlay in ("overlays/minikube", "overlays/gke"):
        built = compose(overlay)
        (pod,) = built.pods()
        config = serve_config(built, pod, pod.spec["containers"][0])
        served[overlay] = (config.registry, bool(config.store), config.port, replicas(built, pod), pod.namespace)
    assert served == {"overlays/minikube": ("/mnt/pinrec/registry", False, 8080, 1, "kubeflow"),
                      "overlays/gke": ("gs://example-bucket/registry", True, 8080, 12, "pinrec")}


def test_pipeline_pods_and_service_share_the_claim(compose):
    built = compose("overlays/minikube")
    (claim,), (pod,) = built.of("PersistentVolumeClaim"), built.pods()
    (mount,) = [mount for mount in pod.spec["containers"][0]["volumeMounts"] if mount["name"] == "pinrec"]
    assert (claim["metadata"]["name"], claim["metadata"]["namespace"]) == ("pinrec", "kubeflow")
    assert (mount["mountPath"], mount["readOnly"]) == ("/mnt/pinrec", True)
    assert not list(compose("overlays/gke").of("PersistentVolumeClaim"))


def test_kserve_takes_the_place_of_deployment_and_autoscaler(compose):
    plain, built = compose("overlays/gke/serving"), compose("overlays/gke/serving", "kserve", namespace="pinrec")
    kinds = {found["kind"] for found in built.objects}
    assert kinds == {found["kind"] for found in plain.objects} - {"Deployment", "HorizontalPodAutoscaler"} | {
        "InferenceService"}
    (pod,), (predictor,), (scaler,) = plain.pods(), built.pods(), plain.of("HorizontalPodAutoscaler")
    own = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "labels", "deploymentStrategy")
    assert {key: predictor.spec[key] for key in own[:4]} == {
        "minReplicas": scaler["spec"]["minReplicas"], "maxReplicas": scaler["spec"]["maxReplicas"], "scaleTarget": 60,
        "scaleMetric": "cpu"}
    assert predictor.labels == pod.labels
    rest = {key: value for key, value in predictor.spec.items() if key not in own}
    rest["containers"][0]["name"] = pod.spec["containers"][0]["name"]
    assert rest == pod.spec


def test_redis_takes_the_place_of_the_secret(compose):
    built = compose("overlays/gke/serving", "redis", namespace="pinrec")
    (pod,) = [pod for pod in built.pods() if pod.owner["metadata"]["name"] == "pinrec-serving"]
    (store,) = [entry for entry in pod.spec["containers"][0]["env"] if entry["name"] == "PINREC_STORE"]
    assert store == {"name": "PINREC_STORE", "value": "redis://pinrec-redis:6379/0"}


def test_the_rights_are_those_that_are_explained(compose):
    """docs/training.md says what a step needs that submits TrainJobs; the component gives that and no more."""
    text = (ROOT / "docs/training.md").read_text("utf-8")
    explained = [yaml.safe_load(rule) for rule in TRAINJOB_RULES.findall(text)]
    built = compose("overlays/minikube", "trainjob", namespace="kubeflow")
    given = [rule for role in built.of("Role", "ClusterRole") if role["metadata"]["name"] != "pinrec-pipeline-executor"
             for rule in role["rules"]]
    assert len(explained) == 5
    assert sorted(map(str, given)) == sorted(map(str, explained))
    every = [rule for role in built.of("Role", "ClusterRole") for rule in role["rules"]]
    assert not any("*" in [*rule["resources"], *rule["verbs"], *rule["apiGroups"]] for rule in every)
    secrets = [rule for rule in every if "secrets" in rule["resources"]]
    assert [rule["resourceNames"] for rule in secrets] == [["mlpipeline-minio-artifact"]]


def test_pods_run_as_the_user_of_the_image():
    assert re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[-1] == str(hardening.USER)


def test_what_the_operator_does_not_make_is_missed(compose):
    built = compose("overlays/gke")
    said = {finding.says for finding in findings(replace(built, operator=frozenset()))}
    assert "serve PINREC_STORE: Secret pinrec-store is neither built nor made by the operator" in said
    assert "namespace kubeflow is neither built nor made by the operator" in said


@pytest.mark.parametrize("components", [("servicemonitor",), ("servicemonitor", "kserve")], ids="+".join)
def test_an_overlay_of_a_team_as_explained(manifests, routes, components):
    """The example of docs/deploy.md, its dots filled in: own settings and image reach the pods, however they serve."""
    text = (ROOT / "docs/deploy.md").read_text("utf-8")
    example = yaml.safe_load(re.search(r"# deploy/kustomization.yaml\n((?:    .*\n)+)", text)[1])
    example["images"][0] |= {"newName": "example.org/pinrec", "digest": "sha256:" + 64 * "1"}
    example["components"] = [f"../manifests/components/{name}" for name in components]
    deploy = manifests.parent / "deploy"
    deploy.mkdir()
    (deploy / "kustomization.yaml").write_text(yaml.safe_dump(example), "utf-8")
    settings = (manifests / "base/serving/pinrec.toml").read_text("utf-8")
    (deploy / "pinrec.toml").write_text(settings.replace("drain_s = 30", "drain_s = 20"), "utf-8")
    built = build(deploy, production=True, operator=frozenset({"Secret/pinrec-store"}), routes=routes)
    (pod,) = built.pods()
    assert not findings(built)
    assert pod.spec["containers"][0]["image"] == "example.org/pinrec@sha256:" + 64 * "1"
    assert serve_config(built, pod, pod.spec["containers"][0]).drain_s == 20


def test_the_commands_of_the_docs_name_what_is_there():
    text = (ROOT / "docs/deploy.md").read_text("utf-8")
    for folder in re.findall(r"kubectl apply -k (manifests/\S+)", text):
        assert (ROOT / folder / "kustomization.yaml").is_file()
    for name in re.findall(r"`((?:base|overlays|components)/[\w/]+)`", text):
        assert (ROOT / "manifests" / name / "kustomization.yaml").is_file()
