"""A stand-in for the Kubernetes API with Kubeflow Trainer behind it, so that the real client has somebody to talk to.

It answers the endpoints the client calls, refuses a TrainJob that its schema does not allow, and runs the command of
one as a process of this machine, as a kubelet would in a pod: its exit code becomes the status of pod and TrainJob.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

SCHEMA = json.loads(Path(__file__).with_name("trainjob.schema.json").read_text("utf-8"))
NAMESPACE = "team"
CREATED = "2026-01-01T00:00:00Z"
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
RUNTIME = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
    "metadata": {"name": "torch-distributed", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": [{
        "name": "node", "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"template": {"spec": {"containers": [{"name": "node", "image": "pytorch"}]}}}}}]}}}}
Program = Callable[[dict[str, Any]], list[str] | None]


def as_written(manifest: dict[str, Any]) -> list[str]:
    """The command a pod would run, with this interpreter's torchrun."""
    trainer = manifest["spec"]["trainer"]
    assert trainer["command"][0] == "torchrun"
    return [sys.executable, "-m", "torch.distributed.run", *trainer["command"][1:], *trainer["args"]]


def shell(script: str) -> Program:
    """A pod that runs a line of shell instead."""
    return lambda manifest: ["sh", "-c", script]


def unpullable(manifest: dict[str, Any]) -> None:
    """A pod whose image cannot be had."""


@dataclass
class Pod:
    """The one pod of a TrainJob and its process."""

    name: str
    manifest: dict[str, Any]
    log: Path
    process: subprocess.Popen | None

    @property
    def code(self) -> int | None:
        """Exit code as a container runtime reports it, None while it runs or waits."""
        code = self.process.poll() if self.process else None
        return 128 - code if code is not None and code < 0 else code

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        if self.process is None:
            phase, state = "Pending", {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
        elif self.code is None:
            phase, state = "Running", {"running": {"startedAt": CREATED}}
        else:
            phase = "Failed" if self.code else "Succeeded"
            reason = {0: "Completed", 137: "OOMKilled"}.get(self.code, "Error")
            state = {"terminated": {"exitCode": self.code, "reason": reason}}
        status = {"name": "node", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state}
        labels = {"jobset.sigs.k8s.io/jobset-name": self.manifest["metadata"]["name"],
                  "jobset.sigs.k8s.io/replicatedjob-name": "node", "batch.kubernetes.io/job-completion-index": "0"}
        return {"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase, "containerStatuses": [status]},
                "metadata": {"name": self.name, "labels": labels, "creationTimestamp": CREATED},
                "spec": {"containers": [{"name": "node", "image": "i"}]}}

    def job(self) -> dict[str, Any]:
        """Its TrainJob as the API shows it."""
        metadata = self.manifest["metadata"] | {"namespace": NAMESPACE, "creationTimestamp": CREATED}
        status = {}
        if self.code is not None:
            failed = bool(self.code)
            status["conditions"] = [{
                "type": "Failed" if failed else "Complete", "status": "True", "lastTransitionTime": CREATED,
                "reason": "FailedJobs" if failed else "AllJobsCompleted",
                "message": "jobset failed due to one or more job failures" if failed else "jobset completed"}]
        return self.manifest | {"metadata": metadata, "status": status}


@dataclass
class Cluster:
    """What the tests see of it."""

    folder: Path
    programs: list[Program] = field(default_factory=list)  # of the TrainJobs to come, in order; then as_written
    forbidden: set[str] = field(default_factory=set)  # methods that are answered with 403
    away: int = 0  # so many requests for TrainJobs are answered with 503
    submitted: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)  # by TrainJob

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Take a TrainJob and start its pod."""
        self.submitted.append(manifest)
        program = self.programs.pop(0) if self.programs else as_written
        name, log = manifest["metadata"]["name"], self.folder / f"pod-{len(self.submitted)}.log"
        command = program(manifest)
        with open(log, "wb") as file:
            process = command and subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=_pod_env(),
                                                   start_new_session=True)
        self.pods[name] = Pod(f"{name}-node-0-0-{len(self.submitted)}", manifest, log, process)
        return self.pods[name].job()

    def delete(self, name: str) -> None:
        """Remove a TrainJob; its pod gets SIGTERM."""
        pod = self.pods.pop(name)
        self.deleted.append(name)
        if pod.process and pod.process.poll() is None:
            pod.process.terminate()
            pod.process.wait()

    def close(self) -> None:
        """End what still runs."""
        for pod in self.pods.values():
            if pod.process and pod.process.poll() is None:
                os.killpg(pod.process.pid, signal.SIGKILL)
                pod.process.wait()


def _pod_env() -> dict[str, str]:
    """What the torch policy of Kubeflow Trainer adds to the environment of a pod."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return os.environ | {"PET_NNODES": "1", "PET_NPROC_PER_NODE": "auto", "PET_NODE_RANK": "0",
                         "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)}


