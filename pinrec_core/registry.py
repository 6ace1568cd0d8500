"""Where releases live and which of them is live: the layout of a registry and its one alias document, read only.

    <registry>/aliases.json              which release answers for each surface; changed only by release.moves
    <registry>/releases/<id>/            immutable releases
    <registry>/verifications/<id>.json   what verify_release found
    <registry>/builds/<inputs>.json      which release was built from the same inputs before

All surfaces share one small document, so moving several aliases is one compare-and-swap, never half done. What may not
move stands there too: a promotion that read it before it changed cannot win any more.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinrec_core import storage
from pinrec_core.errors import ConfigError, IntegrityError

ALIASES_NAME = "aliases.json"
_SHOWN = 8  # releases that an error names


class Alias(BaseModel):
    """The releases of one surface by role; None = there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    live: str | None = None  # the release that may be served
    previous: str | None = None  # what was live before it, where a rollback goes
    candidate: str | None = None  # passed everything, but the surface was frozen: it waits to be promoted


class Mark(BaseModel):
    """Why a surface is frozen or a release is bad, and who said so when."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    why: str
    who: str
    when: str  # ISO 8601, UTC
    content: str = ""  # of a bad release: fingerprint of what it serves, which another release may hold too


class Aliases(BaseModel):
    """The content of aliases.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    revision: int = Field(default=0, ge=0)  # changes so far; 0 = nothing was ever promoted
    surfaces: dict[str, Alias] = {}
    frozen: dict[str, Mark] = {}  # surface -> why neither promotion nor rollback moves it
    bad: dict[str, Mark] = {}  # release -> why it was rolled back
    collecting: tuple[str, ...] = ()  # releases that gc is removing
    history: tuple[dict[str, Any], ...] = ()  # one entry per change, oldest first; append-only


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


def release_ids(registry: str) -> list[str]:
    """Ids of all releases, sorted, those that are not complete among them."""
    return [name for name in storage.list_names(storage.join(registry, "releases")) if not name.startswith(".")]


def whole_id(registry: str, start: str) -> str:
    """The id of the one release whose id starts so, or of what SURFACE:live, :previous or :candidate names.

    Raises ConfigError naming the releases if it is not one.
    """
    if ":" in start:
        return _by_role(registry, *start.rsplit(":", 1))
    if storage.exists(storage.join(release_path(registry, start), storage.MANIFEST_NAME)):
        return start
    known = release_ids(registry)
    found = [release_id for release_id in known if release_id.startswith(start)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"release {start!r} is ambiguous: {_named(found)}; give more of the id")
    raise ConfigError(f"no release in {registry} starts with {start!r}; there are {_named(known) or 'none'}")


def _by_role(registry: str, surface: str, role: str) -> str:
    surfaces = read_aliases(registry)[0].surfaces
    if role not in Alias.model_fields:
        raise ConfigError(f"release {surface}:{role}: write SURFACE:{', SURFACE:'.join(Alias.model_fields)} or an id")
    found = getattr(surfaces[surface], role) if surface in surfaces else None
    if found is None:
        known = [f"{name}:{one}" for name, alias in sorted(surfaces.items()) for one in Alias.model_fields
                 if getattr(alias, one)]
        raise ConfigError(f"surface {surface!r} has no {role} release; there are {', '.join(known) or 'none'}")
    return found


def _named(ids: list[str]) -> str:
    rest = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + rest


def _safe_id(release_id: str) -> str:
    if not release_id or release_id.startswith(".") or "/" in release_id or "\\" in release_id:
        raise ConfigError(f"release id {release_id!r}: must be one plain name; list the registry's releases folder")
    return release_id
