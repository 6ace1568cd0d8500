"""Tables of benchmarks/serve.py, from its JSON."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_RATES = {"rate": "requests/s", "users": "users", "requests": "requests", "errors": "errors",
          "p50_ms": "p50, ms", "p90_ms": "p90, ms", "p99_ms": "p99, ms", "answered_s": "answers/s",
          "cpu_ms": "CPU ms/request", "cpu_ratio": "x (model + Faiss)", "p50_ratio": "p50 x (model + Faiss)",
          "driver_late_p99_ms": "driver late p99, ms"}
_ALONE = ("model", "faiss", "model + faiss", "paced", "retriever", "two_tower")


def print_tables(document: dict) -> None:
    """All that was measured."""
    console = Console(width=180)
    for case in document["cases"]:
        console.print(_rates(case))
        console.print(_alone(case))
        console.print(f"sustained: {case['sustained_s']:,} requests/s without errors at p99 < "
                      f"{document['limit_p99_ms']:g} ms; started in {case['start_s']:.1f} s, {case['rss_mb']:,.0f} MB "
                      f"with {document['workers']} workers\n")


def _rates(case: dict) -> Table:
    table = Table(title=f"{_title(case)}: through HTTP")
    for name in _RATES.values():
        table.add_column(name, justify="right")
    for row in case["rates"]:
        table.add_row(*(_number(row[key]) for key in _RATES))
    return table


def _alone(case: dict) -> Table:
    table = Table(title=f"{_title(case)}: alone, one thread")
    for name in ("part", "p50, ms", "CPU ms"):
        table.add_column(name, justify="right" if name != "part" else "left")
    for part in _ALONE:
        table.add_row(part, *(f"{case['alone'][part][key]:.2f}" for key in ("p50_ms", "cpu_ms")))
    return table


def _title(case: dict) -> str:
    return (f"width {case['width']}, {case['layers']} layers, {case['items']:,} items, history {case['history']}, "
            f"{case['alone']['vectors']:.0f} vectors, {case['alone']['engine']}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"
