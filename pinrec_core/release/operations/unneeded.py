"""Which releases of a registry nothing needs: found for gc, which removes them.

Needed is what an alias points to and what the last promotions of a surface made live. Young releases stay too: a run
may be about to promote them, and a run that reuses one makes it young again. A refreshed release does not need the one
it came from: its lineage has what is asked of that, and it can be promoted only while that one is live.
"""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.registry import Aliases
from pinrec_core.release.operations.past import promotions

DAY_S = 86_400
BESIDE = ("verifications", "builds")  # folders of documents that are about one release each
_Documents = dict[str, dict[str, storage.Stored]]  # release -> path of a document about it -> what is stored


class Kept(NamedTuple):
    """A release that stays."""

    release_id: str
    why: str


class Removal(NamedTuple):
    """A release, or what is left of one, that goes with the documents about it."""

    release_id: str
    size: int  # bytes
    documents: tuple[str, ...]  # their paths


def sorted_out(registry: str, aliases: Aliases, keep: int, older_than_days: float) -> tuple[list[Kept], list[Removal]]:
    """What stays and what goes, half releases and documents about nothing among it."""
    stay, documents = needed(aliases, keep), _documents(registry)
    kept, removed = [], []
    for release_id in sorted({*registry_.release_ids(registry), *documents, *aliases.collecting}):
        beside = documents.get(release_id, {})
        files = [*storage.tree_files(registry_.release_path(registry, release_id)).values(), *beside.values()]
        age = (time.time() - max((one.written for one in files), default=0.0)) / DAY_S
        if release_id in stay:
            kept.append(Kept(release_id, stay[release_id]))
        elif age < older_than_days and release_id not in aliases.collecting:
            kept.append(Kept(release_id, f"written or used {age:.1f} days ago, younger than {older_than_days:g}"))
        else:
            removed.append(Removal(release_id, sum(one.size for one in files), tuple(beside)))
    return kept, removed


def needed(aliases: Aliases, keep: int) -> dict[str, str]:
    """Releases that must stay, and why."""
    found: dict[str, str] = {}
    for surface in aliases.surfaces:
        for release_id in list(dict.fromkeys(reversed(promotions(aliases, surface))))[:keep]:
            found[release_id] = f"one of the last {keep} promotions of {surface}"
    for surface, alias in aliases.surfaces.items():
        found |= {release_id: f"{role} on {surface}" for role, release_id in alias.model_dump().items() if release_id}
    return found


def _documents(registry: str) -> _Documents:
    """Verifications, their logs and build notes; a document that names no release is about one of its own name."""
    found: _Documents = {}
    for folder in (storage.join(registry, name) for name in BESIDE):
        for name, one in storage.tree_files(folder).items():
            if not name.startswith("."):
                path = storage.join(folder, name)
                found.setdefault(_release_of(path), {})[path] = one
    return found


def _release_of(path: str) -> str:
    folder, name = path.split("/")[-2:]
    if folder == "builds":
        try:
            return str(json.loads(storage.read_bytes(path))["release"])
        except (ValueError, KeyError, TypeError):
            pass
    return name.rpartition(".")[0]
