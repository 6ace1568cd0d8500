"""What the history of the aliases tells: which releases were live on a surface, and which of them by promotion."""

from __future__ import annotations

from pinrec_core.registry import Aliases

_PROMOTIONS = ("promote", "refresh")


def lives(aliases: Aliases, surface: str) -> list[str]:
    """Releases that were live on a surface, oldest first; one that came back stands there again."""
    return _lives(aliases, surface, promotions=False)


def promotions(aliases: Aliases, surface: str) -> list[str]:
    """Releases that promotions made live on a surface, oldest first."""
    return _lives(aliases, surface, promotions=True)


def disagreements(aliases: Aliases) -> list[str]:
    """Where the history, read from its beginning, does not lead to the aliases as they are."""
    found = []
    revisions = [entry.get("revision") for entry in aliases.history]
    if revisions != list(range(1, aliases.revision + 1)):
        found.append(f"revision is {aliases.revision}, the history has {len(revisions)} entries, the last of revision "
                     f"{revisions[-1] if revisions else 'none'}")
    for surface in sorted({*aliases.surfaces, *(s for entry in aliases.history for s in entry.get("surfaces", {}))}):
        past = lives(aliases, surface)
        live = aliases.surfaces[surface].live if surface in aliases.surfaces else None
        if live != (past[-1] if past else None):
            found.append(f"live on {surface} is {live}, by the history it is {past[-1] if past else None}")
    return found


def _lives(aliases: Aliases, surface: str, promotions: bool) -> list[str]:
    past: list[str] = []
    live = None
    for entry in aliases.history:
        now = entry.get("surfaces", {}).get(surface, {}).get("live", live)
        if now is not None and now != live and (not promotions or entry.get("action", "promote") in _PROMOTIONS):
            past.append(now)
        live = now
    return past
