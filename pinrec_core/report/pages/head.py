"""The head of a page: what became of the run in one sentence, why, what is live, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pinrec_core.release.verdict import Decision
from pinrec_core.report.run_facts import RunFacts, RunStatus

_FEW = 2  # reasons that the sentence itself names
_PLACE = re.compile(r"^(?:/|\w+://)\S+: ")  # a path before a message, which the message below has in full


def headline(outcome: dict[str, Any], facts: RunFacts, views: list[dict[str, Any]]) -> str:
    """The run in one sentence for a page, which has cards and lists for ids and for many reasons."""
    if facts.status is RunStatus.PROMOTED and facts.promotion.moved:
        kept = facts.promotion.told.removeprefix(f"{facts.promotion.sentence}.")
        moved = sorted(facts.promotion.moved)
        now = f"{listed(moved)} {'is' if len(moved) == 1 else 'are'} live now"
        was_live = any(move.previous for move in facts.promotion.moved.values())
        return f"Promoted: {now}. {_compared(moved, views, was_live)}{kept}"
    if facts.status is RunStatus.REJECTED and len(facts.reasons) > _FEW and facts.verdict:
        failed = [name for name, judged in sorted(facts.verdict.surfaces.items())
                  if judged.decision is not Decision.PROMOTE]
        return f"Rejected, nothing was changed: {len(facts.reasons)} rules do not hold, on {listed(failed)}."
    if facts.status is RunStatus.FAILED and facts.failure:
        first = str(facts.failure.get("message", "")).strip().splitlines() or ["it left no message"]
        indented = [line.strip() for line in first[1:2] if line.startswith(" ")]  # the first of what was found
        told = ": ".join([_PLACE.sub("", first[0]).rstrip("."), *indented])
        return f"Failed: step {facts.failure.get('step', '?')}: {told}."
    return outcome["sentence"]


def many_reasons(facts: RunFacts) -> list[str]:
    """Why a run was rejected, if the sentence does not say it."""
    return facts.reasons if facts.status is RunStatus.REJECTED and len(facts.reasons) > _FEW else []


def against(difference: dict[str, Any] | None) -> str:
    """"better" or "worse" where the interval of a difference excludes 0, "level" where not, "" where there is none."""
    low, high = (difference or {}).get("low"), (difference or {}).get("high")
    if low is None or high is None:
        return ""
    return "better" if low > 0 else "worse" if high < 0 else "level"


def listed(names: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def _compared(moved: list[str], views: list[dict[str, Any]], was_live: bool) -> str:
    """How they are to what was live before; an evaluation out of the cache may be older than what was live."""
    words = {view["name"]: against(view["card"]["live"]) for view in views if view["name"] in moved}
    groups = [(word, [name for name, said in words.items() if said == word]) for word in ("better", "level", "worse")]
    told = [f"{word} on {listed(sorted(names))}" for word, names in groups if names]
    if told:
        return f"Against what was live before: {', '.join(told)}."
    return "They were not compared with what was live before." if was_live else "Nothing was live before."
