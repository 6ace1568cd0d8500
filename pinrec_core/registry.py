"""Where releases live and which of them is live: the layout of a registry and its one alias document, read only.

    <registry>/aliases.json              which release answers for each surface; moved only by release.moves
    <registry>/releases/<id>/            immutable releases
    <registry>/verifications/<id>.json   what verify_release found
    <registry>/builds/<inputs>.json      which release was built from the same inputs before

All surfaces share one small document, so moving several aliases is one compare-and-swap, never half done.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinrec_core import storage
from pinrec_core.errors import ConfigError, IntegrityError

ALIASES_NAME = "aliases.json"


class Alias(BaseModel):
    """The releases of one surface by role; None = there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    live: str | None = None  # the release that may be served
    previous: str | None = None  # what was live before it, where a rollback goes


class Aliases(BaseModel):
    """The content of aliases.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    revision: int = Field(default=0, ge=0)  # moves so far; 0 = nothing was ever promoted
    surfaces: dict[str, Alias] = {}
    history: tuple[dict[str, Any], ...] = ()  # one entry per move, oldest first


def aliases_path(registry: str) -> str:
    """Where the registry's alias document is."""
    return storage.join(registry, ALIASES_NAME)


def release_path(registry: str, release_id: str) -> str:
    """Where a release is. Raises ConfigError if the id could point outside the registry."""
    return storage.join(registry, "releases", _safe_id(release_id))


def verification_path(registry: str, release_id: str) -> str:
    """Where the verification of a release is. Raises ConfigError if the id could point outside the registry."""
    return storage.join(registry, "verifications", f"{_safe_id(release_id)}.json")


def build_path(registry: str, inputs: str) -> str:
    """Where it stands which release was built from inputs with this fingerprint."""
    return storage.join(registry, "builds", f"{_safe_id(inputs)}.json")


def read_aliases(registry: str) -> tuple[Aliases, str]:
    """The alias document and the version a compare-and-swap must name; empty if nothing was ever promoted.

    Raises IntegrityError if the document is there but not an alias document.
    """
    path = aliases_path(registry)
    document = storage.read_versioned(path)
    if document.data is None:
        return Aliases(), document.version
    try:
        return Aliases.model_validate_json(document.data), document.version
    except ValidationError as error:
        raise IntegrityError(f"{path}: not an alias document ({error.error_count()} problems); restore it from the "
                             "history of the registry's storage") from error


def live_release(registry: str, surface: str) -> str | None:
    """Id of the surface's live release, None if nothing was ever promoted there. Raises IntegrityError."""
    alias = read_aliases(registry)[0].surfaces.get(surface)
    return alias.live if alias else None


def _safe_id(release_id: str) -> str:
    if not release_id or release_id.startswith(".") or "/" in release_id or "\\" in release_id:
        raise ConfigError(f"release id {release_id!r}: must be one plain name; list the registry's releases folder")
    return release_id
