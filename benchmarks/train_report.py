"""Tables and plot of benchmarks/train.py, from its JSON."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

COLUMNS = {"side": "side", "items": "items", "length": "length", "width": "width", "batch": "batch",
           "positions_s": "positions/s", "positions_cpu_s": "positions/CPU s", "ratio": "x RecBole",
           "users_s": "users/s", "epoch_s": "s/epoch", "step_ms": "ms/step", "parameters_mb": "parameters, MB",
           "rss_mb": "peak RSS, MB"}
TITLES = {"beauty": "Amazon Beauty", "items": "Size of the catalogue",
          "length": "Length of a history, tokens a step alike", "width": "Width of the model"}


def print_tables(document: dict) -> None:
    """Every part that was measured."""
    console = Console(width=160)
    for part, title in TITLES.items():
        if part in document:
            console.print(_table(title, document[part]))
    if "profile" in document:
        console.print(_profile(document["profile"]))
    if "quality" in document:
        found = document["quality"]
        console.print(f"quality, width {found['width']}: validation HR@10 >= {found['target']} after "
                      f"{_number(found['target_s'])} s (the network alone: {_number(found['network_target_s'])} s); "
                      f"{found['hit_rate@10']:.4f} at the end of {found['epochs']:.0f} epochs, "
                      f"{found['seconds']:.0f} s; peak RSS {found['rss_mb']:.0f} MB")


def plot(document: dict, path: Path) -> None:
    """Step time and memory against each size, and the curve of the quality part; nothing where neither was measured."""
    from matplotlib.figure import Figure

    sizes = [part for part in ("items", "length", "width") if part in document]
    if not sizes and "quality" not in document:
        return
    figure = Figure(figsize=(4.2 * (len(sizes) + ("quality" in document)), 6), layout="constrained")
    axes = figure.subplots(2, max(len(sizes) + ("quality" in document), 1), squeeze=False)
    for column, part in enumerate(sizes):
        for row, key in enumerate(("step_ms", "rss_mb")):
            axes[row][column].loglog([r[part] for r in document[part]], [r[key] for r in document[part]], marker="o")
            axes[row][column].set(xlabel=part, ylabel=COLUMNS[key])
            axes[row][column].grid(alpha=0.3)
    if "quality" in document:
        found, axis = document["quality"], axes[0][-1]
        for place, name in ((1, "network"), (2, "with transitions")):
            axis.plot([point[0] for point in found["curve"]], [point[place] for point in found["curve"]], label=name)
        axis.axhline(found["target"], linestyle=":", color="grey")
        axis.set(xlabel="seconds", ylabel="validation HR@10")
        axis.legend()
        axes[1][-1].axis("off")
    figure.suptitle(f"training, {document['date']}, {document['commit']}, {document['machine']['threads']} threads")
    figure.savefig(path, dpi=120)


def _table(title: str, rows: list[dict]) -> Table:
    keys = [key for key in COLUMNS if key in rows[0]]
    table = Table(title=title)
    for key in keys:
        table.add_column(COLUMNS[key], justify="right")
    for row in rows:
        table.add_row(*(_number(row.get(key)) for key in keys))
    return table


def _profile(rows: list[dict]) -> Table:
    table = Table(title="Where a step's time goes, in %")
    table.add_column("part")
    for row in rows:
        table.add_column(f"width {row['width']}, {row['step_ms']:.0f} ms", justify="right")
    for part in sorted(rows[0]["share"], key=lambda part: -rows[0]["share"][part]):
        table.add_row(part, *(f"{100 * row['share'][part]:.1f}" for row in rows))
    return table


def _number(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "never"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
