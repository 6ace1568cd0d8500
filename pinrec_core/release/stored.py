"""Parts of a release where it is stored, without fetching all of it; each is checked against the release's id."""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest
from pinrec_core.registry import Aliases
from pinrec_core.release import bundle
from pinrec_core.release.provenance.built import Built, parse_built
from pinrec_core.release.provenance.lineage import Lineage, parse_lineage


def live_manifest(registry: str, aliases: Aliases, surface: str) -> Manifest | None:
    """Manifest of the surface's live release, None if there is none. Raises IntegrityError if it was altered."""
    live = aliases.surfaces[surface].live if surface in aliases.surfaces else None
    return None if live is None else release_manifest(registry, live)


def release_manifest(registry: str, release_id: str) -> Manifest:
    """Manifest of a release. Raises IntegrityError if it is not there or was altered."""
    path = storage.join(registry_.release_path(registry, release_id), storage.MANIFEST_NAME)
    try:
        manifest = Manifest.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        raise IntegrityError(f"{path}: not a manifest ({error.error_count()} problems)") from error
    if manifest.fingerprint != release_id:
        raise IntegrityError(f"{path}: has fingerprint {manifest.fingerprint}, its id is {release_id}; restore the "
                             "release")
    return manifest


def is_refresh_of(registry: str, manifest: Manifest, release_id: str) -> bool:
    """Whether the release came from another by nothing but refreshes."""
    base = manifest.facts.get(bundle.REFRESHED_FROM)
    known = stored_lineage(registry, manifest).manifests if base else {}  # the releases between may be gone by now
    while base and base != release_id:
        base = known[base].facts.get(bundle.REFRESHED_FROM) if base in known else None
    return base is not None


def stored_lineage(registry: str, manifest: Manifest) -> Lineage:
    """Lineage of a release. Raises IntegrityError if it is not there or was altered."""
    return parse_lineage(stored_part(registry, manifest, bundle.LINEAGE), manifest.fingerprint)


def stored_built(registry: str, manifest: Manifest) -> Built:
    """The facts of the build of a release. Raises IntegrityError if they are not there or were altered."""
    path = storage.join(registry_.release_path(registry, manifest.fingerprint), bundle.BUILT)
    return parse_built(storage.read_bytes(path), manifest.fingerprint)


def stored_part(registry: str, manifest: Manifest, name: str) -> bytes:
    """One file of a release. Raises IntegrityError if it is not there or was altered."""
    path = storage.join(registry_.release_path(registry, manifest.fingerprint), name)
    if name not in manifest.files:
        raise IntegrityError(f"{path}: the release's manifest does not name it; build the release again")
    data = storage.read_bytes(path)
    if (found := hashlib.sha256(data).hexdigest()) != manifest.files[name].sha256:
        raise IntegrityError(f"{path}: altered: sha256 {found}, the manifest of the release says "
                             f"{manifest.files[name].sha256}; build the release again")
    return data
