"""What the page of one surface shows; every part that is missing is said in a line."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pinrec_core.release.outcome import told
from pinrec_core.report.pages import tables
from pinrec_core.report.pages.lineage import chain
from pinrec_core.report.plots import retrieval, scores
from pinrec_core.report.released import Released
from pinrec_core.report.run_facts import RunFacts, SummaryRow, number

_EXACT = "The index is exact: it finds all of the top by construction, and there is no setting to choose."


def surface_view(name: str, facts: RunFacts, rows: list[SummaryRow], release: Released | None) -> dict[str, Any]:
    """Everything of a surface; `rows` are its own, `release` what it has in the registry."""
    evaluation = facts.evaluations.get(name, {})
    judged = facts.verdict.surfaces.get(name) if facts.verdict else None
    metrics = [m for m in evaluation.get("metrics") or {} if str(m).startswith("recall@")]
    headline = next((row.metric for row in rows if row.metric), "") or (metrics[len(metrics) // 2] if metrics else "")
    systems = tables.systems(evaluation, metrics, headline) if evaluation else []
    slices = tables.slices(evaluation, headline)
    rules = told(name, judged.rules) if judged else []
    view = {
        "name": name, "judged": judged, "evaluation": evaluation, "headline": headline, "metrics": metrics,
        "card": _card(name, rows, systems, judged, facts),
        "failed_rules": [rule for rule in rules if not rule.passed],
        "passed_rules": [rule for rule in rules if rule.passed],
        "systems": systems, "systems_plot": _systems_plot(name, systems, metrics, headline),
        "every_metric": tables.plain_table([row for row in evaluation.get("rows") or [] if isinstance(row, dict)]),
        "slices": slices, "slices_plot": _slices_plot(name, slices, systems, headline),
        "training": {key: lines for key, lines in facts.training.items() if key in (f"finetune {name}", "pretrain")},
        "verification": facts.verifications.get(name), "release": release, "lineage": chain(name, facts, release)}
    return view | _index_part(name, facts, release) | _exhibit_part(name, facts.exhibits.get(name))


def _card(name: str, rows: list[SummaryRow], systems: list[dict[str, Any]], judged: Any,
          facts: RunFacts) -> dict[str, Any]:
    """The surface at a glance: its first floor, what it is against live and the best baseline."""
    live = next((one["difference"] for one in systems if one["kind"] == "live"), None)
    best = next((one for one in systems if rows and one["name"] == rows[0].baseline), None)
    release = facts.releases.get(name, "")
    return {"row": rows[0] if rows else None, "live": live, "baseline": best["difference"] if best else None,
            "verdict": judged.decision.value if judged else "not judged", "release": release,
            "live_now": facts.promotion is not None}


def _systems_plot(name: str, systems: list[dict[str, Any]], metrics: list[str], headline: str) -> Markup:
    if headline not in metrics:
        return Markup("")
    ours = sum(one["kind"] != "baseline" for one in systems)
    return Markup(scores.points_plot(f"systems-{name}", f"{headline} of the candidate and of every baseline",
                                     tables.system_points(systems, metrics.index(headline)), ours))


def _slices_plot(name: str, slices: list[dict[str, Any]], systems: list[dict[str, Any]], headline: str) -> Markup:
    points = [scores.Point(f"{one['kind']}: {one['name']}", one["value"], one["low"], one["high"]) for one in slices]
    overall = slices[0]["value"] - slices[0]["to_all"] if slices and slices[0]["to_all"] is not None else None
    line = ("all targets", overall) if overall is not None else None
    return Markup(scores.points_plot(f"slices-{name}", f"{headline} by slice, worst first", points, len(points), line))


def _index_part(name: str, facts: RunFacts, release: Released | None) -> dict[str, Any]:
    """The index of the release: recall against latency, or why there is no such plot."""
    engines = (facts.verifications.get(name) or {}).get("engines")
    part = {"ann_plot": Markup(""), "ann_note": "No release of this surface was built in this run.",
            "engines": [one for one in engines if isinstance(one, dict)] if isinstance(engines, list) else []}
    if release is None:
        return part
    if not release.index:
        return part | {"ann_note": f"index/index.json of release {release.release_id[:12]} cannot be read."}
    if release.index.get("kind") == "flat":
        return part | {"ann_note": _EXACT}
    plot = retrieval.ann_plot(name, release.curve, number((release.index.get("config") or {}).get("min_ann_recall")))
    return part | {"ann_plot": Markup(plot), "ann_note": "" if plot else
                   f"index/curve.json of release {release.release_id[:12]} is not there or holds no settings."}


def _exhibit_part(name: str, shown: dict[str, Any] | None) -> dict[str, Any]:
    """Outcomes, map and samples; what evaluate could not make is None in its file, what is broken is as if missing."""
    part = {"lift_plot": Markup(""), "pareto_plot": Markup(""), "map_plot": Markup(""), "outcomes": None,
            "item_map": None, "samples": [], "exhibited": shown is not None}
    for fill in (_outcomes, _map, _samples):
        try:
            part |= fill(name, shown or {})
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            continue
    return part


def _outcomes(name: str, shown: dict[str, Any]) -> dict[str, Any]:
    outcomes = shown.get("outcomes")
    known = {key: outcomes[key] for key in ("k", "n_users", "pareto")} if outcomes else {}
    return {"outcomes": known, "lift_plot": Markup(retrieval.lift_plot(name, outcomes)),
            "pareto_plot": Markup(retrieval.pareto_plot(name, outcomes["pareto"]))} if outcomes else {}


def _map(name: str, shown: dict[str, Any]) -> dict[str, Any]:
    item_map = shown.get("item_map")
    known = {key: item_map[key] for key in ("n", "among", "explained")} if item_map else {}
    return {"item_map": known, "map_plot": Markup(retrieval.map_plot(name, item_map))} if item_map else {}


def _samples(name: str, shown: dict[str, Any]) -> dict[str, Any]:
    keys = ("user", "history", "history_length", "targets", "n_targets", "retrieved")
    samples = [{key: sample[key] for key in keys} for sample in shown.get("samples") or []]
    return {"samples": [sample | {"hits": sum(bool(item["hit"]) for item in sample["retrieved"])}
                        for sample in samples]}
