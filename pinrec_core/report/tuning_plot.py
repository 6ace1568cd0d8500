"""The plot of a tuning: each setting against the measure, and the way of every trial up the rungs."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

_COLUMNS, _WIDTH, _HEIGHT = 3, 3.6, 2.9  # panels a row; inches of a panel
_LOOKS = {"done": ("#0072b2", "o"), "given up": ("#999999", "x"), "failed": ("#d55e00", "v")}  # colour, marker
_BEST = "#e69f00"


def tuning_plot(table: dict[str, Any], logged: list[str]) -> bytes:
    """A PNG of a tuning's table (the content of its table.json); `logged` names the settings drawn on a log scale."""
    names = sorted({name for row in table["rows"] for name in row["values"]})
    rows = -(-(len(names) + 1) // _COLUMNS)
    with matplotlib.rc_context({"font.size": 8}):
        figure = Figure(figsize=(_WIDTH * _COLUMNS, _HEIGHT * rows), layout="constrained")
        panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        _draw_climbs(panels[0], table)
        for panel, name in zip(panels[1:], names, strict=False):
            _draw_setting(panel, table, name, name in logged)
        for empty in panels[len(names) + 1:]:
            empty.remove()
        whose = f"surface {table['surface']}" if table["surface"] else "base model, all surfaces"
        title = figure.suptitle(f"validation {table['metric']}, {whose} (n = {table['requests']} requests)")
        title.set_parse_math(False)  # a surface may be called $
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _draw_climbs(panel: Axes, table: dict[str, Any]) -> None:
    """A line per trial; it ends where the trial was given up."""
    for row in table["rows"]:
        epochs, values = [int(epoch) for epoch in row["by_epoch"]], list(row["by_epoch"].values())
        if epochs:
            colour, marker = _look(row, table)
            panel.plot(epochs, values, color=colour, linewidth=2 if row["trial"] == table["best"] else 1)
            panel.plot(epochs[-1:], values[-1:], marker, color=colour, markersize=5)
    panel.set_xlabel("epochs")
    panel.set_ylabel(f"best {table['metric']} of the stage so far")
    panel.xaxis.get_major_locator().set_params(integer=True)


def _draw_setting(panel: Axes, table: dict[str, Any], name: str, logged: bool) -> None:
    """A point per trial that was measured; words stand side by side."""
    rows = [row for row in table["rows"] if row["value"] is not None]
    wordy = any(isinstance(row["values"][name], str | bool) for row in rows)
    for state in ("given up", "failed", "done"):
        for row in (row for row in rows if row["state"] == state):
            value = row["values"][name]
            colour, marker = _look(row, table)
            panel.plot([str(value) if wordy else value], [row["value"]], marker, color=colour, markersize=6,
                       label="best" if row["trial"] == table["best"] else state)
    if logged:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(name)
    handles, labels = panel.get_legend_handles_labels()
    distinct = dict(zip(labels, handles, strict=True))
    panel.legend(distinct.values(), distinct.keys(), fontsize=7, frameon=False)


def _look(row: dict[str, Any], table: dict[str, Any]) -> tuple[str, str]:
    colour, marker = _LOOKS[row["state"]]
    return (_BEST, "*") if row["trial"] == table["best"] else (colour, marker)
