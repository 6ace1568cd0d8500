"""How the alias document changes: one compare-and-swap, with an entry in the history that says who, when and why.

What may change is decided where a change is asked for (promote, refresh, operations).
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import ConflictError, PinrecError
from pinrec_core.manifest import Manifest
from pinrec_core.registry import Alias, Aliases, Mark
from pinrec_core.release import bundle

_MARKS = ("frozen", "bad")  # fields of the document that the history tells of where they change


class Move(BaseModel):
    """One alias that moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    live: str
    previous: str | None


def check_may_go_live(aliases: Aliases, manifest: Manifest, *, forced: bool = False) -> None:
    """Raises PinrecError if gc is removing the release, or if it or another that serves the same was marked bad.

    `forced` lifts the mark, not the other.
    """
    release_id = manifest.fingerprint
    if release_id in aliases.collecting:
        raise PinrecError(f"release {release_id} is being removed by gc; run `pinrec registry gc --apply` to its end, "
                          "then build the release again")
    content = bundle.served_fingerprint(manifest)
    for bad, said in aliases.bad.items():
        if not forced and (bad == release_id or said.content == content):
            what = "was" if bad == release_id else f"serves the same as {bad}, which was"
            raise PinrecError(f"release {release_id} {what} marked bad by {said.who} at {said.when}: {said.why}; "
                              "`pinrec registry promote --force --reason TEXT` promotes it all the same")


def frozen_sentence(aliases: Aliases, surface: str) -> str:
    """Who froze a surface, when and why."""
    said = aliases.frozen[surface]
    return f"{surface} is frozen by {said.who} since {said.when}: {said.why}"


def moved_to(aliases: Aliases, moved: dict[str, Move]) -> Aliases:
    """The document with other releases live; what waited as candidate there is dropped, and no live release is bad."""
    surfaces = {s: Alias(live=one.live, previous=one.previous) for s, one in moved.items()}
    live = {one.live for one in moved.values()}
    bad = {release_id: mark for release_id, mark in aliases.bad.items() if release_id not in live}
    return aliases.model_copy(update={"surfaces": aliases.surfaces | surfaces, "bad": bad})


def held_back(aliases: Aliases, held: dict[str, str]) -> Aliases:
    """The document with releases (by surface) as candidates."""
    surfaces = {surface: aliases.surfaces.get(surface, Alias()).model_copy(update={"candidate": release_id})
                for surface, release_id in held.items()}
    return aliases.model_copy(update={"surfaces": aliases.surfaces | surfaces})


def commit(registry: str, before: Aliases, version: str, after: Aliases, *, action: str, run_id: str,
           why: str) -> Aliases:
    """Put `after` in the place of the document that was read at `version`; returns it with its new history entry.

    Nothing is written where nothing changes. Raises ConflictError, and changes nothing, if it is no longer that one.
    """
    changes = _changes(before, after)
    if not changes:
        return before
    entry = {"revision": before.revision + 1, "action": action, "when": now(), "who": who(), "why": why, "run": run_id,
             **changes}
    after = after.model_copy(update={"revision": before.revision + 1, "history": (*before.history, entry)})
    try:
        storage.compare_and_swap(registry_.aliases_path(registry), after.model_dump_json(indent=1).encode(), version)
    except ConflictError as error:
        raise ConflictError(f"{action}: nothing was changed, because {_who_was_first(registry, before)}; run it "
                            "again") from error
    return after


def mark(why: str, content: str = "") -> Mark:
    """A mark that this user sets now."""
    return Mark(why=why, who=who(), when=now(), content=content)


def sentence(moved: dict[str, Move], unchanged: dict[str, str], revision: int) -> str:
    """What is live now, for a person."""
    if not moved and not unchanged:
        return f"nothing moved (revision {revision})"
    if not moved:
        return f"nothing to do: {_names(unchanged)} live already (revision {revision})"
    also = f"; {_names(unchanged)} live already" if unchanged else ""
    return f"now live (revision {revision}): {_names({s: one.live for s, one in moved.items()})}{also}"


def now() -> str:
    """This second, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def who() -> str:
    """The user that runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "unknown"


def _changes(before: Aliases, after: Aliases) -> dict[str, Any]:
    """What differs, as the history tells it; a mark that was lifted is None."""
    moved = {s: alias.model_dump() for s, alias in after.surfaces.items() if before.surfaces.get(s) != alias}
    changes: dict[str, Any] = {"surfaces": moved} if moved else {}
    for field in _MARKS:
        old, new = getattr(before, field), getattr(after, field)
        changed = {name: new[name].model_dump() if name in new else None for name in sorted({*old, *new})
                   if old.get(name) != new.get(name)}
        changes |= {field: changed} if changed else {}
    if before.collecting != after.collecting:
        changes["collecting"] = list(after.collecting)
    return changes


def _who_was_first(registry: str, before: Aliases) -> str:
    last = registry_.read_aliases(registry)[0].history[before.revision:][-1:]
    if not last:
        return f"{registry_.aliases_path(registry)} changed since it was read"
    return (f"{last[0]['who']} changed {registry_.aliases_path(registry)} since it was read (revision "
            f"{last[0]['revision']}, {last[0].get('action', 'promote')}, run {last[0]['run']}: {last[0]['why']})")


def _names(releases: dict[str, str]) -> str:
    return ", ".join(f"{surface} {release_id[:12]}" for surface, release_id in releases.items())
