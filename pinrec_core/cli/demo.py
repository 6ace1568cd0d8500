"""pinrec demo: a page on this machine that shows what the live releases retrieve."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.ask import DEMO_REGISTRY
from pinrec_core.cli.serve import settings_of
from pinrec_core.errors import PinrecError
from pinrec_core.progress import doing

EXAMPLE = """Example:

    pinrec demo --config pipelines/configs/kuairand.toml
"""


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo", epilog=EXAMPLE)(demo)


def demo(
    config: Annotated[Path | None, typer.Option("--config", "-c", help=(
        "Configuration file (TOML) of the run whose releases are shown."))] = None,
    registry: Annotated[str, typer.Option("--registry", envvar="PINREC_REGISTRY", help=(
        f"Folder or URI of the registry. [default: that of --config, or {DEMO_REGISTRY}]"))] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, show_default="a free one",
                                        help="Of this machine.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Show on a local page what the live releases retrieve: pick a user, move outcome sliders. Ctrl-C ends it."""
    given = {"registry": registry} if registry else {} if config else {"registry": DEMO_REGISTRY}
    settings = settings_of(config, given)
    _check_live(settings.registry)
    starting = ExitStack()
    starting.enter_context(doing("load the live releases"))
    from pinrec_core.serving.demo.local import free_port, serve_page

    def ready(address: str) -> None:
        starting.close()
        typer.echo(f"The demonstration is at {address}  Ctrl-C ends it.")
        if open_page:
            _open(address)

    with starting:
        serve_page(settings.model_copy(update={"port": free_port(port)}), ready)


def _check_live(registry: str) -> None:
    """Raise PinrecError if nothing is live, before anything heavy is loaded."""
    from pinrec_core.registry import read_aliases

    aliases, _ = read_aliases(registry)
    if not any(alias.live for alias in aliases.surfaces.values()):
        raise PinrecError(f"{registry}: nothing is live here; `make run` makes a world and a release of it, or name "
                          "another with --registry or --config")


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        typer.echo("No browser could be opened; open the address yourself.", err=True)
