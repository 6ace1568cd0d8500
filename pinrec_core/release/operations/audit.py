"""verify: is everything in a registry what it claims to be? `pinrec registry verify`.

Nothing is believed: every file of every release is hashed, and what the aliases and the history say is held against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.progress import counted
from pinrec_core.registry import Aliases
from pinrec_core.release import bundle, stored
from pinrec_core.release.operations.past import disagreements
from pinrec_core.release.provenance.built import parse_built
from pinrec_core.release.provenance.lineage import read_lineage
from pinrec_core.release.verification import require_verification


class Finding(NamedTuple):
    """Something that does not hold."""

    where: str  # id of the release, or aliases.json
    problem: str  # one sentence, with both fingerprints where two do not agree


def audit(registry: str) -> list[Finding]:
    """Everything in the registry that does not hold; [] = all does."""
    release_ids = counted(registry_.release_ids(registry), "verify", "releases")
    found = [Finding(release_id, problem) for release_id in release_ids
             for problem in _release_problems(registry, release_id)]
    try:
        aliases, _ = registry_.read_aliases(registry)
    except IntegrityError as error:
        return [*found, Finding(registry_.ALIASES_NAME, str(error))]
    return found + [Finding(registry_.ALIASES_NAME, problem) for problem in
                    (*disagreements(aliases), *_alias_problems(registry, aliases))]


def _release_problems(registry: str, release_id: str) -> Iterator[str]:
    try:
        with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
            found = list(bundle.problems_of(directory, release_id))
            yield from found
            yield from _unnamed(directory)
            if not found:
                yield from _untrue(directory, release_id)
    except IntegrityError as error:  # an object outside of its tree
        yield str(error)


def _unnamed(directory: Path) -> Iterator[str]:
    """Files that no reader looks at, and that nobody put there for one."""
    try:
        manifest = bundle.manifest_of(directory)
    except IntegrityError:  # told already
        return
    known = {*manifest.files, storage.MANIFEST_NAME, bundle.BUILT, bundle.CURVE}
    for name in sorted(storage.tree_files(str(directory)).keys() - known):
        digest = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        yield f"{directory / name}: sha256 {digest[:12]}, the manifest names no such file; remove it"


def _untrue(directory: Path, release_id: str) -> Iterator[str]:
    try:
        read_lineage(directory, release_id)
        parse_built((directory / bundle.BUILT).read_bytes(), release_id)
    except IntegrityError as error:
        yield str(error)


def _alias_problems(registry: str, aliases: Aliases) -> Iterator[str]:
    for surface, alias in aliases.surfaces.items():
        for role, release_id in alias.model_dump().items():
            if release_id is None:
                continue
            if role == "live" and release_id in aliases.bad:
                yield f"{role} on {surface} is {release_id}, which is marked bad: {aliases.bad[release_id].why}"
            try:
                manifest = stored.release_manifest(registry, release_id)
                require_verification(registry, release_id, manifest)
            except (IntegrityError, ConfigError) as error:
                yield f"{role} on {surface} is {release_id}: {error}"
                continue
            if manifest.facts.get("surface") != surface:
                yield f"{role} on {surface} is {release_id}, which answers for {manifest.facts.get('surface')}"
