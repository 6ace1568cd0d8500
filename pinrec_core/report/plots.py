"""Plots as inline SVG whose text and lines take the page's colours, so that they read in light and dark.

Every function returns an <svg> element without any address in it, or "" when there is nothing to draw.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pinrec_core.report.run_facts import SummaryRow, number

# Stand-in colours while drawing -> CSS of the page. Series differ in hue, lightness and marker, not in hue alone.
_INK, _FAINT, _PAGE = "#010203", "#040506", "#070809"
_SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
_CSS = {_INK: "var(--ink)", _FAINT: "var(--line)", _PAGE: "var(--page)"}
_CSS |= {colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, 1)}
_MARKERS = "os^Dvx"


def recall_plot(rows: list[SummaryRow]) -> str:
    """Each surface's metric with its interval, its best baseline and its floor."""
    rows = [row for row in rows if row.recall is not None]
    if not rows:
        return ""
    with _figure(7.5, 0.9 + 0.42 * len(rows)) as (figure, axes):
        for y, row in enumerate(reversed(rows)):
            _draw_row(axes, y, row)
        axes.set_yticks(range(len(rows)), [f"{row.surface} {row.metric}" for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of targets found, mean over users")
        _legend(axes, beside=True)
        return _svg(figure, "recall", "Recall of each surface with its interval, best baseline and floor")


def training_plot(training: dict[str, list[dict]]) -> str:
    """Loss and validation score of every training by epoch, one curve each."""
    panels = [("training loss", _curves(training, lambda key: key == "loss")),
              ("validation", _curves(training, lambda key: key.startswith("validation_")))]
    panels = [(title, curves) for title, curves in panels if curves]
    if not panels:
        return ""
    with _figure(7.5, 3.0, len(panels)) as (figure, *axes):
        for axis, (title, curves) in zip(axes, panels, strict=True):
            for i, (name, points) in enumerate(curves.items()):
                axis.plot(*zip(*points, strict=True), color=_SERIES[i % len(_SERIES)], label=name, linewidth=1.3,
                          marker=_MARKERS[i % len(_MARKERS)], markersize=4)
            axis.set_title(title, color=_INK, fontsize=10)
            axis.set_xlabel("epoch")
        _legend(axes[-1])
        return _svg(figure, "training", "Training loss and validation score by epoch")


def days_plot(days: dict[str, dict[str, float]]) -> str:
    """Event rows of each day, stacked by surface; surfaces past the sixth share the last colour."""
    if not days:
        return ""
    with _figure(7.5, 2.6) as (figure, axes):
        below = [0.0] * len(days)
        for i, surface in enumerate(dict.fromkeys(name for counted in days.values() for name in counted)):
            heights = [counted.get(surface, 0.0) for counted in days.values()]
            axes.bar(range(len(days)), heights, bottom=below, width=0.7, color=_SERIES[min(i, len(_SERIES) - 1)],
                     edgecolor=_PAGE, linewidth=0.6, label=surface)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        step = max(1, len(days) // 8)
        axes.set_xticks(range(0, len(days), step), list(days)[::step], fontsize=8)
        axes.set_ylabel("event rows")
        _legend(axes, beside=True)
        return _svg(figure, "days", "Event rows by day and surface")


def _draw_row(axes: Axes, y: int, row: SummaryRow) -> None:
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=_SERIES[0], linewidth=2)
    axes.plot([row.recall], [y], "o", color=_SERIES[0], markersize=7, label="candidate with interval")
    if row.baseline_value is not None:
        axes.plot([row.baseline_value], [y], "D", color=_SERIES[1], markersize=6, label="best baseline")
    if row.floor is not None:
        axes.plot([row.floor] * 2, [y - 0.3, y + 0.3], color=_SERIES[2], linewidth=2, label="floor")


def _curves(training: dict[str, list[dict]], wanted) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, entries in training.items():
        for entry in entries:
            for key in filter(wanted, entry):
                x, y = number(entry.get("epoch", entry.get("step"))), number(entry[key])
                if x is not None and y is not None:
                    curves.setdefault(name, []).append((x, y))
    return curves


def _legend(axes: Axes, *, beside: bool = False) -> None:
    handles, labels = axes.get_legend_handles_labels()
    distinct = dict(zip(labels, handles, strict=True))
    axes.legend(distinct.values(), distinct.keys(), fontsize=8, frameon=False, labelcolor=_INK,
                **({"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if beside else {"loc": "best"}))


@contextmanager
def _figure(width: float, height: float, panels: int = 1) -> Iterator[tuple]:
    """A figure in inches and its axes, in stand-in colours; yields (figure, axes, ...)."""
    settings = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.parse_math": False,
                "text.color": _INK,
                "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": _FAINT}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
            axis.patch.set_visible(False)
        yield figure, *axes


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an <svg> element: no preamble, no metadata, no addresses, ids unique to `name`, page colours."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r'font-family: [^;"]*', "font-family: inherit", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for stand_in, css in _CSS.items():
        text = text.replace(stand_in, css)
    opening = rf'<svg role="img" aria-label="{html.escape(label)}" \1>'
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', opening, text, count=1)
