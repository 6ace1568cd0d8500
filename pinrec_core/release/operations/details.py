"""show: everything that is known of one release. `pinrec registry show ID`."""

from __future__ import annotations

import json
from typing import Any

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.release import bundle, stored
from pinrec_core.release.operations.inventory import roles
from pinrec_core.release.provenance.markdown import table
from pinrec_core.release.verification import Verification, require_verification


def details(registry: str, release_id: str) -> dict[str, Any]:
    """Manifest, aliases, marks, evaluation, its surface's verdict, verification, build facts and moves of a release.

    Raises IntegrityError if one of its files is missing or altered.
    """
    manifest = stored.release_manifest(registry, release_id)
    aliases, _ = registry_.read_aliases(registry)
    surface = manifest.facts["surface"]
    verdict = json.loads(stored.stored_part(registry, manifest, bundle.VERDICT))
    mark = aliases.bad.get(release_id)
    frozen = aliases.frozen.get(surface)
    moves = [entry for entry in aliases.history if release_id in json.dumps(entry)]
    return {
        "release_id": release_id, "aliases": roles(aliases, release_id), "bad": mark and mark.model_dump(),
        "frozen": frozen and frozen.model_dump(), "size": sum(entry.size for entry in manifest.files.values()),
        "manifest": manifest.model_dump(mode="json"),
        "evaluation": json.loads(stored.stored_part(registry, manifest, bundle.EVALUATION)),
        "gate": {"policy": verdict["policy"], "run_decision": verdict["decision"], **verdict["surfaces"][surface]},
        "verification": _verification(registry, release_id),
        "built": stored.stored_built(registry, manifest).model_dump(exclude={"release"}),
        "history": moves}


def card(registry: str, release_id: str) -> str:
    """The model card, and below it what verify_release has measured."""
    manifest = stored.release_manifest(registry, release_id)
    text = stored.stored_part(registry, manifest, bundle.CARD).decode()
    try:
        found = require_verification(registry, release_id, manifest)
    except IntegrityError as error:
        return f"{text}\n## Verification\n\n{error}\n"
    return f"{text}\n## Verification\n\n{_measured(found)}\n"


def _measured(found: Verification) -> str:
    checks = table(("check", "passed", ""), [(check.name, check.passed, check.sentence) for check in found.checks])
    numbers = table(("measured", ""), [(name, f"{value:.3f}") for name, value in found.measured.items()])
    return f"Served by engine {found.engine.value}.\n\n{checks}\n\n{numbers}"


def _verification(registry: str, release_id: str) -> dict[str, Any] | None:
    data = storage.read_versioned(registry_.verification_path(registry, release_id)).data
    return json.loads(data) if data else None
