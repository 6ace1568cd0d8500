"""promote_refresh: make a refreshed release live in place of the release it was made from.

No verdict is about a refreshed release. It must therefore prove that it is the live release and nothing but new items;
nothing that it says of itself is believed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NoReturn

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import Manifest
from pinrec_core.model.extend import extends
from pinrec_core.model.io import load_model
from pinrec_core.registry import Aliases
from pinrec_core.release import bundle, moves, stored
from pinrec_core.release.moves import Move
from pinrec_core.release.verification import require_verification

log = logging.getLogger("pinrec")
_KEPT = ("surface", "date", "asked_ms", "dataset_fingerprint", "evaluation_fingerprint", "verdict_fingerprint")  # facts


def promote_refresh(registry: str, release_id: str, run_id: str, *, forced: str = "") -> str:
    """Make the release live, or raise and move nothing; returns a sentence.

    Demanded are: what is live is what it was made from, all files but model and index are the live release's, the model
    is the live one with items appended, and the verification passed. On a frozen surface it becomes the candidate.
    `forced` is the reason for overlooking that it was marked bad. Raises PinrecError or IntegrityError otherwise,
    ConflictError if somebody else changed the aliases meanwhile.
    """
    aliases, version = registry_.read_aliases(registry)
    with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
        manifest = bundle.read_release(directory, release_id)
        surface = manifest.facts["surface"]
        now = stored.live_manifest(registry, aliases, surface)
        if now and now.fingerprint == release_id:
            return moves.sentence({}, {surface: release_id}, aliases.revision)
        moves.check_may_go_live(aliases, manifest, forced=bool(forced))
        _check_base(manifest, now)
        with storage.local_tree(registry_.release_path(registry, now.fingerprint)) as live:
            _check_only_items_were_added(directory, manifest, live, bundle.read_release(live, now.fingerprint))
    require_verification(registry, release_id, manifest)
    if surface in aliases.frozen:
        _hold(registry, aliases, version, manifest, run_id)
    moved = {surface: Move(live=release_id, previous=now.fingerprint)}
    why = f"refresh: {manifest.counts[bundle.NEW_ITEMS]} new items; model and evidence are those of what was live"
    after = moves.moved_to(aliases, moved)
    if (waiting := aliases.surfaces[surface].candidate) not in (None, release_id):
        after = moves.held_back(after, {surface: waiting})  # it was judged against what this is a refresh of
    after = moves.commit(registry, aliases, version, after, action="refresh", run_id=run_id,
                         why=f"forced: {forced}; {why}" if forced else why)
    sentence = moves.sentence(moved, {}, after.revision)
    log.info("refresh: %s", sentence)
    return sentence


def _hold(registry: str, aliases: Aliases, version: str, manifest: Manifest, run_id: str) -> NoReturn:
    """A frozen surface: the release waits. Raises PinrecError."""
    surface, release_id = manifest.facts["surface"], manifest.fingerprint
    why = moves.frozen_sentence(aliases, surface)
    moves.commit(registry, aliases, version, moves.held_back(aliases, {surface: release_id}), action="hold",
                 run_id=run_id, why=why)
    raise PinrecError(f"{why}. The refreshed release waits as candidate; after `pinrec registry unfreeze {surface}`: "
                      f"pinrec registry promote {release_id}")


def _check_base(manifest: Manifest, now: Manifest | None) -> None:
    """A refresh takes the place of the release it was made from and of no other."""
    release_id, base = manifest.fingerprint, manifest.facts.get(bundle.REFRESHED_FROM)
    if base is None:
        raise PinrecError(f"release {release_id} is no refresh of another; promote it with the verdict it was built of")
    if now is None or now.fingerprint != base:
        raise PinrecError(f"release {release_id} is a refresh of {base}, but live on {manifest.facts['surface']} is "
                          f"{now.fingerprint if now else 'nothing'}; refresh what is live now")


def _check_only_items_were_added(directory: Path, manifest: Manifest, live_directory: Path, live: Manifest) -> None:
    """Compare file by file and weight by weight. Raises IntegrityError naming what differs."""
    mine, theirs = bundle.taken_over(manifest), bundle.taken_over(live)
    differing = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    if differing:
        raise IntegrityError(f"release {manifest.fingerprint}: {', '.join(differing)} differ from the live release "
                             f"{live.fingerprint} that it is a refresh of; refresh again")
    changed = sorted(name for name in _KEPT if manifest.facts.get(name) != live.facts.get(name))
    if changed or bundle.evaluated_model(manifest) != bundle.evaluated_model(live):
        what = ", ".join(changed) or bundle.EVALUATED_MODEL
        raise IntegrityError(f"release {manifest.fingerprint}: its {what} is not that of the live release "
                             f"{live.fingerprint}; refresh again")
    model, base = (load_model(folder / bundle.MODEL, verify=False) for folder in (directory, live_directory))
    if not extends(model, base):
        raise IntegrityError(f"release {manifest.fingerprint}: its model is not that of the live release "
                             f"{live.fingerprint} with items added; refresh again")
