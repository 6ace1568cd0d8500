"""promote: move the live aliases to verified releases; reject: refuse aloud.

promote never trusts who calls it: it reads verdict, releases and verifications itself, and moves all surfaces in one
compare-and-swap, so that a reader sees the old set or the new one.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import Policy
from pinrec_core.errors import IntegrityError, PinrecError, ReleaseRejected
from pinrec_core.manifest import Manifest
from pinrec_core.release import bundle, moves
from pinrec_core.release.moves import Move
from pinrec_core.release.verdict import EVALUATIONS_FOLDER, FLOOR_RULE, VERDICT_NAME, Decision, Verdict, read_verdict
from pinrec_core.release.verification import require_verification

log = logging.getLogger("pinrec")


class Promotion(BaseModel):
    """What promote did; written by its component as promotion.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    revision: int  # of aliases.json after it
    run: str
    moved: dict[str, Move]  # surface -> where its alias points now
    unchanged: dict[str, str]  # surface -> release that was live already
    kept: dict[str, tuple[str, ...]]  # surface the verdict did not pass -> why (policy `each`)
    sentence: str

    @property
    def told(self) -> str:
        """The sentence and why the surfaces that did not pass stay as they are."""
        kept = "".join(f" Kept as it was: {surface}, because {'; '.join(reasons)}."
                       for surface, reasons in self.kept.items())
        return f"{self.sentence}.{kept}"


class Rejection(BaseModel):
    """What reject found; written by its component as rejection.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    surfaces: tuple[str, ...]  # that failed
    reasons: tuple[str, ...]  # every failed rule's sentence
    sentence: str


def promote(registry: str, verdict: Path, release_ids: list[str], run_id: str) -> Promotion:
    """Make the releases live, or raise and change nothing.

    A live release stays, and the sentence says so, if it is the very one, or serves the same as the new one would (the
    same run again, judged anew), new items that a refresh has added since aside.

    Raises IntegrityError (no passing verification, something altered or not of this verdict), PinrecError (the
    verdict does not allow it, or the live release is not the one compared with), ConflictError (somebody else moved
    an alias meanwhile; run it again).
    """
    judged, verdict_manifest = read_verdict(verdict)
    _check_decision(judged, release_ids)
    aliases, version = registry_.read_aliases(registry)
    chosen = _releases_by_surface(registry, judged, verdict_manifest, release_ids)
    _check_complete(judged, chosen)
    live = {surface: moves.live_manifest(registry, aliases, surface) for surface in chosen}
    moved, unchanged = {}, {}
    for surface, manifest in chosen.items():
        now = live[surface]
        if now and bundle.serves_already(now, manifest):
            unchanged[surface] = now.fingerprint
            continue
        _check_comparison(registry, judged, surface, now)
        moved[surface] = Move(live=manifest.fingerprint, previous=now.fingerprint if now else None)
    aliases = moves.move(registry, aliases, version, moved, run_id=run_id, why=_why(judged, moved))
    result = Promotion(revision=aliases.revision, run=run_id, moved=moved, unchanged=unchanged, kept=_kept(judged),
                       sentence=moves.sentence(moved, unchanged, aliases.revision))
    log.info("promote: %s", result.sentence)
    return result


def reject(verdict: Path, fail: bool, run_id: str = "") -> Rejection:
    """Say why nothing is promoted. Raises ReleaseRejected with every failed rule's sentence if `fail`.

    Raises PinrecError if the verdict is to promote: there is nothing to reject.
    """
    judged, _ = read_verdict(verdict)
    if judged.decision is Decision.PROMOTE:
        raise PinrecError(f"{verdict}: its decision is promote ({', '.join(judged.passed)}); nothing to reject, "
                          "run promote")
    rejection = rejection_of(judged, run_id)
    if fail:
        raise ReleaseRejected(rejection.sentence)
    log.warning("reject: %s", rejection.sentence)
    return rejection


def rejection_of(judged: Verdict, run_id: str) -> Rejection:
    """The failed surfaces and every failed rule's sentence."""
    failed = tuple(s for s in sorted(judged.surfaces) if s not in judged.passed)
    held = f"; policy all also holds back {', '.join(judged.passed)}" if judged.passed else ""
    return Rejection(run=run_id, surfaces=failed, reasons=tuple(judged.reasons),
                     sentence=f"rejected, nothing was changed: {'; '.join(judged.reasons)}{held}")


