"""What the registry holds of the releases that a run made: small documents for a person, none of the vectors."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pinrec_core import storage
from pinrec_core.errors import PinrecError
from pinrec_core.registry import release_path
from pinrec_core.release import bundle
from pinrec_core.report.run_facts import RunFacts
from pinrec_core.report.standing import registry_of
from pinrec_core.storage import MANIFEST_NAME


class Released(NamedTuple):
    """One release; an empty dict stands for a document that is not there or cannot be read."""

    release_id: str
    manifest: dict[str, Any]
    index: dict[str, Any]
    curve: dict[str, Any]
    built: dict[str, Any]
    lineage: dict[str, Any]


def releases_of(run: str, facts: RunFacts) -> dict[str, Released]:
    """Surface -> the release that this run verified, else that which it found live."""
    registry = registry_of(run)
    ids = {surface: str(found["release_id"]) for surface, found in facts.verifications.items()
           if found.get("release_id")}
    return {surface: _read(release_path(registry, release_id), release_id)
            for surface, release_id in (facts.releases | ids).items()}


def _read(path: str, release_id: str) -> Released:
    names = (MANIFEST_NAME, bundle.INDEX_DESCRIPTION, bundle.CURVE, bundle.BUILT, bundle.LINEAGE)
    return Released(release_id, *(_json(storage.join(path, *name.split("/"))) for name in names))


def _json(uri: str) -> dict[str, Any]:
    try:
        found = json.loads(storage.read_bytes(uri)) if storage.exists(uri) else {}
    except (ValueError, PinrecError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
