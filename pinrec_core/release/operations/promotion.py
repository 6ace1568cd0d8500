"""Promotion by release id alone, judged by the verdict that the releases carry. `pinrec registry promote ID...`."""

from __future__ import annotations

from pinrec_core.errors import PinrecError
from pinrec_core.release import bundle, stored
from pinrec_core.release.promote import promote
from pinrec_core.release.promote_refresh import promote_refresh


def promote_by_id(registry: str, release_ids: list[str], *, run_id: str, forced: str = "") -> str:
    """Make verified releases live, all in one move, or raise; a refreshed release alone. Returns a sentence.

    `forced` is the reason for overlooking failed comparisons and marks of bad releases. Raises what promote and
    promote_refresh raise.
    """
    refreshed = [one for one in release_ids
                 if bundle.REFRESHED_FROM in stored.release_manifest(registry, one).facts]
    if not refreshed:
        return promote(registry, None, release_ids, run_id, forced=forced).sentence
    if len(release_ids) > 1:
        raise PinrecError(f"{', '.join(refreshed)}: a refreshed release takes the place of the one it came from, by "
                          "itself; promote it alone")
    return promote_refresh(registry, refreshed[0], run_id, forced=forced)