def _releases_by_surface(registry: str, judged: Verdict, verdict_manifest: Manifest,
                         release_ids: list[str]) -> dict[str, Manifest]:
    chosen: dict[str, Manifest] = {}
    for release_id in dict.fromkeys(release_ids):
        manifest = _checked(registry, judged, verdict_manifest, release_id)
        surface = manifest.facts["surface"]
        if surface in chosen:
            raise PinrecError(f"releases {chosen[surface].fingerprint} and {release_id} are both of surface "
                              f"{surface!r}; name one")
        chosen[surface] = manifest
    return chosen


def _checked(registry: str, judged: Verdict, verdict_manifest: Manifest, release_id: str) -> Manifest:
    """The release's manifest, once everything about it holds."""
    with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
        manifest = bundle.read_release(directory, release_id)
    surface = manifest.facts["surface"]
    if surface not in judged.passed:
        reasons = judged.surfaces[surface].reasons if surface in judged.surfaces else ["the verdict does not know it"]
        raise PinrecError(f"release {release_id} is of surface {surface!r}, which the verdict did not pass: "
                          f"{'; '.join(reasons)}")
    expected = {"verdict_fingerprint": verdict_manifest.fingerprint,
                "model_fingerprint": judged.surfaces[surface].model_fingerprint,
                "dataset_fingerprint": judged.surfaces[surface].dataset_fingerprint,
                "evaluation_fingerprint": judged.surfaces[surface].evaluation_fingerprint}
    found = {name: manifest.facts[name] for name in expected}
    for embedded, judged_file in ((bundle.VERDICT, VERDICT_NAME),
                                  (bundle.EVALUATION, f"{EVALUATIONS_FOLDER}/{surface}.json")):
        found[embedded] = manifest.files[embedded].sha256
        expected[embedded] = verdict_manifest.files[judged_file].sha256
    for name, value in expected.items():
        if found[name] != value:
            raise IntegrityError(f"release {release_id} ({surface}): its {name} is {found[name]}, the verdict has "
                                 f"{value}; build the release from this verdict")
    require_verification(registry, release_id, manifest)
    return manifest


def _check_decision(judged: Verdict, release_ids: list[str]) -> None:
    if judged.decision is not Decision.PROMOTE:
        raise PinrecError(f"the verdict is to reject, nothing may be promoted: {'; '.join(judged.reasons)}")
    if not release_ids:
        raise PinrecError("no release was named; pass the ids that build_index returned")


def _check_complete(judged: Verdict, chosen: dict[str, Manifest]) -> None:
    missing = sorted(set(judged.surfaces) - set(chosen))
    if judged.policy is Policy.ALL and missing:
        raise PinrecError(f"policy all moves every surface or none, but there is no release for {', '.join(missing)}; "
                          "build and verify it, or set gate.policy to each")


def _check_comparison(registry: str, judged: Verdict, surface: str, now: Manifest | None) -> None:
    """What is live now must be what the gate compared with, a refresh of that, or hold the very model it judged."""
    live, compared = now.fingerprint if now else None, judged.surfaces[surface].live_release
    if live == compared or (now and bundle.evaluated_model(now) == judged.surfaces[surface].model_fingerprint):
        return
    if now and compared and moves.is_refresh_of(registry, now, compared):
        return
    raise PinrecError(f"{surface}: the verdict compared with live release {compared}, but live is now {live}; run "
                      "evaluate and gate again against it")


def _why(judged: Verdict, moved: dict[str, Move]) -> str:
    rules = [rule for surface in moved for rule in judged.surfaces[surface].rules if rule.rule == FLOOR_RULE]
    return "; ".join(rule.sentence for rule in rules)


def _kept(judged: Verdict) -> dict[str, tuple[str, ...]]:
    return {s: tuple(verdict.reasons) for s, verdict in judged.surfaces.items() if s not in judged.passed}
