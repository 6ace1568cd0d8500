"""A deliberate mistake of every kind, in a copy of the manifests, and the check that names it.

A rule that finds nothing in a good overlay could be one that finds nothing at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from checks import findings

DEPLOYMENT, MINIKUBE = "base/serving/deployment.yaml", "overlays/minikube/serving.yaml"
GKE = "overlays/gke/serving"
ROOT_CONTEXT = "            readOnlyRootFilesystem: true\n"


class Mistake(NamedTuple):
    """One text replaced by another in one file, and what is found then."""

    file: str
    old: str
    new: str
    rule: str
    object: str
    says: str
    overlay: str = "overlays/minikube"
    components: tuple[str, ...] = ()


SERVING, SERVICE = "Deployment/pinrec-serving", "Service/pinrec-serving"
MISTAKES = {
    "unknown field": Mistake(
        DEPLOYMENT, "revisionHistoryLimit", "revisionHistory", "schema", SERVING, "revisionHistory"),
    "wrong type": Mistake("base/serving/service.yaml", "port: 80\n", "port: eighty\n", "schema", SERVICE, "eighty"),
    "unknown field of KServe": Mistake(
        "components/kserve/predictor.yaml", "/spec/predictor/scaleMetric", "/spec/predictor/scaleOn", "schema",
        "InferenceService/pinrec", "scaleOn", GKE, ("kserve",)),
    "unknown metric of KServe": Mistake("components/kserve/predictor.yaml", "value: cpu", "value: gpu", "schema",
                                        "InferenceService/pinrec", "gpu", GKE, ("kserve",)),
    "wrong interval": Mistake("components/servicemonitor/monitor.yaml", "interval: 15s", "interval: 15 s", "schema",
                              "ServiceMonitor/pinrec-serving", "15 s", components=("servicemonitor",)),
    "wrong duration of an alert": Mistake("components/alerts/rules.yaml", "for: 5m", "for: 5 m", "schema",
                                          "PrometheusRule/pinrec-serving", "5 m", components=("alerts",)),
    "unknown field of an alert": Mistake("components/alerts/rules.yaml", "for: 5m", "after: 5m", "schema",
                                         "PrometheusRule/pinrec-serving", "after", components=("alerts",)),
    "alert on another service": Mistake(
        "components/alerts/rules.yaml", 'job="pinrec-serving"', 'job="pinrec"', "selector",
        "PrometheusRule/pinrec-serving", "job 'pinrec'", components=("alerts",)),
    "quantity": Mistake(
        MINIKUBE, "              memory: 1Gi\n            limits", "              memory: 1GB\n            limits",
        "quantity", SERVING, "'1GB' is no quantity"),
    "request above limit": Mistake(MINIKUBE, "            limits:\n              memory: 1Gi",
                                   "            limits:\n              memory: 512Mi", "quantity", SERVING,
                                   "memory 1Gi, above its limit 512Mi"),
    "no request": Mistake(DEPLOYMENT, '              cpu: "1"  # one worker computes on one core\n', "", "quantity",
                          "InferenceService/pinrec", "requests no cpu", GKE, ("kserve",)),
    "claim without a size": Mistake("overlays/minikube/claim.yaml", "storage: 10Gi", "storage: much", "quantity",
                                    "PersistentVolumeClaim/pinrec", "'much' is no quantity"),
    "name": Mistake("overlays/minikube/claim.yaml", "name: pinrec\n", "name: Pinrec_1\n", "name",
                    "PersistentVolumeClaim/Pinrec_1", "name 'Pinrec_1'"),
    "port name": Mistake(DEPLOYMENT, "- name: http\n              containerPort", "- name: http-for-everybody\n"
                         "              containerPort", "name", SERVING, "port 'http-for-everybody'"),
    "selector of the Service": Mistake("base/serving/service.yaml", "component: serving\n  ports",
                                       "component: server\n  ports", "selector", SERVICE, "which no pod has"),
    "selector of the Deployment": Mistake(DEPLOYMENT, "component: serving\n  template", "component: server\n  template",
                                          "selector", SERVING, "its own pods have"),
    "selector of the budget": Mistake("base/serving/disruption.yaml", "component: serving", "component: server",
                                      "selector", "PodDisruptionBudget/pinrec-serving", "which no pod has"),
    "selector of the policy": Mistake("base/serving/network.yaml", "component: serving", "component: server",
                                      "selector", "NetworkPolicy/pinrec-serving", "which no pod has"),
    "peer of a policy": Mistake("components/redis/network.yaml", "component: store\n      ports", "component: cache\n"
                                "      ports", "selector", "NetworkPolicy/pinrec-serving-store", "which no pod has",
                                components=("redis",)),
    "selector of the monitor": Mistake("components/servicemonitor/monitor.yaml", "component: serving\n  endpoints",
                                       "component: server\n  endpoints", "selector", "ServiceMonitor/pinrec-serving",
                                       "which no Service has", components=("servicemonitor",)),
    "target of the autoscaler": Mistake("base/serving/autoscaler.yaml", "kind: Deployment\n    name: pinrec-serving",
                                        "kind: Deployment\n    name: pinrec-server", "selector",
                                        "HorizontalPodAutoscaler/pinrec-serving", "Deployment pinrec-server", GKE),
    "target port": Mistake("base/serving/service.yaml", "targetPort: http", "targetPort: web", "port", SERVICE,
                           "'web' is not of Deployment/pinrec-serving"),
    "port of the monitor": Mistake("components/servicemonitor/monitor.yaml", "port: http", "port: metrics", "port",
                                   "ServiceMonitor/pinrec-serving", "'metrics'", components=("servicemonitor",)),
    "port of a probe": Mistake(DEPLOYMENT, "path: /readyz\n              port: http", "path: /readyz\n"
                               "              port: web", "port", SERVING, "readinessProbe asks port 'web'"),
    "no tag": Mistake("overlays/minikube/kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "image", SERVING,
                      "whatever was built last"),
    "tag in production": Mistake(f"{GKE}/kustomization.yaml", "digest: sha256:" + 64 * "0", "newTag: 0.1.0", "image",
                                 SERVING, "no digest", GKE),
    "missing secret": Mistake(f"{GKE}/serving.yaml", "name: pinrec-store", "name: pinrec-redis-url", "reference",
                              SERVING, "Secret pinrec-redis-url", GKE),
    "missing claim": Mistake(MINIKUBE, "claimName: pinrec", "claimName: pinrec-data", "reference", SERVING,
                             "PersistentVolumeClaim pinrec-data"),
    "missing ConfigMap": Mistake(DEPLOYMENT, "name: pinrec-config", "name: pinrec-settings", "reference", SERVING,
                                 "ConfigMap pinrec-settings"),
    "missing account": Mistake(
        DEPLOYMENT, "serviceAccountName: pinrec-serving", "serviceAccountName: pinrec", "reference",
                               SERVING, "ServiceAccount pinrec is"),
    "missing role": Mistake("base/pipeline/executor.yaml", "kind: Role\n  name: pinrec-pipeline-executor",
                            "kind: Role\n  name: pinrec-executor", "reference",
                            "RoleBinding/pinrec-pipeline-executor", "Role pinrec-executor"),
    "missing subject": Mistake("components/trainjob/runtimes.yaml", "namespace: kubeflow", "namespace: kubeflow-user",
                               "reference", "ClusterRoleBinding/pinrec-pipeline-runtimes", "pinrec-pipeline is neither",
                               components=("trainjob",)),
    "missing namespace": Mistake("overlays/gke/pipeline/kustomization.yaml", "namespace: kubeflow", "namespace: runs",
                                 "reference", "ServiceAccount/pinrec-pipeline", "namespace runs", "overlays/gke"),
    "missing volume": Mistake(
        MINIKUBE, "      volumes:\n        - name: pinrec", "      volumes:\n        - name: claim",
                              "reference", SERVING, "mounts volume pinrec"),
    "runs as root": Mistake(DEPLOYMENT, "runAsUser: 10001  # the image's", "runAsUser: 0", "restricted", SERVING,
                            "runAsUser is 0"),
    "may be root": Mistake(DEPLOYMENT, "        runAsNonRoot: true\n", "", "restricted", SERVING,
                           "runAsNonRoot is not true"),
    "escalation": Mistake(DEPLOYMENT, "            allowPrivilegeEscalation: false\n", "", "restricted", SERVING,
                          "allowPrivilegeEscalation"),
    "capabilities": Mistake(DEPLOYMENT, "drop: [ALL]", "drop: [NET_RAW]", "restricted", SERVING, "without ALL"),
    "added capability": Mistake(DEPLOYMENT, "drop: [ALL]", "drop: [ALL]\n              add: [SYS_PTRACE]", "restricted",
                                SERVING, "SYS_PTRACE"),
    "privileged": Mistake(
        DEPLOYMENT, ROOT_CONTEXT, ROOT_CONTEXT + "            privileged: true\n", "restricted", SERVING,
                          "privileged is set"),
    "no seccomp": Mistake(DEPLOYMENT, "        seccompProfile:\n          type: RuntimeDefault\n", "", "restricted",
                          SERVING, "seccompProfile is not set"),
    "seccomp off": Mistake(DEPLOYMENT, "type: RuntimeDefault", "type: Unconfined", "restricted", SERVING,
                           "seccompProfile is Unconfined"),
    "host's network": Mistake(
        DEPLOYMENT, "      enableServiceLinks", "      hostNetwork: true\n      enableServiceLinks",
                              "restricted", SERVING, "hostNetwork is set"),
    "host's port": Mistake(DEPLOYMENT, "containerPort: 8080\n", "containerPort: 8080\n              hostPort: 8080\n",
                           "restricted", SERVING, "hostPort is set"),
    "host's folder": Mistake(DEPLOYMENT, "          emptyDir:\n            sizeLimit: 4Gi",
                             "          hostPath:\n            path: /tmp", "restricted", SERVING, "type hostPath"),
    "another host's health": Mistake(DEPLOYMENT, "path: /readyz\n", "path: /readyz\n              host: example.org\n",
                                     "restricted", SERVING, "readinessProbe.httpGet.host"),
    "kernel setting": Mistake(
        DEPLOYMENT, "        runAsNonRoot: true\n", "        runAsNonRoot: true\n        sysctls:\n"
                              "          - {name: kernel.msgmax, value: '1'}\n", "restricted", SERVING,
                              "kernel.msgmax"),
    "initial container": Mistake(DEPLOYMENT, "      containers:\n", "      initContainers:\n        - name: first\n"
                                 "          image: pinrec\n          command: [pinrec, --version]\n      containers:\n",
                                 "restricted", SERVING, "container first: allowPrivilegeEscalation"),
    "writable root": Mistake(DEPLOYMENT, ROOT_CONTEXT, "", "hardening", SERVING, "readOnlyRootFilesystem"),
    "another user": Mistake(DEPLOYMENT, "runAsUser: 10001", "runAsUser: 1000", "hardening", SERVING,
                            "runAsUser is 1000"),
    "needless token": Mistake(DEPLOYMENT, "      automountServiceAccountToken: false\n", "", "hardening", SERVING,
                              "a token of pinrec-serving"),
    "service links": Mistake(DEPLOYMENT, "      enableServiceLinks: false  # a", "      # a", "hardening", SERVING,
                             "enableServiceLinks"),
    "route of a probe": Mistake(DEPLOYMENT, "path: /readyz", "path: /ready", "route", SERVING, "'/ready'"),
    "no probe at the start": Mistake(DEPLOYMENT, "startupProbe:", "livenessProbe2:", "route", SERVING,
                                     "no startupProbe"),
    "route of the metrics": Mistake(
        "components/servicemonitor/monitor.yaml", "path: /metrics", "path: /prometheus", "route",
                                    "ServiceMonitor/pinrec-serving", "'/prometheus'", components=("servicemonitor",)),
    "unknown setting": Mistake(
        "base/serving/pinrec.toml", "drain_s = 30", "drain = 30", "config", "ConfigMap/pinrec-config",
                               "drain"),
    "not TOML": Mistake(
        "base/serving/pinrec.toml", "\n[serve]\n", "\n[serve\n", "config", "ConfigMap/pinrec-config", "not TOML"),
    "unknown option": Mistake(DEPLOYMENT, "--config", "--configuration", "command", SERVING, "--configuration"),
    "unknown command": Mistake(DEPLOYMENT, "[pinrec, serve,", "[pinrec, server,", "command", SERVING, "'server'"),
    "configuration elsewhere": Mistake(
        DEPLOYMENT, "mountPath: /etc/pinrec", "mountPath: /etc/config", "command", SERVING,
                                       "not in a ConfigMap that is mounted"),
    "another port": Mistake(
        "base/serving/pinrec.toml", "port = 8080", "port = 8081", "command", SERVING, "0.0.0.0:8081"),
    "listens to itself": Mistake("base/serving/pinrec.toml", '"0.0.0.0"', '"127.0.0.1"', "command", SERVING,
                                 "127.0.0.1:8080"),
    "registry elsewhere": Mistake(MINIKUBE, "value: /mnt/pinrec/registry", "value: /data/registry", "command", SERVING,
                                  "'/data/registry' is neither"),
    "nowhere to write": Mistake(DEPLOYMENT, "mountPath: /tmp", "mountPath: /scratch", "command", SERVING,
                                "nothing is mounted on /tmp"),
    "no store for many": Mistake(f"{GKE}/serving.yaml", "name: PINREC_STORE", "name: PINREC_REDIS", "command", SERVING,
                                 "share no store of events", GKE),
    "no store for workers": Mistake("base/serving/pinrec.toml", "workers = 1", "workers = 2", "command", SERVING,
                                    "1 pods of 2 workers"),
    "killed early": Mistake(
        DEPLOYMENT, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30", "rollout",
                            SERVING, "need 45"),
    "longer drain": Mistake(
        "base/serving/pinrec.toml", "drain_s = 30", "drain_s = 120", "rollout", SERVING, "need 135"),
    "no wait": Mistake(DEPLOYMENT, '[sleep, "10"]', '[sleep, "0"]', "rollout", SERVING, "preStop waits 0 s"),
    "fewer pods": Mistake(DEPLOYMENT, "maxUnavailable: 0", "maxUnavailable: 1", "rollout", SERVING, "maxUnavailable"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(manifests, compose, mistake):
    break_(manifests / mistake.file, mistake.old, mistake.new)
    namespace = "pinrec" if mistake.overlay == GKE else "kubeflow"
    found = findings(compose(mistake.overlay, *mistake.components, namespace=namespace))
    assert [finding for finding in found if finding.rule == mistake.rule and finding.says.count(mistake.says)
            and finding.object.startswith(mistake.object)], found


def test_every_rule_is_shown_a_mistake():
    assert {mistake.rule for mistake in MISTAKES.values()} == {
        "schema", "name", "quantity", "restricted", "hardening", "image", "reference", "selector", "port", "route",
        "config", "command", "rollout"}


def break_(path: Path, old: str, new: str) -> None:
    """Replace the first of a text that must be there."""
    text = path.read_text("utf-8")
    assert old in text, f"{path.name} has no {old!r}; the mistake cannot be made"
    path.write_text(text.replace(old, new, 1), "utf-8")
