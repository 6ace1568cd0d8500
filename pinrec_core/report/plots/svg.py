"""A matplotlib figure as inline SVG whose text, lines and areas take the page's colours, in light, dark and print.

Figures are about as wide as a phone, in the units of their text, so that it can be read there; wider pages set two side
by side. No element has an address or an id that another figure has.
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

# Stand-in colours while drawing -> CSS of the page. Series differ in hue, lightness and marker, not in hue alone.
INK, FAINT, PAGE, OTHER = "#010203", "#040506", "#070809", "#0b0c0d"
SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
HEAT = tuple(f"#0c0d0{level}" for level in range(9))  # far below, ..., level, ..., far above
MARKERS = "os^Dvx"
WIDTH = 4.2  # inches, which a phone shows at 1.2 and a desk at 1.5 pixels a point
SMALL = 8.5  # points: the least that can be read on a phone
_CSS = {INK: "var(--ink)", FAINT: "var(--line)", PAGE: "var(--page)", OTHER: "var(--other)"}
_CSS |= {colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)}
_CSS |= {colour: f"var(--heat-{level})" for level, colour in enumerate(HEAT)}
_SETTINGS = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.parse_math": False,
             "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
             "axes.edgecolor": FAINT, "axes.titlesize": 10, "axes.titlecolor": INK}


def colour(position: int) -> str:
    """Colour of a series; those past the last share it."""
    return SERIES[min(position, len(SERIES) - 1)]


@contextmanager
def drawing(height: float, rows: int = 1, columns: int = 1) -> Iterator[tuple]:
    """A figure of the usual width, `height` in inches, and its axes, in stand-in colours; (figure, axes, ...)."""
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
            axis.patch.set_visible(False)
            axis.set_axisbelow(True)
        yield figure, *axes


def grid(axes: Axes, along: str) -> None:
    """Faint lines at the ticks of one axis."""
    axes.grid(axis=along, color=FAINT, linewidth=0.6, alpha=0.6)


def legend(figure: Figure, axes: Axes, columns: int = 3, enlarged: float = 1.0) -> None:
    """Each label once, below the figure; markers `enlarged` so many times."""
    handles, labels = axes.get_legend_handles_labels()
    distinct = dict(zip(labels, handles, strict=True))
    if distinct:
        figure.legend(distinct.values(), distinct.keys(), fontsize=SMALL, frameon=False, labelcolor=INK,
                      loc="outside lower center", ncols=min(columns, len(distinct)), markerscale=enlarged)


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an <svg> element: no preamble, no metadata, no addresses, ids unique to `name`, page colours."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    for removed in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->", r'\sxmlns(:\w+)?="[^"]*"'):
        text = re.sub(removed, "", text, flags=re.S)
    text = re.sub(r"'[\w ]+'(?:, '[\w ]+')*, sans-serif|font-family: [^;\"]*", _inherit, text)
    own = re.sub(r"\W+", "-", name)
    text = re.sub(r'\bid="', f'id="{own}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", text)
    for stand_in, css in _CSS.items():
        text = text.replace(stand_in, css)
    text = re.sub(r"\n\s*", "\n", text)
    opening = rf'<svg role="img" aria-label="{html.escape(label)}" \1>'
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', opening, text, count=1)


def _inherit(found: re.Match) -> str:
    return "font-family: inherit" if found[0].startswith("font-family") else "inherit"
