"""Pages from templates: one of the whole run, one of each surface. What draws them is loaded with this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pinrec_core.release.verdict import Decision
from pinrec_core.report.history import PastRun
from pinrec_core.report.next_step import LOOK_AT, Advice
from pinrec_core.report.pages.data import data_view
from pinrec_core.report.pages.head import against, headline, many_reasons
from pinrec_core.report.pages.steps import step_rows
from pinrec_core.report.pages.surface import surface_view
from pinrec_core.report.pages.tables import SLICES, statistic
from pinrec_core.report.plots import counts, scores
from pinrec_core.report.released import Released
from pinrec_core.report.run_facts import RunFacts, RunStatus, number, summary_rows
from pinrec_core.report.standing import Live

MOST_BYTES = 1_900_000  # of a page: what a browser and a mail still take; beyond it surfaces are shown in short
_TEMPLATES = Path(__file__).parents[1] / "templates"
_SAID = {"promote": "passed", "reject": "rejected"}  # a decision of the gate, for a reader: passing is not being live
_STAYED = {RunStatus.REJECTED: " It is not live, because the run was rejected for other surfaces.",
           RunStatus.FAILED: " It is not live, because the run failed."}


class Beside(NamedTuple):
    """What is shown of the registry beside the run folder."""

    past: list[PastRun]
    releases: dict[str, Released]
    live: list[Live]
    advice: list[Advice]


def render(outcome: dict[str, Any], facts: RunFacts, beside: Beside) -> tuple[str, dict[str, str]]:
    """The page of the run, and surface -> its own page; `outcome` is the content of outcome.json."""
    rows, past, steps = summary_rows(facts), beside.past, step_rows(facts)
    surfaces = [surface_view(name, facts, [row for row in rows if row.surface == name], beside.releases.get(name))
                for name in _names(facts)]
    shared = {"outcome": outcome, "facts": facts, "rows": rows, "past": past, "data": data_view(facts),
              "live": beside.live, "advice": beside.advice, "steps": steps, "steps_plot": Markup(counts.steps_plot(
                  [(row.step, row.seconds) for row in steps if row.seconds is not None]))}
    own = {view["name"]: _page("surface.html.j2", **shared, surface=view, sentence=_sentence(view, facts.status),
                               training_plot=Markup(scores.training_plot("training", view["training"])),
                               runs_plot=Markup(_runs_plot(past, [view])))
           for view in surfaces}
    drawn = {"headline": headline(outcome, facts, surfaces), "reasons": many_reasons(facts),
             "recall_plot": Markup(scores.recall_plot(rows)), "runs_plot": Markup(_runs_plot(past, surfaces)),
             "training_plot": Markup(scores.training_plot("training", facts.training))}
    for whole in range(len(surfaces), -1, -1):
        page = _page("run.html.j2", **shared, **drawn, surfaces=surfaces, whole=whole)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page, own


def _page(template: str, **shown: Any) -> str:
    return _environment().get_template(template).render(**shown)


@cache
def _environment() -> Environment:
    """One for all pages: to compile the templates takes longer than to fill them."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=told, count=_count, signed=_signed, interval=_interval, statistic=statistic,
                               against=against, said=lambda verdict: _SAID.get(verdict, verdict))
    environment.globals.update(look_at=LOOK_AT, slice_kinds=SLICES)
    return environment


def _sentence(view: dict[str, Any], status: RunStatus) -> str:
    """A surface in one sentence: why not, or what it reaches."""
    if view["judged"] and view["judged"].reasons:
        return f"{view['name']} is rejected: {'; '.join(view['judged'].reasons)}."
    row = view["card"]["row"]
    reached = f"{row.metric} {told(row.recall)} (n = {_count(row.n)})" if row and row.recall is not None else \
        "nothing was measured"
    word = {"promote": "passes", "reject": "is rejected"}.get(view["card"]["verdict"], "was not judged")
    return f"{view['name']} {word}: {reached}.{_STAYED.get(status, '') if word == 'passes' else ''}"


def _names(facts: RunFacts) -> list[str]:
    """Surfaces, those that failed first."""
    judged = facts.verdict.surfaces if facts.verdict else {}
    failed = {name for name, verdict in judged.items() if verdict.decision is not Decision.PROMOTE}
    return sorted({*judged, *facts.evaluations}, key=lambda name: (name not in failed, name))


def _runs_plot(past: list[PastRun], surfaces: list[dict[str, Any]]) -> str:
    lines = {view["name"]: [_point(run, view) for run in past] for view in surfaces if view["headline"]}
    return scores.runs_plot([run.date[5:] or "?" for run in past], lines)


def _point(run: PastRun, view: dict[str, Any]) -> scores.Point | None:
    cell = run.metric(view["name"], view["headline"])
    value = number(cell.get("value"))
    return None if value is None else scores.Point(run.run_id, value, number(cell.get("low")), number(cell.get("high")))


def told(value: Any) -> str:
    """A number for a person: whole ones with thousands, others to three places, a dash for none."""
    found = number(value)
    if found is None:
        return "–"
    return f"{found:,.0f}" if found == int(found) and abs(found) >= 2 else f"{found:.3f}"


def _count(value: Any) -> str:
    found = number(value)
    return "–" if found is None else f"{found:,.0f}"


def _signed(value: Any) -> str:
    found = number(value)
    return "–" if found is None else f"{found:+.3f}".replace("-", "−")


def _interval(cell: dict[str, Any]) -> str:
    """low – high, "" without."""
    low, high = number(cell.get("low")), number(cell.get("high"))
    return "" if low is None or high is None else f"{low:.3f} – {high:.3f}".replace("-", "−")
