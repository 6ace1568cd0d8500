"""pinrec recommend: ask the live release."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pinrec_core.cli.options import AsJson, Registry, Surface
from pinrec_core.errors import ConfigError
from pinrec_core.progress import doing

DEMO_REGISTRY = "work/demo/registry"  # where `make run` promotes to


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("recommend")(recommend)


def recommend(
    surface: Surface,
    user: Annotated[str, typer.Option("--user", "-u", help="User id, as in the event log.")],
    registry: Registry = DEMO_REGISTRY,
    outcomes: Annotated[list[str], typer.Option("--outcome", metavar="ACTION=SHARE", help=(
        "Share of the list to spend on an outcome, e.g. click=0.5; repeat it. Default: the configured budgets."))] = [],  # noqa: B006
    n: Annotated[int, typer.Option("-n", help="Items wanted.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What the live release of a surface recommends to a user."""
    with doing("load the live release"):
        from pinrec_core.release.answer import recommend as run

        found = run(registry, surface, user, outcomes=shares_of(outcomes) or None, n=n)
    if as_json:
        typer.echo(json.dumps([item._asdict() for item in found], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("rank", "item", "title", "score", "outcome", "step", title=f"{surface}: user {user}")
    for rank, item in enumerate(found, 1):
        table.add_row(str(rank), item.item_id, item.title or "", f"{item.score:.3f}", item.outcome, str(item.step))
    Console().print(table)


def shares_of(outcomes: list[str]) -> dict[str, float]:
    """["click=0.5"] -> {"click": 0.5}. Raises ConfigError."""
    shares = {}
    for outcome in outcomes:
        action, _, share = outcome.partition("=")
        try:
            shares[action] = float(share)
        except ValueError:
            raise ConfigError(f"--outcome {outcome!r}: write ACTION=SHARE, for example click=0.5") from None
    return shares
