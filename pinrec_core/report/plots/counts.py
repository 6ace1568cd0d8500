"""Plots of amounts: event rows by day, what steps took."""

from __future__ import annotations

from pinrec_core.report.plots.svg import PAGE, SERIES, SMALL, colour, drawing, grid, legend, svg


def days_plot(name: str, label: str, days: dict[str, dict[str, float]]) -> str:
    """Event rows of each day, stacked by the names that are counted; names past the sixth share the last colour."""
    if not days:
        return ""
    with drawing(2.6) as (figure, axes):
        below = [0.0] * len(days)
        for i, part in enumerate(dict.fromkeys(part for counted in days.values() for part in counted)):
            heights = [counted.get(part, 0.0) for counted in days.values()]
            axes.bar(range(len(days)), heights, bottom=below, width=0.75, color=colour(i), edgecolor=PAGE,
                     linewidth=0.6, label=part)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        step = max(1, -(-len(days) // 4))
        axes.set_xticks(range(0, len(days), step), list(days)[::step], fontsize=SMALL)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        grid(axes, "y")
        if any(len(counted) > 1 for counted in days.values()):
            legend(figure, axes, 3)
        return svg(figure, name, label)


def steps_plot(steps: list[tuple[str, float]]) -> str:
    """Seconds of each step, in the order of the work."""
    if not steps:
        return ""
    with drawing(0.7 + 0.2 * len(steps)) as (figure, axes):
        axes.barh(range(len(steps)), [seconds for _, seconds in steps], color=SERIES[0], height=0.6)
        axes.set_yticks(range(len(steps)), [step for step, _ in steps], fontsize=SMALL)
        axes.set_ylim(len(steps) - 0.4, -0.6)
        axes.set_xlabel("seconds")
        grid(axes, "x")
        return svg(figure, "steps", "Seconds of each step")
