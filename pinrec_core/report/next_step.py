"""What to do after a run: one line for the message, a list with commands for the page. Both say the same."""

from __future__ import annotations

from typing import NamedTuple

from pinrec_core.release.outcome import BASELINE_RULE, FLOOR_RULE, LIVE_RULE, SLICE_RULE
from pinrec_core.report.run_facts import RunFacts, RunStatus

_NEXT = {
    RunStatus.PROMOTED: "nothing; `pinrec registry rollback` goes back to what was live before",
    RunStatus.READY: "nothing is live of it; `pinrec registry promote {releases}` promotes",
    RunStatus.REJECTED: "look at the report; what was trained and evaluated is kept, so that the same run judges anew "
                        "in seconds after a change of [gate]",
    RunStatus.FAILED: "mend what the failed step names and start the same run again: what is complete is not repeated"}
_UNCHANGED = "nothing: what the run made is live already"
_REJECTED = (
    "Is the data wrong? Repair the partition and start the same run again.",
    "Is a limit wrong? Change it in [gate] and start the same run again: what was trained is kept, it takes seconds.",
    "Is the candidate worse? Leave it: what is live goes on serving, and the next run has a day more.")
LOOK_AT = {  # rule -> where its cause shows
    FLOOR_RULE: "Are the baselines low too? Then the data has changed. Only the candidate? Look at its training.",
    LIVE_RULE: "On the same users it is worse than what is live: the slices say where.",
    BASELINE_RULE: "A list that needs no training is better: look at the training curve, and at model.transitions.",
    SLICE_RULE: "The whole is fine, these users or items are not: look at the slices.",
    "min_users": "The log of the last days is thin, or aggregate.eval_days is short: look at the data.",
    "coverage": "The lists hold too few items: look at the map of the items and at the negatives.",
    "embedding_health": "The item vectors have collapsed: look at their map.",
    "data_health": "Look at the checks of the data."}


class Advice(NamedTuple):
    """One thing to do."""

    text: str
    commands: tuple[str, ...] = ()


def next_step(facts: RunFacts) -> str:
    """In one line."""
    if facts.promotion and not facts.promotion.moved:
        return _UNCHANGED
    releases = " ".join(facts.ready.releases.values()) if facts.ready else ""
    return _NEXT[facts.status].format(releases=releases)


def advice(facts: RunFacts, registry: str) -> list[Advice]:
    """What can be done, most likely first; commands name the registry."""
    if facts.status is RunStatus.PROMOTED:
        return [_back(facts, registry)]
    if facts.status is RunStatus.READY:
        releases = " ".join(facts.ready.releases.values())
        return [Advice("Nothing of it is live. To make it live:",
                       (f"pinrec registry promote {releases} --registry {registry}",))]
    if facts.status is RunStatus.REJECTED:
        return [Advice(text) for text in _REJECTED]
    return [Advice("Mend what the step names and start the same run again: what is complete is not repeated."),
            Advice("Is something missing around it? This says what:", ("pinrec doctor --config FILE",))]


def _back(facts: RunFacts, registry: str) -> Advice:
    """From what a run put live."""
    if not facts.promotion.moved:
        return Advice(f"{_UNCHANGED[:1].upper()}{_UNCHANGED[1:]}.")
    moved = [surface for surface, move in sorted(facts.promotion.moved.items()) if move.previous]
    if not moved:
        return Advice("Nothing. Nothing was live before, so there is nothing to go back to.")
    return Advice("Nothing. To go back to what was live before:", tuple(
        f"pinrec registry rollback {surface} --registry {registry} --reason TEXT" for surface in moved))
