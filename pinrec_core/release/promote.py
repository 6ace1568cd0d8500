"""promote: move the live aliases to verified releases; reject: refuse aloud.

promote never trusts who calls it: verdict, releases and verifications are read anew (see proof), and all surfaces move
in one compare-and-swap, so that a reader sees the old set or the new one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple, NoReturn

from pydantic import BaseModel, ConfigDict

from pinrec_core import registry as registry_
from pinrec_core.config import Policy
from pinrec_core.errors import PinrecError, ReleaseRejected
from pinrec_core.registry import Aliases
from pinrec_core.release import bundle, moves, stored
from pinrec_core.release.moves import Move
from pinrec_core.release.proof import (
    carried_verdict,
    check_comparison,
    check_complete,
    check_decision,
    proven_releases,
)
from pinrec_core.release.verdict import FLOOR_RULE, Decision, Verdict, read_verdict
from pinrec_core.release.waiver import overlooked_by_force

log = logging.getLogger("pinrec")


class Promotion(BaseModel):
    """What promote did; written by its component as promotion.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    revision: int  # of aliases.json after it
    run: str
    moved: dict[str, Move]  # surface -> where its alias points now
    unchanged: dict[str, str]  # surface -> release that was live already
    kept: dict[str, tuple[str, ...]]  # surface that stays -> why: not passed, or frozen (policy `each`)
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


def promote(registry: str, verdict: Path | None, release_ids: list[str], run_id: str, *, forced: str = "") -> Promotion:
    """Make the releases live, or raise and move nothing. `verdict` None = the one that the releases carry.

    A live release stays, and the sentence says so, if it is the very one, or serves the same as the new one would (the
    same run again, judged anew), new items that a refresh has added since aside. A frozen surface stays too, and its
    release becomes the candidate; under policy all, those of all surfaces, and the promotion raises.

    `forced` is the reason for overlooking failed comparisons and marks of bad releases, nothing else (see waiver).

    Raises IntegrityError (no passing verification, something altered or not of this verdict), PinrecError (the
    verdict does not allow it, the live release is not the one compared with, the release was marked bad, a surface is
    frozen), ConflictError (somebody else changed the aliases meanwhile; run it again).
    """
    judged, verdict_manifest = read_verdict(verdict) if verdict else carried_verdict(registry, release_ids)
    check_decision(judged, release_ids, bool(forced))
    aliases, version = registry_.read_aliases(registry)  # before the releases: what changes meanwhile is a conflict
    chosen = proven_releases(registry, judged, verdict_manifest, release_ids, bool(forced))
    check_complete(registry, aliases, judged, verdict_manifest, chosen)
    live = {surface: stored.live_manifest(registry, aliases, surface) for surface in chosen}
    moved, unchanged = {}, {}
    for surface, manifest in chosen.items():
        now = live[surface]
        if now and bundle.serves_already(now, manifest):
            unchanged[surface] = now.fingerprint
            continue
        moves.check_may_go_live(aliases, manifest, forced=bool(forced))
        if not forced:
            check_comparison(registry, judged, surface, now)
        moved[surface] = Move(live=manifest.fingerprint, previous=now.fingerprint if now else None)
    return _moved(registry, aliases, version, _Asked(judged, moved, unchanged, run_id, forced))


class _Asked(NamedTuple):
    """A promotion that nothing but a frozen surface stands against."""

    judged: Verdict
    moved: dict[str, Move]
    unchanged: dict[str, str]
    run_id: str
    forced: str


def _moved(registry: str, aliases: Aliases, version: str, asked: _Asked) -> Promotion:
    held = {surface: one.live for surface, one in asked.moved.items() if surface in aliases.frozen}
    if held and asked.judged.policy is Policy.ALL:
        _hold_all(registry, aliases, version, asked)
    moved = {surface: one for surface, one in asked.moved.items() if surface not in held}
    after = moves.held_back(moves.moved_to(aliases, moved), held)
    after = moves.commit(registry, aliases, version, after, action="promote" if moved else "hold", run_id=asked.run_id,
                         why=_why(asked.judged, asked.moved, asked.forced))
    kept = _kept(asked.judged) | {surface: (moves.frozen_sentence(aliases, surface),) for surface in held}
    told = [moves.sentence(moved, asked.unchanged, after.revision), *(kept[surface][0] for surface in held)]
    result = Promotion(revision=after.revision, run=asked.run_id, moved=moved, unchanged=asked.unchanged, kept=kept,
                       sentence="; ".join(told))
    log.info("promote: %s", result.sentence)
    return result


def _hold_all(registry: str, aliases: Aliases, version: str, asked: _Asked) -> NoReturn:
    """Policy all with a frozen surface: all wait. Raises PinrecError."""
    waiting = {surface: one.live for surface, one in asked.moved.items()}
    why = "; ".join(moves.frozen_sentence(aliases, surface) for surface in waiting if surface in aliases.frozen)
    moves.commit(registry, aliases, version, moves.held_back(aliases, waiting), action="hold", run_id=asked.run_id,
                 why=why)
    raise PinrecError(f"nothing was promoted, policy all moves every surface or none: {why}. They wait as candidates; "
                      f"after `pinrec registry unfreeze`: pinrec registry promote {' '.join(waiting.values())}")


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


def _why(judged: Verdict, moved: dict[str, Move], forced: str) -> str:
    verdicts = [judged.surfaces[surface] for surface in moved]
    told = [rule.sentence for verdict in verdicts for rule in verdict.rules if rule.rule == FLOOR_RULE]
    if forced:
        overlooked = [sentence for verdict in verdicts for sentence in overlooked_by_force(verdict)]
        told = [f"forced: {forced}", *(f"overlooked: {sentence}" for sentence in overlooked), *told]
    return "; ".join(told)


def _kept(judged: Verdict) -> dict[str, tuple[str, ...]]:
    return {s: tuple(verdict.reasons) for s, verdict in judged.surfaces.items() if s not in judged.passed}