class Refusal(Exception):
    """An answer of the API that is no success: HTTP status and message."""


class Handler(BaseHTTPRequestHandler):
    """The API."""

    cluster: Cluster

    def do_GET(self) -> None:
        """Runtimes, TrainJobs, pods and their logs."""
        url = urlsplit(self.path)
        if found := re.fullmatch(rf"/api/v1/namespaces/{NAMESPACE}/pods/([^/]+)/log", url.path):
            self._stream(found[1], "follow" in parse_qs(url.query))
        else:
            self._answer(lambda: self._get(url.path, parse_qs(url.query)))

    def do_POST(self) -> None:
        """A new TrainJob."""
        manifest = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(lambda: self._create(manifest))

    def do_DELETE(self) -> None:
        """The end of one."""
        self._answer(lambda: self._delete(self.path.rsplit("/", 1)[-1].partition("?")[0]))

    def _get(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if path == f"/api/v1/namespaces/{NAMESPACE}/pods":
            wanted = query["labelSelector"][0].split(",")[0].partition("=")[2]
            pods = [pod.document() for name, pod in self.cluster.pods.items() if name == wanted]
            return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods}
        if path == f"{TRAINER}/clustertrainingruntimes/torch-distributed":
            return RUNTIME
        if path == "/api/v1/namespaces/kubeflow-system/configmaps/kubeflow-trainer-public":
            return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"kubeflow_trainer_version": "v2"}}
        return self._pod_of(path.rsplit("/", 1)[-1]).job()

    def _create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        try:
            jsonschema.validate(manifest, SCHEMA)
        except jsonschema.ValidationError as error:
            raise Refusal(422, f"{error.json_path}: {error.message}") from error
        return self.cluster.create(manifest)

    def _delete(self, name: str) -> dict[str, Any]:
        self._pod_of(name)
        self.cluster.delete(name)
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}

    def _pod_of(self, name: str) -> Pod:
        if name not in self.cluster.pods:
            raise Refusal(404, f'"{name}" not found')
        return self.cluster.pods[name]

    def _answer(self, make: Callable[[], dict[str, Any]]) -> None:
        try:
            if self.cluster.away > 0 and "/trainjobs" in self.path:
                self.cluster.away -= 1
                raise Refusal(503, "etcd is away")
            if self.command in self.cluster.forbidden:
                raise Refusal(403, "trainjobs is forbidden")
            status, document = 200, make()
        except Refusal as refusal:
            status, message = refusal.args
            document = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status}
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, name: str, follow: bool) -> None:
        """A pod's log, until the pod ends if it is followed; the end of the connection ends it."""
        pod = next(pod for pod in self.cluster.pods.values() if pod.name == name)
        self.send_response(200)
        self.end_headers()
        with open(pod.log, "rb") as file:
            while True:
                over = not follow or pod.code is not None
                self.wfile.write(file.read())
                if over:
                    return
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """Run a cluster; yields it and the kubeconfig that points to it."""
    cluster = Cluster(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (Handler,), {"cluster": cluster}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}]}))
    try:
        yield cluster, config
    finally:
        cluster.close()
        server.shutdown()
        server.server_close()
