"""Releases and verifications that are there already: the same inputs, settings and code are not worked through twice.

    <registry>/builds/<inputs>.json    the release that was built from them

A release's id is known only once it is built, hence the document; one that points to a release that is gone says
nothing. Light to import: whoever finds what it needs loads neither torch nor faiss.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import GenerationConfig, IndexConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import code_fingerprint, fingerprint_of
from pinrec_core.release import stored
from pinrec_core.release.verification import Verification, require_verification, settings_of
from pinrec_core.release.verify import verify_release
from pinrec_core.retrieval.allow import allow_sha256
from pinrec_core.store import manifest_of, opened

log = logging.getLogger("pinrec")


def build_once(dataset: Path, verdict: Path, registry: str, *, surface: str, generation: GenerationConfig,
               index: IndexConfig) -> str:
    """`build_index`, unless it was done: the id of the release. Raises what build_index raises."""
    parents = [manifest_of(path, kind).fingerprint
               for path, kind in ((dataset, "dataset"), (verdict, "verdict"))]
    key = fingerprint_of(surface, *parents, generation, index, allow_sha256(surface, index), code_fingerprint())
    note = registry_.build_path(registry, key)
    if found := _release_in(note, registry):
        _write(note, found, surface)  # used now, so that gc takes it for young
        log.info("build_index: release %s (%s) is there already, reused", found, surface)
        return found
    from pinrec_core.release.build import build_index

    with opened(dataset, "dataset") as data:
        release_id = build_index(data, verdict, registry, surface=surface, generation=generation, index=index)
    _write(note, release_id, surface)
    return release_id


def verify_once(registry: str, release_id: str, *, dataset: Path, index: IndexConfig) -> dict[str, Any]:
    """`verify_release`, unless it was done and passed: what it found. Raises what verify_release raises."""
    if found := _verified(registry, release_id, dataset, index):
        log.info("verify: release %s passed already under the same settings, reused", release_id)
        return found.model_dump(mode="json")
    with opened(dataset, "dataset") as data:
        return verify_release(registry, release_id, dataset=data, index=index)


def _write(note: str, release_id: str, surface: str) -> None:
    storage.write_bytes(note, json.dumps({"release": release_id, "surface": surface}).encode())


def _release_in(note: str, registry: str) -> str:
    """The release that the document names, "" if either is not there."""
    data = storage.read_versioned(note).data
    release_id = json.loads(data)["release"] if data else ""
    there = release_id and storage.exists(storage.join(registry_.release_path(registry, release_id),
                                                       storage.MANIFEST_NAME))
    return release_id if there else ""


def _verified(registry: str, release_id: str, dataset: Path, index: IndexConfig) -> Verification | None:
    try:
        manifest = stored.release_manifest(registry, release_id)
        found = require_verification(registry, release_id, manifest)
    except IntegrityError:  # none, a failed one, or one of something else: verify now, which says what is wrong
        return None
    same = manifest_of(dataset, "dataset").fingerprint == manifest.facts["dataset_fingerprint"]
    return found if same and found.settings == settings_of(index) else None
