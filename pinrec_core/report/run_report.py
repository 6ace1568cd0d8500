"""One run on one page: report.html for a person and outcome.json for a script, from the run folder alone.

The page opens without a network: styles and plots are inside it, and every value is escaped.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pinrec_core.release.outcome import BASELINE_RULE, told
from pinrec_core.release.verdict import Decision
from pinrec_core.report.run_facts import RunFacts, RunStatus, SummaryRow, number, read_facts, summary_rows

REPORT = "report.html"
OUTCOME = "outcome.json"
_SLICES = (  # key of evaluation.json, what its names are, caption of the table
    ("by_action", "action", "By the action the user really took"),
    ("by_split", "users", "By user split; held-out users were never seen in training"),
    ("by_activity", "engagements", "By the user's engagements before the evaluation window"),
    ("by_item_age", "age", "By the target's age at the start of the evaluation window"))
_TEMPLATES = Path(__file__).parent / "templates"
log = logging.getLogger("pinrec")


def write_run_report(run_dir: str | Path, *, status: RunStatus | str | None = None, run_id: str = "") -> str:
    """Write report.html and outcome.json into the run folder (path or gs:// URI) and return where the report is.

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
    storage.write_bytes(report, render(facts, run_id).encode())
    storage.write_bytes(storage.join(run, OUTCOME), json.dumps(outcome, indent=1).encode())
    log.info("report: %s: %s", report, outcome["sentence"])
    return report


def outcome_of(facts: RunFacts, run_id: str, report: str) -> dict[str, Any]:
    """What a script wants of a run: status, numbers per surface, reasons, where the report is."""
    surfaces: dict[str, dict] = {}
    for row in summary_rows(facts):
        entry = surfaces.setdefault(row.surface, {"verdict": row.verdict, "live": _live_now(facts, row.surface),
                                                  "metrics": {}})
        entry["metrics"][row.metric] = {
            "value": row.recall, "low": row.low, "high": row.high, "n": row.n, "floor": row.floor,
            "best_baseline": {"name": row.baseline, "value": row.baseline_value} if row.baseline else None}
    return {"run_id": run_id, "status": facts.status.value, "sentence": sentence_of(facts), "surfaces": surfaces,
            "releases": facts.releases, "reasons": facts.reasons, "report": report,
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


def render(facts: RunFacts, run_id: str) -> str:
    """The whole page. What draws it is loaded here: an outcome alone is told without."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from pinrec_core.report import plots

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, count=_count)
    rows = summary_rows(facts)
    return environment.get_template("run.html.j2").render(
        run_id=run_id, status=facts.status.value, sentence=sentence_of(facts), rows=rows, facts=facts,
        warnings=warnings_of(facts), surfaces=_surfaces(facts, rows), events=_events_table(facts),
        data_counts=_data_counts(facts), recall_plot=Markup(plots.recall_plot(rows)),
        training_plot=Markup(plots.training_plot(facts.training)), days_plot=Markup(plots.days_plot(_days(facts))))


def _surfaces(facts: RunFacts, rows: list[SummaryRow]) -> list[dict[str, Any]]:
    """Per surface the tables of its section, failed surfaces first."""
    judged = facts.verdict.surfaces if facts.verdict else {}
    names = {*judged, *facts.evaluations, *(row.surface for row in rows)}
    failed = {s for s, verdict in judged.items() if verdict.decision is not Decision.PROMOTE}
    sections = []
    for name in sorted(names, key=lambda s: (s not in failed, s)):
        evaluation = facts.evaluations.get(name, {})
        sections.append({
            "name": name, "evaluated": bool(evaluation), "judged": judged.get(name), "evaluation": evaluation,
            "rules": told(name, judged[name].rules) if name in judged else [],
            "systems": _table(evaluation.get("rows") or []),
            "slices": [(first, caption, _table([slice_ for slice_ in _named(evaluation.get(key)) if _users(slice_)]))
                       for key, first, caption in _SLICES],
            "verification": facts.verifications.get(name)})
    return sections


def _named(groups: Any) -> list[dict[str, Any]]:
    if not isinstance(groups, dict):
        return []
    return [{"name": name, **group} for name, group in groups.items() if isinstance(group, dict)]


def _table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of {"name", metric: number or statistic, "n"} as columns and cells; a column is there if any row has it."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry
                              if key not in ("name", "n") and number(entry[key]) is not None))
    lines = [{"name": entry.get("name", "?"), "n": _users(entry), "cells": [number(entry.get(key)) for key in keys]}
             for entry in entries]
    return {"columns": keys, "lines": lines}


def _users(entry: dict[str, Any]) -> Any:
    """n of a row, or of its first metric that has one."""
    own = entry.get("n", entry.get("n_users"))
    inner = (value["n"] for value in entry.values() if isinstance(value, dict) and "n" in value)
    return own if own is not None else next(inner, None)


def _days(facts: RunFacts) -> dict[str, dict[str, float]]:
    """Day -> surface -> event rows kept, as statistics.json of the dataset counts them."""
    days = (facts.statistics or {}).get("rows_by_date_and_surface")
    if not isinstance(days, dict):
        return {}
    return {day: {name: number(value) or 0.0 for name, value in counted.items()}
            for day, counted in sorted(days.items()) if isinstance(counted, dict)}


def _events_table(facts: RunFacts) -> dict[str, Any]:
    """Surface x action event rows, with the surface's total as n."""
    entries = _named((facts.statistics or {}).get("rows_by_surface_and_action"))
    return _table([entry | {"n": sum(value for key in entry if (value := number(entry[key])) is not None)}
                   for entry in entries])


def _data_counts(facts: RunFacts) -> dict[str, int]:
    counts = (facts.data or {}).get("counts")
    return counts if isinstance(counts, dict) else {}


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _live_now(facts: RunFacts, surface: str) -> str | None:
    """The release this run left live on a surface, None if it moved nothing there."""
    if not facts.promotion:
        return None
    move = facts.promotion.moved.get(surface)
    return move.live if move else facts.promotion.unchanged.get(surface)


def _number(value: Any) -> str:
    found = number(value)
    if found is None:
        return "–"
    return f"{found:,.0f}" if found == int(found) and abs(found) >= 2 else f"{found:.3f}"


def _count(value: Any) -> str:
    found = number(value)
    return "–" if found is None else f"{found:,.0f}"
