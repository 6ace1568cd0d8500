"""What each step of a run took, in the order of the work; a step that did not run says so instead."""

from __future__ import annotations

from typing import Any, NamedTuple

from pinrec_core.config.target import STEPS
from pinrec_core.release.verdict import Decision
from pinrec_core.report.run_facts import RunFacts, number

ORDER = tuple(step.replace("_", "-") for step in STEPS)
REUSABLE = ("aggregate-logs", "pretrain", "finetune", "evaluate")  # may be answered from the cache
NOT_RUN, CACHED = "did not run", "from the cache, did not run"
NOT_ENDED, NOT_KEPT = "began and did not end", "ran, its time was not kept"


class StepRow(NamedTuple):
    """One step; None where there is no number."""

    step: str  # with its surface, as in "finetune home"
    seconds: float | None  # of its last attempt
    peak_mb: float | None  # MiB
    note: str  # what became of a step without a time; the number of attempts where there were several


def step_rows(facts: RunFacts) -> list[StepRow]:
    """A row per step that has left a record, and per step that was to run; none at all without a record.

    notify is left out: it writes the page before it knows what it took.
    """
    found = [(str(record.get("step", "?")), record) for record in facts.steps.values()]
    if not found:
        return []
    known = {step for step, _ in found}
    rows = [_row(step, record) for step, record in found]
    rows += [StepRow(step, None, None, _absence(step, known, _proved(facts)))
             for step in _expected(facts, known) - known]
    return sorted((row for row in rows if row.step != "notify"), key=lambda row: (_place(row.step), row.step))


def _row(step: str, record: dict[str, Any]) -> StepRow:
    seconds, attempts = number(record.get("seconds")), number(record.get("attempts")) or 1
    notes = [NOT_ENDED] if seconds is None else []
    if attempts > 1:
        notes.append(f"attempt {attempts:.0f}")
    return StepRow(step, seconds, number(record.get("peak_mb")), ", ".join(notes))


def _expected(facts: RunFacts, known: set[str]) -> set[str]:
    """The steps up to the gate, and those of the way that it chose; of the surfaces that the run is known to have."""
    surfaces = {_surface(step) for step in known} | set(facts.verdict.surfaces if facts.verdict else ())
    surfaces = surfaces - {""} or {""}
    steps = {"aggregate-logs", "validate-data", "pretrain", "gate"}
    steps |= {f"{step} {surface}".strip() for step in ("finetune", "resolve-live", "evaluate") for surface in surfaces}
    if facts.verdict is None:
        return steps
    if facts.verdict.decision is not Decision.PROMOTE:
        return steps | {"reject"}
    return steps | {"promote"} | {f"{step} {surface}" for step in ("build-index", "verify-release")
                                  for surface in facts.verdict.passed}


def _absence(step: str, known: set[str], proved: set[str]) -> str:
    """What became of a step without a record: another one that has run tells that its result was there."""
    later = {other for other in known | proved if _place(other) > _place(step) and other != "notify"
             and not (_surface(step) and _surface(other) not in ("", _surface(step)))}
    if step.split()[0] in REUSABLE and later:
        return CACHED
    return NOT_KEPT if later or step in proved else NOT_RUN


def _proved(facts: RunFacts) -> set[str]:
    """Steps that have run, as their results say."""
    found = {"validate-data": facts.data, "gate": facts.verdict, "promote": facts.promotion or facts.ready,
             "reject": facts.rejection}
    return {step for step, result in found.items() if result} | {f"verify-release {name}"
                                                                 for name in facts.verifications}


def _surface(step: str) -> str:
    return step.partition(" ")[2]


def _place(step: str) -> int:
    kind = step.split(" ")[0]
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
