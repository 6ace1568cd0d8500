"""gc: remove releases that nothing needs. `pinrec registry gc --apply`; without it only what would be removed is told.

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
from pinrec_core.progress import counted
from pinrec_core.release import moves
from pinrec_core.release.operations.unneeded import BESIDE, DAY_S, Kept, Removal, sorted_out

log = logging.getLogger("pinrec")
_TRIES = 20  # to take back the note of what is removed, while others change the aliases


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
    kept, removed = sorted_out(registry, aliases, keep, older_than_days)
    found = Collected(tuple(kept), tuple(removed), applied=apply)
    if not apply:
        return found
    ids = [one.release_id for one in removed]  # those of a killed gc are among them
    noted = aliases.model_copy(update={"collecting": tuple(ids)})
    moves.commit(registry, aliases, version, noted, action="gc", run_id=run_id,
                 why=f"removes {len(ids)} releases, {found.size} bytes: {', '.join(ids)}")
    for one in counted(removed, "remove", "releases"):
        _remove(registry, one)
    _remove_abandoned(registry, older_than_days)
    _done(registry, set(ids), run_id)
    log.info("gc: removed %d releases, %d bytes", len(ids), found.size)
    return found


def _remove(registry: str, removal: Removal) -> None:
    storage.remove_tree(registry_.release_path(registry, removal.release_id))
    for path in removal.documents:
        storage.remove_file(path)


def _remove_abandoned(registry: str, older_than_days: float) -> None:
    """What killed processes have left aside on disk; object storage has no such thing."""
    if storage.is_remote(registry):
        return
    storage.remove_abandoned(Path(registry, "releases"))
    for folder in (storage.join(registry, name) for name in BESIDE):
        for name, one in storage.tree_files(folder).items():
            if name.startswith(".") and time.time() - one.written > older_than_days * DAY_S:
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
