"""A run for a person and for a script, from its folder and its registry alone: `pinrec notify RUN_FOLDER`.

    report.html              the whole run on one page
    surfaces/<surface>.html  one surface on a page of its own
    outcome.json             status, numbers, reasons

A page opens without a network: styles and plots are inside it, and every value is escaped.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pinrec_core.release.outcome import BASELINE_RULE
from pinrec_core.report.history import OUTCOME, last_runs
from pinrec_core.report.next_step import advice
from pinrec_core.report.released import releases_of
from pinrec_core.report.run_facts import RunFacts, RunStatus, read_facts, summary_rows
from pinrec_core.report.standing import live_beside, registry_of

REPORT = "report.html"
SURFACES_FOLDER = "surfaces"
log = logging.getLogger("pinrec")


def write_run_report(run_dir: str | Path, *, status: RunStatus | str | None = None, run_id: str = "") -> str:
    """Write the pages and outcome.json into the run folder (path or gs:// URI) and return where the report is.

    `status` is what the orchestrator believes; without it, the folder decides. Where the two disagree the folder wins,
    because it holds what was really done, and the report says so. Missing or broken parts are named, never fatal.
    """
    run = str(run_dir).rstrip("/")
    run_id = run_id or run.rsplit("/", 1)[-1]
    with storage.local_tree(run) as folder:
        facts = read_facts(folder)
    if status and RunStatus(status) is not facts.status:
        facts.notes.insert(0, f"the run was reported as {RunStatus(status).value}, but what its folder holds is "
                              f"{facts.status.value}")
    report = storage.join(run, REPORT)
    outcome = outcome_of(facts, run_id, report)
    page, surfaces = _pages(run, facts, outcome)
    for surface, own in surfaces.items():
        storage.write_bytes(storage.join(run, SURFACES_FOLDER, f"{surface}.html"), own.encode())
    storage.write_bytes(report, page.encode())
    storage.write_bytes(storage.join(run, OUTCOME), json.dumps(outcome, indent=1).encode())
    log.info("report: %s: %s", report, outcome["sentence"])
    return report


def _pages(run: str, facts: RunFacts, outcome: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """What draws them is loaded here: an outcome alone is told without."""
    from pinrec_core.report.pages.render import Beside, render

    beside = Beside(last_runs(run, outcome), releases_of(run, facts), live_beside(run), advice(facts, registry_of(run)))
    return render(outcome, facts, beside)


def outcome_of(facts: RunFacts, run_id: str, report: str) -> dict[str, Any]:
    """What a script wants of a run: status, numbers per surface, reasons, where the report is."""
    surfaces: dict[str, dict] = {}
    for row in summary_rows(facts):
        entry = surfaces.setdefault(row.surface, {"verdict": row.verdict, "live": _live_now(facts, row.surface),
                                                  "metrics": {}})
        entry["metrics"][row.metric] = {
            "value": row.recall, "low": row.low, "high": row.high, "n": row.n, "floor": row.floor,
            "best_baseline": {"name": row.baseline, "value": row.baseline_value} if row.baseline else None}
    return {"run_id": run_id, "date": facts.date, "status": facts.status.value, "sentence": sentence_of(facts),
            "surfaces": surfaces, "releases": facts.releases, "reasons": facts.reasons, "report": report,
            "warnings": warnings_of(facts)}


def warnings_of(facts: RunFacts) -> list[str]:
    """What stops nothing and should be known: failed rules of level warn, surfaces below their best baseline."""
    judged = facts.verdict.surfaces if facts.verdict else {}
    said = {(surface, rule.metric) for surface, verdict in judged.items() for rule in verdict.rules
            if rule.rule == BASELINE_RULE and not rule.passed}
    warnings = facts.verdict.warnings if facts.verdict else []
    return warnings + [row.below_baseline for row in summary_rows(facts)
                       if row.below_baseline and (row.surface, row.metric) not in said]


def sentence_of(facts: RunFacts) -> str:
    """The run in one sentence."""
    if facts.status is RunStatus.PROMOTED:
        done = facts.promotion.told
        return f"Promoted: {done}" if facts.promotion.moved else _capital(done)
    if facts.status is RunStatus.READY:
        return f"{_capital(facts.ready.sentence)}."
    if facts.status is RunStatus.REJECTED:
        return f"Rejected, nothing was changed: {'; '.join(facts.reasons) or 'no reason was recorded'}."
    if facts.failure:
        return f"Failed: {facts.reasons[0].splitlines()[0].rstrip('.')}."  # the page shows the whole message below
    return (f"Failed: no step has recorded why; the last that left a result is {facts.last_result or 'none'}, and the "
            "log of what came after it has the reason.")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _live_now(facts: RunFacts, surface: str) -> str | None:
    """The release this run left live on a surface, None if it moved nothing there."""
    if not facts.promotion:
        return None
    move = facts.promotion.moved.get(surface)
    return move.live if move else facts.promotion.unchanged.get(surface)
