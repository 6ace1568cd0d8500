"""What `pinrec registry list`, `show` and `diff` print for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pinrec_core.release.operations.difference import Difference, Pair
    from pinrec_core.release.operations.inventory import Listed

_ID = 12  # digits of an id that are shown


def print_list(found: list[Listed]) -> None:
    """One line per release."""
    from rich.console import Console
    from rich.table import Table

    table = Table("release", "surface", "date", "recall", "size", "aliases", "verified", "bad")
    for one in found:
        if one.problem:
            table.add_row(one.release_id[:_ID], "", "", "", "", " ".join(one.aliases), "no", one.problem)
            continue
        metric, value = next(iter(one.recall.items()), ("", None))
        recall = "none" if value is None else f"{metric.removeprefix('recall')} {value:.4f}"
        aliases = " ".join((*one.aliases, *(("(frozen)",) if one.frozen else ())))
        table.add_row(one.release_id[:_ID], one.surface, one.date, recall, _size(one.size), aliases,
                      "yes" if one.verified else "no", one.bad)
    Console(soft_wrap=False).print(table)


def print_release(found: dict[str, Any]) -> None:
    """Everything about one release, section by section."""
    manifest = found["manifest"]
    typer.echo(f"release {found['release_id']}\n  {_size(found['size'])}, {len(manifest['files'])} files; aliases: "
               f"{', '.join(found['aliases']) or 'none'}")
    for name in ("bad", "frozen"):
        if mark := found[name]:
            typer.echo(f"  {name} since {mark['when']} by {mark['who']}: {mark['why']}")
    facts = {name: value for name, value in manifest["facts"].items() if name != "recall"}
    _section("facts", facts | manifest["counts"])
    _section("parents", manifest["parents"])
    _section("built", found["built"])
    _section("metrics", {name: _statistic(cell) for name, cell in found["evaluation"]["metrics"].items()})
    gate = found["gate"]
    _section(f"gate: {gate['decision']} (run {gate['run_decision']}, policy {gate['policy']})",
             [(rule["rule"], f"{rule['outcome']}: {rule['sentence']}") for rule in gate["rules"]])
    verification = found["verification"] or {"passed": "no verification", "checks": [], "measured": {}}
    _section(f"verification passed: {verification['passed']}",
             [(check["name"], check["sentence"]) for check in verification["checks"]])
    _section("measured", verification["measured"])
    _section("history", [(f"{entry['when']} {entry.get('action', 'promote')}",
                          f"by {entry['who']}, run {entry['run']}: {entry['why']}") for entry in found["history"]])


def print_difference(found: Difference) -> None:
    """What differs, side by side; all metrics."""
    for name, pairs in (("facts", found.facts), ("metrics", found.metrics), ("config", found.config)):
        _section(name, {key: _pair(pair) for key, pair in pairs.items()} or {"": "no difference"})
    _section("files", {name: " -> ".join((sha256 or "none")[:_ID] for sha256 in pair)
                       for name, pair in found.files.items()} or {"": "no difference"})


def _section(title: str, rows: Any) -> None:
    typer.echo(title)
    for name, value in rows.items() if isinstance(rows, dict) else rows:
        typer.echo(f"  {name}  {value}" if name else f"  {value}")


def _pair(pair: Pair) -> str:
    first, second = pair
    if _is_number(first) and _is_number(second):
        return f"{_short(first)} -> {_short(second)} ({second - first:+.4g})"
    return f"{_short(first)} -> {_short(second)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "none" if value is None else str(value)


def _statistic(cell: dict[str, Any]) -> str:
    interval = "" if cell.get("low") is None else f" [{cell['low']:.4f}, {cell['high']:.4f}]"
    return f"{_short(cell['value'])}{interval} (n = {cell['n']})"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
