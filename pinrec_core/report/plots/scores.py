"""Plots of metrics: surfaces against floors, systems beside each other, slices, runs over time, training."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes

from pinrec_core.report.plots.svg import MARKERS, PAGE, SERIES, SMALL, colour, drawing, grid, legend, svg
from pinrec_core.report.run_facts import SummaryRow, number


class Point(NamedTuple):
    """A named value with its interval, None where there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


def recall_plot(rows: list[SummaryRow]) -> str:
    """Each surface's metric with its interval, its best baseline and its floor."""
    rows = [row for row in rows if row.recall is not None]
    if not rows:
        return ""
    with drawing(1.1 + 0.42 * len(rows)) as (figure, axes):
        for y, row in enumerate(reversed(rows)):
            _draw_row(axes, y, row)
        axes.set_yticks(range(len(rows)), [f"{row.surface}\n{row.metric}" for row in reversed(rows)], fontsize=SMALL)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of targets found, mean over users")
        grid(axes, "x")
        legend(figure, axes)
        return svg(figure, "recall", "Recall of each surface with its interval, best baseline and floor")


def points_plot(name: str, label: str, points: list[Point], first: int, line: tuple[str, float] | None = None) -> str:
    """Values with intervals, one under the other, the first `first` of them in the first colour; a line across all."""
    points = [point for point in points if point.value is not None]
    if not points:
        return ""
    with drawing(0.75 + 0.24 * len(points)) as (figure, axes):
        for y, point in enumerate(points):
            shade, marker = (SERIES[0], "o") if y < first else (SERIES[1], "D")
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [y, y], color=shade, linewidth=1.6)
            axes.plot([point.value], [y], marker, color=shade, markersize=5.5)
        if line:
            axes.axvline(line[1], color=SERIES[2], linewidth=1.3, linestyle=(0, (4, 2)), label=line[0])
            legend(figure, axes)
        axes.set_yticks(range(len(points)), [point.name for point in points], fontsize=SMALL)
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_xlim(left=0)
        grid(axes, "x")
        return svg(figure, name, label)


def runs_plot(labels: list[str], surfaces: dict[str, list[Point | None]]) -> str:
    """A metric of each surface over the last runs, with its interval; a run that did not measure it leaves a gap."""
    known = {name: points for name, points in surfaces.items() if any(point for point in points)}
    if len(labels) < 2 or not known:
        return ""
    with drawing(2.7) as (figure, axes):
        for i, (name, points) in enumerate(known.items()):
            there = [(x, point) for x, point in enumerate(points) if point and point.value is not None]
            axes.plot([x for x, _ in there], [point.value for _, point in there], color=colour(i), label=name,
                      marker=MARKERS[i % len(MARKERS)], markersize=4.5, linewidth=1.3)
            for x, point in there:
                if point.low is not None and point.high is not None:
                    axes.plot([x, x], [point.low, point.high], color=colour(i), linewidth=0.9)
        step = max(1, -(-len(labels) // 5))
        axes.set_xticks(range(0, len(labels), step), labels[::step], fontsize=SMALL)
        axes.set_ylim(bottom=0)
        grid(axes, "y")
        legend(figure, axes, 4)
        return svg(figure, "runs", "The metric of each surface over the last runs")


def training_plot(name: str, training: dict[str, list[dict]]) -> str:
    """Loss and validation score of every training by epoch, one curve each."""
    panels = [("training loss", _curves(training, lambda key: key == "loss")),
              ("validation", _curves(training, lambda key: key.startswith("validation_")))]
    panels = [(title, curves) for title, curves in panels if curves]
    if not panels:
        return ""
    order = {curve: i for i, curve in enumerate(dict.fromkeys(c for _, curves in panels for c in curves))}
    with drawing(3.0, 1, len(panels)) as (figure, *axes):
        for axis, (title, curves) in zip(axes, panels, strict=True):
            for curve, points in curves.items():
                i = order[curve]
                axis.plot(*zip(*points, strict=True), color=colour(i), label=curve, linewidth=1.3,
                          marker=MARKERS[i % len(MARKERS)], markersize=3.5)
            axis.set_title(title)
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            grid(axis, "y")
        legend(figure, axes[-1] if len(order) == len(panels[-1][1]) else axes[0])
        return svg(figure, name, "Training loss and validation score by epoch")


def _draw_row(axes: Axes, y: int, row: SummaryRow) -> None:
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=SERIES[0], linewidth=1.8)
    axes.plot([row.recall], [y], "o", color=SERIES[0], markersize=7, label="candidate, interval")
    if row.baseline_value is not None:
        axes.plot([row.baseline_value], [y], "D", color=SERIES[1], markersize=6, label="best baseline",
                  markeredgecolor=PAGE, markeredgewidth=0.6)
    if row.floor is not None:
        axes.plot([row.floor] * 2, [y - 0.3, y + 0.3], color=SERIES[2], linewidth=2, label="floor")


def _curves(training: dict[str, list[dict]], wanted) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, entries in training.items():
        for entry in entries:
            for key in filter(wanted, entry):
                x, y = number(entry.get("epoch", entry.get("step"))), number(entry[key])
                if x is not None and y is not None:
                    curves.setdefault(name, []).append((x, y))
    return curves


