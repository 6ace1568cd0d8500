"""What is live on each surface while a report is written: a rejected or failed run has changed nothing of it."""

from __future__ import annotations

from typing import NamedTuple

from pinrec_core.errors import PinrecError
from pinrec_core.registry import Aliases, read_aliases
from pinrec_core.release.stored import release_manifest


class Live(NamedTuple):
    """One surface; "" where nothing is known."""

    surface: str
    release: str  # "" = nothing is live
    date: str  # last day of the release's data
    since: str  # when it went live, ISO 8601
    run: str  # which put it there
    frozen: str  # why neither a promotion nor a rollback moves it


def registry_of(run: str) -> str:
    """The registry that a run folder (path or gs:// URI) is in."""
    return run.rstrip("/").rpartition("/")[0].rpartition("/")[0]


def live_beside(run: str) -> list[Live]:
    """Every surface of the registry that a run folder is in; none where the registry cannot be read."""
    registry = registry_of(run)
    try:
        aliases, _ = read_aliases(registry)
    except (PinrecError, OSError):
        return []
    return [_live(registry, aliases, surface) for surface in sorted(aliases.surfaces)]


def went_live(aliases: Aliases, surface: str) -> tuple[str, str]:
    """When the live release of a surface became so, and by which run; "" where the history does not say."""
    found, live = ("", ""), None
    for entry in aliases.history:
        now = entry.get("surfaces", {}).get(surface, {}).get("live", live)
        if now != live:
            found, live = (entry["when"], entry["run"]), now
    return found


def _live(registry: str, aliases: Aliases, surface: str) -> Live:
    release, (since, run) = aliases.surfaces[surface].live or "", went_live(aliases, surface)
    frozen = aliases.frozen[surface].why if surface in aliases.frozen else ""
    try:
        date = str(release_manifest(registry, release).facts.get("date", "")) if release else ""
    except (PinrecError, OSError):
        date = ""
    return Live(surface, release, date, since if release else "", run if release else "", frozen)
