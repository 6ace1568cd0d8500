"""Names that the API server takes, each once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from checks.built import Built, Finding, Object, name_of, namespace_of

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # DNS-1123 label
SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$){LABEL.pattern}(\.{LABEL.pattern})*")  # DNS-1123 subdomain
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # DNS-1035 label
PORT = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")  # IANA service name
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
FORMS = {"Service": SERVICE, "Namespace": LABEL, "InferenceService": SERVICE}


def check(built: Built) -> Iterator[Finding]:
    """Rule name."""
    for found in built.objects:
        yield from _of_object(found)
    for pod in built.pods():
        for container in pod.containers():
            yield from _wrong("container", container["name"], LABEL, pod.name)
            for port in container.get("ports", []):
                yield from _wrong("port", port.get("name", "none"), PORT, pod.name)
        for volume in pod.spec.get("volumes", []):
            yield from _wrong("volume", volume["name"], LABEL, pod.name)
    known = Counter((name_of(found), namespace_of(found)) for found in built.objects)
    yield from (Finding("name", name, f"is there {n} times") for (name, _), n in known.items() if n > 1)


def _of_object(found: Object) -> Iterator[Finding]:
    metadata, name = found["metadata"], name_of(found)
    yield from _wrong("name", metadata["name"], FORMS.get(found["kind"], SUBDOMAIN), name)
    if "namespace" in metadata:
        yield from _wrong("namespace", metadata["namespace"], LABEL, name)
    for key, value in metadata.get("labels", {}).items():
        yield from _wrong(f"label {key}", value, LABEL_VALUE, name)


def _wrong(what: str, value: str, form: re.Pattern[str], owner: str) -> Iterator[Finding]:
    if not form.fullmatch(value):
        yield Finding("name", owner, f"{what} {value!r} is no {form.pattern}")
