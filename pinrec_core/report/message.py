"""One message a run: what became of it, the numbers against their limits, what failed first, what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pinrec_core import storage
from pinrec_core.report.next_step import next_step
from pinrec_core.report.run_facts import RunFacts, RunStatus, number, read_facts
from pinrec_core.report.run_report import REPORT, outcome_of

_LINE = 500  # characters of a line that are told: the message of a failed step may hold whole records


class Message(BaseModel):
    """What is told. `surfaces` are those of outcome.json: verdict, live release, metrics with interval, n and floor."""

    model_config = ConfigDict(frozen=True)
    run_id: str
    status: RunStatus
    date: str  # last day of the data, "" if it was not recorded
    sentence: str
    surfaces: dict[str, Any]
    releases: dict[str, str]  # surface -> release that went live, was live already, or could go live
    reasons: tuple[str, ...]  # why not all was promoted
    warnings: tuple[str, ...]
    failed: dict[str, Any] | None  # step, message, lines (the last of its log)
    next: str
    report: str
    text: str  # all of it to read


def message_of(run_dir: str) -> Message:
    """The message of a run folder (path or gs:// URI), whatever is missing or broken in it."""
    run = run_dir.rstrip("/")
    with storage.local_tree(run) as folder:
        facts = read_facts(Path(folder))
    outcome = outcome_of(facts, run.rsplit("/", 1)[-1], storage.join(run, REPORT))
    told = outcome | {"reasons": [_cut(reason) for reason in outcome["reasons"]], "date": facts.date,
                      "failed": _failed(facts), "next": next_step(facts)}
    return Message(**told, text="\n".join(_lines(told)))


def _failed(facts: RunFacts) -> dict[str, Any] | None:
    if facts.status is not RunStatus.FAILED or not facts.failure:
        return None
    lines = facts.failure.get("lines")
    return {"step": str(facts.failure.get("step", "?")), "message": _cut(str(facts.failure.get("message", "?"))),
            "lines": [_cut(str(line)) for line in lines] if isinstance(lines, list) else []}


def _cut(text: str) -> str:
    return "\n".join(line if len(line) <= _LINE else f"{line[:_LINE]} ..." for line in text.splitlines())


def _lines(told: dict[str, Any]) -> list[str]:
    data = f" (data up to {told['date']})" if told["date"] else ""
    lines = [f"pinrec run {told['run_id']}{data}: {told['status']}", told["sentence"]]
    lines += [_metric_line(surface, metric, found) + f", {entry['verdict'] or 'not judged'}"
              for surface, entry in told["surfaces"].items() for metric, found in entry["metrics"].items()]
    lines += [f"warning: {warning}" for warning in told["warnings"]]
    if told["failed"]:
        lines += [f"last lines of {told['failed']['step']}:", *(f"  {line}" for line in told["failed"]["lines"])]
    return [*lines, f"next: {told['next']}", f"report: {told['report']}"]


def _metric_line(surface: str, metric: str, found: dict[str, Any]) -> str:
    interval = f" [{_decimal(found['low'])}, {_decimal(found['high'])}]" if found["low"] is not None else ""
    best = found["best_baseline"]
    baseline = f", best baseline {best['name']} {_decimal(best['value'])}" if best else ""
    return (f"{surface} {metric} {_decimal(found['value'])}{interval} (n = {found['n'] or 0}), floor "
            f"{_decimal(found['floor'])}{baseline}")


def _decimal(value: Any) -> str:
    found = number(value)
    return "none" if found is None else f"{found:.3f}"
