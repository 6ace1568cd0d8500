"""What `pinrec config` prints for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pinrec_core.config.keys import Key
    from pinrec_core.config.settings import Change, Setting

_MB = 2**20


def print_settings(settings: Iterable[Setting]) -> None:
    """One line each, with the default where the setting differs from it."""
    for one in settings:
        default = f"  (default {json.dumps(one.default)})" if one.differs and not one.required else ""
        typer.echo(f"{'*' if one.differs else ' '} {one.key} = {json.dumps(one.value, ensure_ascii=False)}{default}")


def print_changes(found: list[Change]) -> None:
    """One line each."""
    for one in found:
        typer.echo(f"{one.key}: {json.dumps(one.first)} -> {json.dumps(one.second)}")
    if not found:
        typer.echo("no difference")


def print_keys(found: list[Key], *, short: bool) -> None:
    """Name and meaning, or all that is known."""
    if short:
        for key in found:
            typer.echo(f"{key.name}\n    {key.meaning}")
        return
    typer.echo("\n\n".join(_explained(key) for key in found))


def print_outlook(found: dict[str, Any]) -> None:
    """What a run would take, one line per part; what was not asked for is told with the option that gives it."""
    model = found["model"]
    parts = ("weights", "optimizer", "gradients", "features", "item_vectors")
    _row("catalogue", f"{found['items']:,} items, content vectors of {found['content_dim']} ({found['catalogue']})")
    _row("model", f"{model['parameters']:,} parameters, {model['row_parameters']:,} of them in tables that are updated "
                  "row by row")
    _row("training", f"{_mb(model['training'])} beside the data and a batch: " +
         ", ".join(f"{name.replace('_', ' ')} {_mb(model[name])}" for name in parts))
    _row("index", _index(found["index"]))
    about = "about " if found["estimated"] else ""
    for stage in found["stages"]:
        _row(stage["stage"], f"{about}{stage['rows']:,} rows, {stage['steps_per_epoch']:,} steps an epoch, at most "
                             f"{stage['steps']:,} in {stage['epochs']} epochs; {about}{stage['positions']:,} positions "
                             "an epoch")
    _row("steps", found["steps_told"])
    _row("time", found["time_told"])


def _row(name: str, text: str) -> None:
    typer.echo(f"{name:<17} {text}")


def _index(index: dict[str, Any] | None) -> str:
    if index is None:
        return "not known without the catalogue"
    return (f"{index['kind']}, {_mb(index['bytes'])}, at most {_mb(index['building_bytes'])} while it is built; one "
            "per surface")


def _explained(key: Key) -> str:
    lines = [key.name, f"    {key.meaning}", f"    type     {key.kind}", f"    default  {key.default}"]
    if key.limits:
        lines.append(f"    limits   {key.limits}")
    lines += [f"    {value}: {meaning}" for value, meaning in key.choices.items() if meaning]
    if key.incidental:
        lines.append("    changes nothing of what is written, so no cache and no fingerprint knows it")
    return "\n".join(lines)


def _mb(size: int) -> str:
    return f"{size / _MB:,.1f} MB"
