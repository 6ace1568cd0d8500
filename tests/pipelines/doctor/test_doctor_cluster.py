"""The checks of a cluster, through the real kubectl against a server of this machine."""

from __future__ import annotations

import pytest

from pipelines.doctor import cluster as looks
from pipelines.doctor import pods
from pipelines.doctor.ask import Unanswered
from pipelines.doctor.examination import checks, examine
from pipelines.doctor.finding import Status
from pipelines.doctor.room import room

from .conftest import SECRET_VALUE, deployment, node

SEEN_FROM_HERE = ("config", "kubectl", "cluster", "namespace", "kubeflow", "nodes", "claim", "rights", "secrets")


def test_a_cluster_with_all_it_needs(cluster, subject):
    found = dict(examine(subject(), checks(subject())))
    assert {name: found[name].status for name in SEEN_FROM_HERE} == dict.fromkeys(SEEN_FROM_HERE, Status.OK)
    assert found["cluster"].seen == "context here, Kubernetes v1.32.0"
    assert found["kubeflow"].seen == "2.15.0, ready"
    assert found["events"].status is Status.SKIPPED and "folder in the pods" in found["events"].seen
    assert found["image"].status is Status.SKIPPED and "pulled from its registry" in found["image"].seen


def test_one_that_does_not_answer_fails_once(cluster, subject):
    cluster.close()
    found = dict(examine(subject(), checks(subject())))
    assert found["cluster"].status is Status.FAIL and "refused" in found["cluster"].seen
    assert found["cluster"].next == "look at it with `kubectl --context here cluster-info`"
    assert {found[name].seen for name in ("namespace", "kubeflow", "nodes", "rights")} == {"needs cluster"}


def test_a_client_too_far_from_the_server_is_told(cluster, subject):
    cluster.version = "v1.60.3"
    found = looks.reachable(subject())
    assert found.status is Status.WARN and found.next == "install kubectl 1.60"


def test_a_missing_namespace(cluster, subject):
    found = looks.namespace(subject(cluster={"namespace": "team"}))
    assert (found.status, found.seen, found.next) == (Status.FAIL, "no namespace team", "kubectl create namespace team")


def test_kubeflow_that_is_not_installed(cluster, subject):
    del cluster.objects["deployments", "kubeflow"]
    found = looks.kubeflow(subject())
    assert found.status is Status.FAIL and "no deployment ml-pipeline, " in found.seen


@pytest.mark.parametrize(("name", "status"), [("workflow-controller", Status.FAIL), ("ml-pipeline-ui", Status.WARN)])
def test_a_deployment_that_is_not_ready(cluster, subject, name, status):
    cluster.put("deployments", name, deployment(ready=0), "kubeflow")
    found = looks.kubeflow(subject())
    assert (found.status, found.seen) == (status, f"not ready: {name}")
    assert f"describe deployment {name}" in found.next


def test_deployments_of_others_are_not_looked_at(cluster, subject):
    cluster.put("deployments", "pinrec-serving", deployment(ready=0) | {"metadata": {}}, "kubeflow")
    assert looks.kubeflow(subject()).status is Status.OK


@pytest.mark.parametrize(("tag", "status"), [("2.14.3", Status.FAIL), ("2.15.0", Status.OK), ("2.17.1", Status.OK),
                                             ("2.18.0", Status.WARN)])
def test_versions_of_the_backend(cluster, subject, tag, status):
    cluster.put("deployments", "ml-pipeline", deployment(f"registry.example:5000/kfp-api-server:{tag}"), "kubeflow")
    assert looks.kubeflow(subject()).status is status


def test_the_backend_is_asked_where_its_tag_is_no_version(cluster, subject):
    cluster.put("deployments", "ml-pipeline", deployment("ghcr.io/kubeflow/kfp-api-server@sha256:" + "a" * 64),
                "kubeflow")
    unknown = looks.kubeflow(subject())
    assert unknown.status is Status.WARN and "unknown version ''" in unknown.seen
    cluster.raw["/api/v1/namespaces/kubeflow/services/ml-pipeline:8888/proxy/apis/v1beta1/healthz"] = {
        "commit_sha": "abc", "tag_name": "2.16.1", "multi_user": False}
    assert looks.kubeflow(subject()).seen == "2.16.1, ready"


def test_schedules_need_a_backend_that_fills_in_the_date(cluster, subject):
    nightly = {"nightly": {"target": "there", "cron": "0 0 3 * * *", "time_zone": "UTC"}}
    found = looks.kubeflow(subject(schedules=nightly))
    assert found.status is Status.FAIL and "schedules need 2.16" in found.limit


def test_a_step_that_fits_on_no_node(cluster, subject):
    found = room(subject(cluster={"steps": {"pretrain": {"memory": "64Gi", "cpu": "8"}}}))
    assert found.status is Status.FAIL and found.seen.endswith("too small for pretrain")
    assert found.limit == "8 CPU, 64.0 GiB" and "the largest with 4 CPU, 15.6 GiB" in found.seen


def test_one_large_node_is_enough_but_two_halves_are_not(cluster, subject):
    asked = subject(cluster={"steps": {"pretrain": {"memory": "20Gi", "cpu": "2"}}})
    cluster.put("nodes", "second", node(cpu="4", memory="16Gi"))
    assert room(asked).status is Status.FAIL
    cluster.put("nodes", "third", node(cpu="1", memory="32Gi"))
    assert room(asked).status is Status.FAIL  # memory here, cores there
    cluster.put("nodes", "fourth", node(cpu="2", memory="32Gi"))
    assert room(asked).status is Status.OK


