"""rollback: a surface goes back to a release that was live before. `pinrec registry rollback home --reason TEXT`.

The alias moves only after the target was found whole and verified and has been loaded here; what was live is marked
bad.
"""

from __future__ import annotations

import logging

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.registry import Alias, Aliases
from pinrec_core.release import bundle, moves, stored
from pinrec_core.release.load import load_verified
from pinrec_core.release.operations.past import lives

log = logging.getLogger("pinrec")


def rollback(registry: str, surface: str, *, reason: str, run_id: str, to: str = "") -> str:
    """Make `to` ("" = the previous release) live again and mark what was live as bad; returns a sentence.

    Raises PinrecError (nothing live, frozen, no such release or one that was never live there or is bad itself),
    IntegrityError (the target is not whole, not verified or does not load), ConflictError; nothing is changed then.
    """
    aliases, version = registry_.read_aliases(registry)
    alias = aliases.surfaces.get(surface, Alias())
    if alias.live is None:
        raise PinrecError(f"surface {surface!r} has no live release in {registry}; live is something on "
                          f"{sorted(s for s, other in aliases.surfaces.items() if other.live)}")
    if surface in aliases.frozen:
        raise PinrecError(f"{moves.frozen_sentence(aliases, surface)}; `pinrec registry unfreeze {surface}` first")
    target = _target(registry, aliases, surface, to)
    _check_loads(registry, surface, target)
    marks = aliases.bad | {alias.live: moves.mark(reason, _content_of(registry, alias.live))}
    waits = alias.candidate if alias.candidate != target else None
    back = Alias(live=target, previous=_before(registry, aliases, surface, target, set(marks)), candidate=waits)
    after = aliases.model_copy(update={"surfaces": aliases.surfaces | {surface: back}, "bad": marks})
    after = moves.commit(registry, aliases, version, after, action="rollback", run_id=run_id, why=reason)
    told = (f"{surface}: live is {target} again (revision {after.revision}); {alias.live} is marked bad: {reason}; "
            f"previous is now {back.previous or 'nothing'}")
    log.info("rollback: %s", told)
    return told


def _target(registry: str, aliases: Aliases, surface: str, to: str) -> str:
    """The release to go back to. Raises PinrecError if it cannot be one."""
    alias = aliases.surfaces[surface]
    known = registry_.release_ids(registry)
    possible = [one for one in dict.fromkeys(lives(aliases, surface)) if one != alias.live
                and one not in aliases.bad and one not in aliases.collecting and one in known]
    target = registry_.whole_id(registry, to) if to else alias.previous
    if target in possible:
        return target
    rest = f"; it can go back to {', '.join(possible)}" if possible else "; there is none it could go back to"
    if target is None:
        raise PinrecError(f"surface {surface!r} has no previous release{rest}")
    if target == alias.live:
        raise PinrecError(f"release {target} is live on {surface} already{rest}")
    if target in aliases.bad:
        raise PinrecError(f"release {target} was marked bad itself: {aliases.bad[target].why}{rest}")
    raise PinrecError(f"release {target} was never live on {surface} or is gone, and a rollback passes no gate{rest}")


def _check_loads(registry: str, surface: str, target: str) -> None:
    """Hash every file, demand the verification, load. Raises IntegrityError."""
    with storage.local_tree(registry_.release_path(registry, target)) as directory:
        found = load_verified(registry, target, directory).surface
    if found != surface:
        raise IntegrityError(f"release {target} answers for {found}, not for {surface}; nothing was changed")


def _content_of(registry: str, release_id: str) -> str:
    """What a release serves; "" if that cannot be read any more, which may be why it is left."""
    try:
        return bundle.served_fingerprint(stored.release_manifest(registry, release_id))
    except IntegrityError:
        return ""


def _before(registry: str, aliases: Aliases, surface: str, target: str, bad: set[str]) -> str | None:
    """The release that was live before the target was, for the next rollback."""
    past, known = lives(aliases, surface), set(registry_.release_ids(registry))
    until = len(past) - past[::-1].index(target) - 1
    return next((one for one in reversed(past[:until]) if one != target and one not in bad and one in known), None)
