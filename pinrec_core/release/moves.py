"""How aliases move: one compare-and-swap over all surfaces, with an entry in the history that says who, when and why.

What may move is decided where a move is asked for (promote, refresh).
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest
from pinrec_core.registry import Alias, Aliases
from pinrec_core.release import bundle


class Move(BaseModel):
    """One alias that moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    live: str
    previous: str | None


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
    while base := manifest.facts.get(bundle.REFRESHED_FROM):
        if base == release_id:
            return True
        manifest = release_manifest(registry, base)
    return False


def move(registry: str, aliases: Aliases, version: str, moved: dict[str, Move], *, run_id: str, why: str) -> Aliases:
    """Move the aliases that were read at `version`; returns the new document. Raises ConflictError if they are moved.

    Nothing is written where nothing moves.
    """
    if not moved:
        return aliases
    surfaces = aliases.surfaces | {s: Alias(live=one.live, previous=one.previous) for s, one in moved.items()}
    entry = {"revision": aliases.revision + 1, "when": datetime.now(UTC).isoformat(timespec="seconds"), "who": _who(),
             "why": why, "run": run_id, "surfaces": {s: one.model_dump() for s, one in moved.items()}}
    after = Aliases(revision=aliases.revision + 1, surfaces=surfaces, history=(*aliases.history, entry))
    storage.compare_and_swap(registry_.aliases_path(registry), after.model_dump_json(indent=1).encode(), version)
    return after


def sentence(moved: dict[str, Move], unchanged: dict[str, str], revision: int) -> str:
    """What is live now, for a person."""
    if not moved:
        return f"nothing to do: {_names(unchanged)} live already (revision {revision})"
    also = f"; {_names(unchanged)} live already" if unchanged else ""
    return f"now live (revision {revision}): {_names({s: one.live for s, one in moved.items()})}{also}"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "unknown"


def _names(releases: dict[str, str]) -> str:
    return ", ".join(f"{surface} {release_id[:12]}" for surface, release_id in releases.items())
