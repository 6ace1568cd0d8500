"""Plots of what a candidate retrieves: outcomes, the index, the item vectors."""

from __future__ import annotations

from math import log2
from typing import Any

from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from pinrec_core.report.plots.svg import (
    FAINT,
    HEAT,
    INK,
    MARKERS,
    OTHER,
    PAGE,
    SERIES,
    SMALL,
    drawing,
    grid,
    legend,
    svg,
)
from pinrec_core.report.run_facts import number

_STEP = 0.25  # of log2 of a lift, from one colour to the next


def lift_plot(surface: str, outcomes: dict[str, Any]) -> str:
    """The lift of recall by asked (rows) and real (columns) outcome; 1 has no colour."""
    names, rows = outcomes["outcomes"], outcomes["lift"]
    with drawing(0.9 + 0.62 * len(names)) as (figure, axes):
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                lift = number(cell["lift"])
                axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=HEAT[_level(lift)], edgecolor=FAINT))
                told = "–" if lift is None else f"{lift:.2f} ×"
                axes.text(x, y - 0.12, told, ha="center", va="center", fontsize=11, color=INK)
                axes.text(x, y + 0.22, f"{cell['value']:.3f}, n {cell['n']:,}", ha="center", va="center",
                          fontsize=SMALL, color=INK)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlabel("what the user really did")
        axes.set_ylabel("asked for")
        return svg(figure, f"lift-{surface}", "Lift of recall by asked and real outcome")


def pareto_plot(surface: str, pareto: dict[str, Any]) -> str:
    """Recall on the targets of two outcomes as their shares of the candidates change, with the usual shares."""
    first, second = pareto["outcomes"]
    places = [[cell["value"] for cell in point["recall"]] for point in pareto["points"]]
    with drawing(3.0) as (figure, axes):
        axes.plot(*zip(*places, strict=True), color=SERIES[0], marker="o", markersize=5, linewidth=1.3,
                  label=f"share of {first}")
        for (x, y), point in zip(places, pareto["points"], strict=True):
            axes.annotate(f"{point['share']:.0%}", (x, y), textcoords="offset points", xytext=(5, 4), fontsize=SMALL,
                          color=INK)
        axes.plot(*([cell["value"]] for cell in pareto["usual"]), "D", color=SERIES[1], markersize=7,
                  markeredgecolor=PAGE, label="usual shares")
        axes.set_xlabel(f"recall on {first}")
        axes.set_ylabel(f"recall on {second}")
        axes.margins(0.15)
        grid(axes, "both")
        legend(figure, axes)
        return svg(figure, f"pareto-{surface}", f"Recall on {first} against recall on {second}")


def ann_plot(surface: str, curve: dict[str, Any], least: float | None) -> str:
    """Recall of the index against the milliseconds of a search, for every setting that was tried."""
    rungs = [rung for rung in curve.get("curve", []) if isinstance(rung, dict)
             and None not in (number(rung.get("recall")), number(rung.get("p50_ms")))]
    if not rungs:
        return ""
    with drawing(2.8) as (figure, axes):
        for label, key, i in (("p50", "p50_ms", 0), ("p99", "p99_ms", 1)):
            axes.plot([rung[key] for rung in rungs], [rung["recall"] for rung in rungs], color=SERIES[i], label=label,
                      marker=MARKERS[i], markersize=4.5, linewidth=1.3)
        for rung in rungs:
            chosen = rung["setting"] == curve.get("setting")
            axes.annotate(f"{rung['setting']}{' chosen' if chosen else ''}", (rung["p50_ms"], rung["recall"]),
                          textcoords="offset points", xytext=(4, -10), fontsize=SMALL, color=INK)
        if least is not None:
            axes.axhline(least, color=SERIES[2], linewidth=1.2, linestyle=(0, (4, 2)), label="least recall")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())  # its labels would be formulas, which no font here draws
        axes.set_xlabel("milliseconds of one search, one thread")
        axes.set_ylabel("share of the exact top found")
        grid(axes, "both")
        legend(figure, axes)
        return svg(figure, f"ann-{surface}", "Recall of the index against its latency")


def map_plot(surface: str, item_map: dict[str, Any]) -> str:
    """Items in two dimensions, by category; what has no category of its own is faint."""
    names = item_map["categories"]
    with drawing(4.3) as (figure, axes):
        for place in range(len(names)):
            mine = [(x, y) for x, y, category in item_map["points"] if category == place]
            if not mine:
                continue
            own = place < len(names) - 1
            axes.plot(*zip(*mine, strict=True), MARKERS[place % len(MARKERS)] if own else ".", linestyle="none",
                      zorder=3 if own else 2, color=SERIES[place % len(SERIES)] if own else OTHER, markersize=3.2,
                      alpha=0.8 if own else 1.0, label=names[place],
                      markeredgewidth=0.8 if own and MARKERS[place % len(MARKERS)] == "x" else 0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_aspect("equal", "datalim")
        legend(figure, axes, 4, enlarged=2.0)
        return svg(figure, f"map-{surface}", "Items by their vectors, in two dimensions")


def _level(lift: float | None) -> int:
    """Number of the colour of a lift; the middle one stands for 1 and for nothing known."""
    middle = len(HEAT) // 2
    if lift is None:
        return middle
    return 0 if lift <= 0 else max(0, min(len(HEAT) - 1, middle + round(log2(lift) / _STEP)))
