"""The settings behind a run: those of its releases, or those that its trainings left in the run folder."""

from __future__ import annotations

import json
from typing import Any

from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.release import stored
from pinrec_core.release.operations.difference import configuration
from pinrec_core.release.provenance.markdown import flattened
from pinrec_core.report.run_facts import RunFacts
from pinrec_core.report.run_folder import SETTINGS_FOLDER, run_folder


def settings_of(registry: str, run_id: str, facts: RunFacts) -> dict[str, Any]:
    """All settings by dotted name. Weights of experts are of a surface, so their names begin with it.

    The run folder has the settings of every training; a release adds how it generates and how its items are indexed.
    Raises IntegrityError if the run has left neither.
    """
    found: dict[str, Any] = {}
    folder = storage.join(run_folder(registry, run_id), SETTINGS_FOLDER)
    for name in storage.list_names(folder):
        told = json.loads(storage.read_bytes(storage.join(folder, name)))
        found |= _of_surface(flattened(told), name.removesuffix(".json").split(" ", 1)[-1])
    for surface, release_id in releases_of(facts).items():
        found |= _of_surface(configuration(registry, stored.release_manifest(registry, release_id)), surface)
    if not found:
        raise IntegrityError("it has left neither a release nor the settings of a training")
    return found


def releases_of(facts: RunFacts) -> dict[str, str]:
    """Surface -> the release that this run built or found built; it need not be live."""
    return {surface: found["release_id"] for surface, found in facts.verifications.items() if "release_id" in found}


def _of_surface(settings: dict[str, Any], surface: str) -> dict[str, Any]:
    return {f"{surface}.{name}" if name.startswith("experts") else name: value for name, value in settings.items()}
