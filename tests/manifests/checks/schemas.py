"""Every object against the published types, closed: a field that Kubernetes does not know is a mistake.

Kinds of Kubernetes by kubernetes-validate; an InferenceService's pod as a Pod; the rest of custom kinds by our own
schemas, which know what we fill in of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate

from checks.built import Built, Finding, Object, Pod, name_of

FOLDER = Path(__file__).parents[1] / "schemas"
CUSTOM = {kind: json.loads((FOLDER / f"{kind.lower()}.schema.json").read_text("utf-8"))
          for kind in ("InferenceService", "PrometheusRule", "ServiceMonitor")}
VERSIONS = ("1.32", "1.37")  # the oldest that Kubeflow Trainer and KServe support, and the newest that is published


def check(built: Built) -> Iterator[Finding]:
    """Rule schema."""
    for found in built.objects:
        problems = _of_kubernetes(found) if found["kind"] not in CUSTOM else _custom(found)
        yield from (Finding("schema", name_of(found), problem) for problem in problems)
    for pod in built.pods():
        if pod.owner["kind"] == "InferenceService":
            yield from (Finding("schema", pod.name, problem) for problem in _of_kubernetes(_as_pod(pod)))


def _of_kubernetes(found: Object) -> Iterator[str]:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            yield error.message
        except kubernetes_validate.ValidationError as error:
            yield f"{'.'.join(map(str, error.path))}: {error.message}"
            return


def _custom(found: Object) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(CUSTOM[found["kind"]]).iter_errors(found):
        yield f"{error.json_path}: {error.message}"


def _as_pod(pod: Pod) -> Object:
    """What an InferenceService says of its pod, without what KServe adds to a PodSpec."""
    own = CUSTOM["InferenceService"]["$defs"]["extension"]["properties"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.owner["metadata"]["name"]},
            "spec": {key: value for key, value in pod.spec.items() if key not in own}}
