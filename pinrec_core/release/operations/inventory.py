"""list: the releases of a registry, one line each. `pinrec registry list`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pinrec_core import registry as registry_
from pinrec_core.errors import IntegrityError
from pinrec_core.registry import Aliases
from pinrec_core.release import stored
from pinrec_core.release.verification import require_verification


class Listed(BaseModel):
    """One release."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release_id: str
    surface: str = ""
    date: str = ""  # last day of its data
    recall: dict[str, float | None] = {}  # and the other metrics of its evaluation
    size: int = 0  # bytes
    aliases: tuple[str, ...] = ()  # "live", "previous", "candidate"
    frozen: bool = False  # its surface
    verified: bool = False
    bad: str = ""  # why it was rolled back
    problem: str = ""  # why it cannot be read; nothing but the id is known then


def listed(registry: str, surface: str = "") -> list[Listed]:
    """All releases, by surface and date; those of one surface if it is named, and those that cannot be read."""
    aliases, _ = registry_.read_aliases(registry)
    found = [_listed(registry, aliases, release_id) for release_id in registry_.release_ids(registry)]
    return sorted((one for one in found if surface in ("", one.surface) or one.problem),
                  key=lambda one: (one.surface, one.date, one.release_id))


def roles(aliases: Aliases, release_id: str) -> tuple[str, ...]:
    """The aliases that point to a release."""
    return tuple(role for alias in aliases.surfaces.values() for role, found in alias.model_dump().items()
                 if found == release_id)


def _listed(registry: str, aliases: Aliases, release_id: str) -> Listed:
    bad = aliases.bad[release_id].why if release_id in aliases.bad else ""
    try:
        manifest = stored.release_manifest(registry, release_id)
        surface = manifest.facts["surface"]
        known = {"surface": surface, "date": manifest.facts["date"], "recall": manifest.facts.get("recall", {}),
                 "size": sum(entry.size for entry in manifest.files.values()), "frozen": surface in aliases.frozen}
    except (IntegrityError, KeyError) as error:
        return Listed(release_id=release_id, aliases=roles(aliases, release_id), bad=bad, problem=str(error))
    try:
        require_verification(registry, release_id, manifest)
        verified = True
    except IntegrityError:
        verified = False
    return Listed(release_id=release_id, aliases=roles(aliases, release_id), verified=verified, bad=bad, **known)
