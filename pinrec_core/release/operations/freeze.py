"""freeze, unfreeze: neither promotion nor rollback moves a frozen surface. `pinrec registry freeze home --reason ...`.
"""

from __future__ import annotations

import difflib

from pinrec_core import registry as registry_
from pinrec_core.errors import ConfigError
from pinrec_core.registry import Aliases
from pinrec_core.release import moves, stored


def freeze(registry: str, surface: str, *, reason: str, run_id: str) -> str:
    """Freeze a surface; returns a sentence. What would be promoted there waits as candidate.

    Raises ConfigError for a surface that the registry does not know, ConflictError if the aliases changed meanwhile.
    """
    aliases, version = registry_.read_aliases(registry)
    _check_known(registry, aliases, surface)
    if surface in aliases.frozen:
        return f"nothing to do: {moves.frozen_sentence(aliases, surface)}"
    after = aliases.model_copy(update={"frozen": aliases.frozen | {surface: moves.mark(reason)}})
    after = moves.commit(registry, aliases, version, after, action="freeze", run_id=run_id, why=reason)
    return f"{moves.frozen_sentence(after, surface)} (revision {after.revision})"


def unfreeze(registry: str, surface: str, *, reason: str, run_id: str) -> str:
    """Let a surface move again; returns a sentence that names the candidate that waits, if any.

    Raises ConflictError if the aliases changed meanwhile.
    """
    aliases, version = registry_.read_aliases(registry)
    if surface not in aliases.frozen:
        return f"nothing to do: {surface} is not frozen; frozen are {sorted(aliases.frozen)}"
    frozen = {name: mark for name, mark in aliases.frozen.items() if name != surface}
    after = moves.commit(registry, aliases, version, aliases.model_copy(update={"frozen": frozen}), action="unfreeze",
                         run_id=run_id, why=reason)
    alias = after.surfaces.get(surface)
    waits = f"; release {alias.candidate} waits: `pinrec registry promote {alias.candidate}`" \
        if alias and alias.candidate else ""
    return f"{surface} may move again (revision {after.revision}){waits}"


def _check_known(registry: str, aliases: Aliases, surface: str) -> None:
    if surface in aliases.surfaces:
        return
    known = {*aliases.surfaces, *(stored.release_manifest(registry, release_id).facts["surface"]
                                  for release_id in registry_.release_ids(registry))}
    if surface not in known:
        near = difflib.get_close_matches(surface, sorted(known), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"surface {surface!r} has no release in {registry}; {hint}there are {sorted(known)}")
