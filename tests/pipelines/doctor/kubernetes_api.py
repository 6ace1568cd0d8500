"""A server on this machine that speaks as much of the Kubernetes API as the real kubectl asks for here.

It holds objects by kind, namespace and name, and rights that it denies. Discovery, lists, objects, Status answers
for what is not there, and SelfSubjectAccessReview (which kubectl sends as protobuf, with its strings in plain).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

CORE = {"nodes": ("Node", False), "namespaces": ("Namespace", False), "pods": ("Pod", True),
        "secrets": ("Secret", True), "configmaps": ("ConfigMap", True), "serviceaccounts": ("ServiceAccount", True),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True)}
GROUPS = {"apps/v1": {"deployments": ("Deployment", True)},
          "argoproj.io/v1alpha1": {"workflowtaskresults": ("WorkflowTaskResult", True)},
          "authorization.k8s.io/v1": {"selfsubjectaccessreviews": ("SelfSubjectAccessReview", False)},
          "trainer.kubeflow.org/v1alpha1": {"trainjobs": ("TrainJob", True),
                                            "trainingruntimes": ("TrainingRuntime", True)}}


class KubernetesApi:
    """The cluster; change its attributes to make it another one."""

    def __init__(self) -> None:
        self.version = "v1.32.0"
        self.objects: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # (kind, namespace) -> name -> object
        self.raw: dict[str, Any] = {}  # path -> JSON
        self.denied: set[tuple[str, str]] = set()  # (verb, resource) that the asking account may not
        self.forbidden: set[str] = set()  # resources whose lists are answered with 403
        self.asked: list[tuple[str, str]] = []  # (path, Impersonate-User)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                api.asked.append((path, self.headers.get("Impersonate-User", "")))
                self.answer(*api.get(path, parse_qs(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.asked.append((self.path.partition("?")[0], self.headers.get("Impersonate-User", "")))
                denied = any(verb.encode() in body and resource.encode() in body for verb, resource in api.denied)
                self.answer(201, {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                                  "spec": {}, "status": {"allowed": not denied}})

            def answer(self, code: int, document: Any) -> None:
                content = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening: from now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, kind: str, name: str, document: dict[str, Any], namespace: str = "") -> None:
        """An object, in place of the one of that name."""
        self.objects.setdefault((kind, namespace), {})[name] = {
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {})
            | document.pop("metadata", {})} | document

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status code and document of a path."""
        if path in self.raw:
            return 200, self.raw[path]
        if path == "/version":
            return 200, {"major": "1", "minor": self.version.split(".")[1], "gitVersion": self.version,
                         "platform": "linux/amd64"}
        return self._discovery(path) or self._object(path, query.get("labelSelector", [""])[0])

    def _discovery(self, path: str) -> tuple[int, Any] | None:
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        if path == "/apis":
            versions = [(group.split("/")[0], {"groupVersion": group, "version": group.split("/")[1]})
                        for group in GROUPS]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": name, "versions": [version], "preferredVersion": version} for name, version in versions]}
        group = path.removeprefix("/apis/").removeprefix("/api/")
        resources = {"v1": CORE, **GROUPS}.get(group)
        return resources and (200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [
            {"name": name, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind,
             "verbs": ["get", "list", "create"]} | ({"shortNames": ["pvc"]} if kind == "PersistentVolumeClaim" else {})
            for name, (kind, namespaced) in resources.items()]})

    def _object(self, path: str, selector: str) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        group, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        if not rest:
            return self._status(404, "NotFound", f"{path}: not found")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource, name = rest[0], "".join(rest[1:2])
        if resource in self.forbidden:
            return self._status(403, "Forbidden", f"{resource} is forbidden: you may not list them")
        kind = {**CORE, **{key: value for each in GROUPS.values() for key, value in each.items()}}.get(
            resource, (resource, True))[0]
        found = self.objects.get((resource, namespace), {}) if namespace or name else {
            key: value for (each, _), named in self.objects.items() if each == resource for key, value in named.items()}
        whole = {key: {"kind": kind, "apiVersion": group} | value for key, value in found.items()}
        if not name:
            key, _, wanted = selector.partition("=")
            items = [each for each in whole.values()
                     if not selector or each["metadata"].get("labels", {}).get(key) == wanted]
            return 200, {"kind": f"{kind}List", "apiVersion": group, "metadata": {}, "items": items}
        return (200, whole[name]) if name in whole else self._status(404, "NotFound", f'{resource} "{name}" not found')

    @staticmethod
    def _status(code: int, reason: str, message: str) -> tuple[int, Any]:
        return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
                      "reason": reason, "code": code}

    def write_kubeconfig(self, file: Path, context: str) -> Path:
        """A kubeconfig with one context, which is the current one."""
        file.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "the-token-of-kubectl"}}],
            "contexts": [{"name": context, "context": {"cluster": "here", "user": "me"}}]}))
        return file