def test_what_other_pods_hold_is_told(cluster, subject):
    cluster.put("pods", "database", {"spec": {"nodeName": "minikube", "containers": [
        {"name": "main", "resources": {"requests": {"cpu": "3500m", "memory": "1Gi"}}}]}}, "kubeflow")
    found = room(subject())
    assert found.status is Status.WARN and "not free now for aggregate_logs, " in found.seen
    cluster.forbidden.add("pods")
    assert room(subject()).status is Status.OK


def test_labels_and_taints_shut_pods_out(cluster, subject):
    gpu = {"steps": {"pretrain": {"accelerators": 1, "node_selector": {"pool": "gpu"},
                                  "tolerations": [{"key": "nvidia.com/gpu", "value": "present"}]}}}
    found = room(subject(cluster=gpu))
    assert found.status is Status.WARN and found.seen.endswith("of pretrain")
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    cluster.put("nodes", "gpu", node(labels={"pool": "gpu"}, taints=taints))
    assert "too small for pretrain" in room(subject(cluster=gpu)).seen  # no device
    cluster.put("nodes", "gpu", node(labels={"pool": "gpu"}, taints=taints, **{"nvidia.com/gpu": "1"}))
    assert room(subject(cluster=gpu)).status is Status.OK
    cluster.put("nodes", "gpu", node(labels={"pool": "gpu"}, taints=[*taints, {"key": "ill", "effect": "NoExecute"}],
                                     **{"nvidia.com/gpu": "1"}))
    assert room(subject(cluster=gpu)).status is Status.WARN


def test_no_nodes_at_all_are_a_warning(cluster, subject):
    del cluster.objects["nodes", ""]
    assert room(subject()).seen.startswith("no nodes")


@pytest.mark.parametrize(("phase", "status"), [("Bound", Status.OK), ("Pending", Status.WARN), ("Lost", Status.FAIL)])
def test_the_claim(cluster, subject, phase, status):
    cluster.objects["persistentvolumeclaims", "kubeflow"]["pinrec"]["status"]["phase"] = phase
    assert pods.claim(subject()).status is status


def test_a_claim_that_is_not_there(cluster, subject):
    found = pods.claim(subject(cluster={"claim": "other"}))
    assert found.status is Status.FAIL and "no claim other in kubeflow" in found.seen


def test_rights_are_those_of_the_service_account(cluster, subject):
    assert pods.rights(subject()).status is Status.OK
    assert {who for path, who in cluster.asked if path.endswith("selfsubjectaccessreviews")} == {
        "system:serviceaccount:kubeflow:pipeline-runner"}
    cluster.denied.add(("patch", "workflowtaskresults"))
    found = pods.rights(subject())
    assert found.status is Status.FAIL
    assert found.seen == "pipeline-runner may not patch workflowtaskresults.argoproj.io"


def test_secrets_are_asked_for_by_name(cluster, subject):
    cluster.denied.add(("get", "mlpipeline-minio-artifact"))
    assert "may not get secrets/mlpipeline-minio-artifact" in pods.rights(subject()).seen
    assert pods.rights(subject(cluster={"pipeline_root": "gs://artifacts/root"})).status is Status.OK


def test_training_jobs_need_more_rights(cluster, subject):
    cluster.denied.add(("create", "trainjobs"))
    assert pods.rights(subject()).status is Status.OK
    launch = {"launcher": "trainjob", "trainjob": {"image": "pinrec:0.1.0", "claim": "pinrec"}}
    assert "create trainjobs" in pods.rights(subject(launch=launch)).seen


def test_a_service_account_that_is_not_there(cluster, subject):
    found = pods.rights(subject(cluster={"service_account": "somebody"}))
    assert found.status is Status.FAIL and found.seen == "no service account somebody in kubeflow"


def test_secrets_have_their_keys_and_keep_their_values(cluster, subject):
    found = pods.secrets(subject(cluster={"notify_secret": "hook"}))
    assert found.status is Status.FAIL and found.seen == "hook has no PINREC_WEBHOOK_SECRET"
    assert "create secret generic hook --from-file=PINREC_WEBHOOK_SECRET=FILE" in found.next
    cluster.put("secrets", "hook", {"data": {"PINREC_WEBHOOK_SECRET": SECRET_VALUE}}, "kubeflow")
    found = pods.secrets(subject(cluster={"notify_secret": "hook"}))
    assert found.status is Status.OK
    assert found.seen == "hook: PINREC_WEBHOOK_SECRET, mlpipeline-minio-artifact: accesskey, secretkey"


def test_an_image_by_digest(subject):
    found = pods.image(subject(cluster={"image": "registry.example/pinrec@sha256:" + "a" * 64, "production": True}))
    assert (found.status, found.limit) == (Status.OK, "a digest")


def test_a_context_that_kubectl_does_not_know(cluster, subject, configure):
    from pipelines.doctor.subject import Subject

    with pytest.raises(Unanswered, match="nowhere"):
        looks.reachable(Subject.of(configure(), "there", "nowhere"))


def test_the_interface_is_asked_with_the_token(cluster, subject, monkeypatch):
    assert looks.interface(subject()).status is Status.SKIPPED
    there = subject(cluster={"host": f"{cluster.url}/"})
    assert "404" in looks.interface(there).seen
    cluster.raw["/apis/v2beta1/healthz"] = {"multi_user": False}
    monkeypatch.setenv("PINREC_KFP_TOKEN", "the-token")
    found = looks.interface(there)
    assert found.status is Status.OK and found.seen.endswith("with $PINREC_KFP_TOKEN")
    assert "the-token" not in found.seen
