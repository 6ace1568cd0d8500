"""gc: remove releases that nothing needs. `pinrec registry gc --apply`; without it only what would be removed is told.

Needed is what an alias points to and what the last promotions of a surface made live. Young releases stay too: a run
may be about to promote them. A refreshed release does not need the one it came from: its lineage has what is asked of
that, and it can be promoted only while that one is live.

No promotion can win against it: what is to be removed is first written into the alias document, which ends every
promotion that has read it before and is refused by every later one.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import NamedTuple

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import ConflictError
from pinrec_core.registry import Aliases
from pinrec_core.release import moves
from pinrec_core.release.operations.past import promotions

log = logging.getLogger("pinrec")
_DAY_S = 86_400
_TRIES = 20  # to take back the note of what is removed, while others change the aliases


class Kept(NamedTuple):
    """A release that stays."""

    release_id: str
    why: str


class Removal(NamedTuple):
    """A release, or what is left of one, that goes, with its verification."""

    release_id: str
    size: int  # bytes


class Collected(NamedTuple):
    """What gc found, and has done if `applied`."""

    kept: tuple[Kept, ...]
    removed: tuple[Removal, ...]
    applied: bool

    @property
    def size(self) -> int:
        """Bytes that are removed."""
        return sum(one.size for one in self.removed)


def collect(registry: str, *, keep: int, older_than_days: float, run_id: str, apply: bool = False) -> Collected:
    """Find what nothing needs, beside the last `keep` promotions of each surface, and with `apply` remove it.

    What a killed gc has left is removed by the next. Raises ConflictError, and removes nothing, if the aliases changed
    meanwhile.
    """
    aliases, version = registry_.read_aliases(registry)
    found = _planned(registry, aliases, keep, older_than_days)
    if not apply:
        return found
    ids = [one.release_id for one in found.removed]
    noted = aliases.model_copy(update={"collecting": tuple(sorted({*aliases.collecting, *ids}))})
    moves.commit(registry, aliases, version, noted, action="gc", run_id=run_id,
                 why=f"removes {len(ids)} releases, {found.size} bytes: {', '.join(ids)}")
    for release_id in noted.collecting:
        _remove(registry, release_id)
    _remove_abandoned(registry, older_than_days)
    _done(registry, set(noted.collecting), run_id)
    log.info("gc: removed %d releases, %d bytes", len(ids), found.size)
    return found._replace(applied=True)


def needed(aliases: Aliases, keep: int) -> dict[str, str]:
    """Releases that must stay, and why."""
    found: dict[str, str] = {}
    for surface in aliases.surfaces:
        for release_id in list(dict.fromkeys(reversed(promotions(aliases, surface))))[:keep]:
            found[release_id] = f"one of the last {keep} promotions of {surface}"
    for surface, alias in aliases.surfaces.items():
        found |= {release_id: f"{role} on {surface}" for role, release_id in alias.model_dump().items() if release_id}
    return found


def _planned(registry: str, aliases: Aliases, keep: int, older_than_days: float) -> Collected:
    stay, verifications = needed(aliases, keep), _verifications(registry)
    kept, removed = [], []
    for release_id in sorted({*registry_.release_ids(registry), *verifications, *aliases.collecting}):
        tree = storage.tree_files(registry_.release_path(registry, release_id))
        files = [*tree.values(), *verifications.get(release_id, [])]  # a run that reuses a release verifies it anew
        age = (time.time() - max((one.written for one in files), default=0.0)) / _DAY_S
        if release_id in stay:
            kept.append(Kept(release_id, stay[release_id]))
        elif age < older_than_days and release_id not in aliases.collecting:
            kept.append(Kept(release_id, f"written {age:.1f} days ago, younger than {older_than_days:g}"))
        else:
            removed.append(Removal(release_id, sum(one.size for one in files)))
    return Collected(tuple(kept), tuple(removed), applied=False)


def _verifications(registry: str) -> dict[str, list[storage.Stored]]:
    """Verifications and their logs by release, those of releases that are gone among them."""
    found: dict[str, list[storage.Stored]] = {}
    for name, one in storage.tree_files(storage.join(registry, "verifications")).items():
        if not name.startswith("."):
            found.setdefault(name.rpartition(".")[0], []).append(one)
    return found


def _remove(registry: str, release_id: str) -> None:
    storage.remove_tree(registry_.release_path(registry, release_id))
    verification = registry_.verification_path(registry, release_id)
    for path in (verification, verification.removesuffix(".json") + ".log"):
        storage.remove_file(path)


def _remove_abandoned(registry: str, older_than_days: float) -> None:
    """What killed processes have left aside on disk; object storage has no such thing."""
    if storage.is_remote(registry):
        return
    storage.remove_abandoned(Path(registry, "releases"))
    folder = storage.join(registry, "verifications")
    for name, one in storage.tree_files(folder).items():
        if name.startswith(".") and time.time() - one.written > older_than_days * _DAY_S:
            storage.remove_file(storage.join(folder, name))


def _done(registry: str, ids: set[str], run_id: str) -> None:
    """Take the note back, whoever else changes the aliases meanwhile."""
    for attempt in range(_TRIES):
        aliases, version = registry_.read_aliases(registry)
        rest = tuple(release_id for release_id in aliases.collecting if release_id not in ids)
        try:
            moves.commit(registry, aliases, version, aliases.model_copy(update={"collecting": rest}), action="gc done",
                         run_id=run_id, why=f"removed {len(ids)} releases")
            return
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
