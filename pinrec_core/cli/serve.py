"""pinrec serve: answer over HTTP from what is live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.config import Config, ServeConfig
from pinrec_core.errors import ConfigError


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve")(serve)


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML) with a section "
                                                "[serve].")] = None,
    registry: Annotated[str, typer.Option("--registry", envvar="PINREC_REGISTRY", help=(
        "Folder or URI of the registry. [default: serve.registry, or where `pinrec run` promotes to]"))] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on. [default: serve.host]")] = "",
    port: Annotated[int | None, typer.Option("--port", help="[default: serve.port]")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes. [default: serve.workers]")] = None,
    store: Annotated[str, typer.Option("--store", envvar="PINREC_STORE", help=(
        "URL of the Redis that keeps recent events; in the environment, where others do not read its password. "
        "[default: serve.store]"))] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Also show what is retrieved on a page, /demo.")] = False,
) -> None:
    """Answer requests for items over HTTP from the live releases of a registry, until stopped."""
    given = {"registry": registry, "host": host, "port": port, "workers": workers, "store": store,
             "demo": demo or None}
    settings = settings_of(config, {name: value for name, value in given.items() if value not in ("", None)})
    from pinrec_core.serving.server import serve as run

    run(settings)


def settings_of(config: Path | None, given: dict[str, str | int | bool]) -> ServeConfig:
    """The section [serve] of the file, or its defaults, with what the command line said. Raises ConfigError."""
    whole = Config.load(config) if config else None
    section = whole.serve if whole else ServeConfig()
    if whole and not section.registry:
        given = {"registry": f"work/{whole.name}/registry"} | given
    settings = ServeConfig.parse(section.model_copy(update=given).model_dump_json())
    if not settings.registry:
        raise ConfigError("which registry to serve from is not said; pass --registry, or --config with [serve]")
    return settings
