"""The numbers of an evaluation as tables of Markdown, each with its interval and the users behind it."""

from __future__ import annotations

from typing import Any

from pinrec_core.release.provenance.markdown import table

_PARTS = "by_"  # keys of evaluation.json that hold metrics by a part of users or targets
_SHOWN = "recall@"  # metrics of the tables that would be too wide with all


def metric_table(evaluation: dict[str, Any]) -> str:
    """Every metric of the candidate."""
    return table(("metric", "value", "interval", "n"),
                 [(name, *_told(statistic)) for name, statistic in evaluation["metrics"].items()])


def slice_table(evaluation: dict[str, Any]) -> str:
    """Recall by action, by user split and by every other part there is; "" without any."""
    rows = [(kind.removeprefix(_PARTS), name, metric, *_told(statistic))
            for kind, parts in evaluation.items() if kind.startswith(_PARTS)
            for name, metrics in parts.items()
            for metric, statistic in metrics.items() if metric.startswith(_SHOWN) and statistic.get("n")]
    return table(("by", "part", "metric", "value", "interval", "n"), rows) if rows else ""


def baseline_table(evaluation: dict[str, Any]) -> str:
    """Recall of the candidate and of lists that were not trained, and the difference to the best of them."""
    rows = evaluation.get("rows", [])
    names = [name for name in evaluation["metrics"] if name.startswith(_SHOWN)]
    text = table(("", *names, "n"), [(row["name"], *(_number(row.get(name)) for name in names), row.get("n"))
                                     for row in rows]) if rows else ""
    best = [(name, cell["name"], *_told(cell["difference"])) for name, cell in
            evaluation.get("best_baseline", {}).items() if name in names and "difference" in cell]
    more = table(("metric", "best baseline", "candidate minus it", "interval", "n"), best)
    return f"{text}\n\n{more}" if text and best else text


def live_table(evaluation: dict[str, Any]) -> str:
    """Candidate minus live release, paired by user; "" if none was live."""
    if not (live := evaluation.get("live")):
        return ""
    rows = [(name, _number(live["metrics"].get(name)), *_told(statistic)) for name, statistic in
            live["difference"].items()]
    heads = ("metric", f"release {live['release_id'][:12]}", "candidate minus it", "interval", "n")
    return table(heads, rows)


def _told(statistic: dict[str, Any]) -> tuple[str, str, Any]:
    low, high = statistic.get("low"), statistic.get("high")
    interval = "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
    return _number(statistic), interval, statistic.get("n")


def _number(value: Any) -> str:
    value = value.get("value") if isinstance(value, dict) else value
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
