"""The application object and what surrounds every command: version, logging, errors as one line, exit codes."""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

import pinrec_core
from pinrec_core.cli import exit_codes
from pinrec_core.cli.examples import EXAMPLES, show_examples
from pinrec_core.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REJECTED
from pinrec_core.cli.progress import LogHandler, shown
from pinrec_core.errors import EXIT_PREEMPTED, PinrecError, Preempted, ReleaseRejected, TemporaryError

# Files of pinrec_core.cli, in the order of `pinrec --help`.
GROUPS = ("logs", "training", "tune", "release", "registry", "compare", "index", "serve", "demo", "ask", "inspect",
          "configs", "notices")


@dataclass
class Settings:
    """What the options before the command said."""

    debug: bool = False


def build_app(settings: Settings) -> typer.Typer:
    """All commands of pinrec_core; a caller may add its own before `execute`."""
    app = typer.Typer(name="pinrec", no_args_is_help=True, epilog=exit_codes.told(), pretty_exceptions_enable=False,
                      rich_markup_mode=None,  # "[validate]" in a help text is a section, not markup
                      context_settings={"help_option_names": ["-h", "--help"]},
                      help="A gated, versioned generative-retrieval workflow over anyone's event logs.")

    @app.callback()
    def _options(
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
        version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version,
                                              help="Show the version.")] = False,
    ) -> None:
        settings.debug = debug
        logging.basicConfig(handlers=[LogHandler()], format="%(asctime)s %(levelname)s %(message)s",
                            datefmt="%H:%M:%S")
        logging.getLogger("pinrec").setLevel(logging.DEBUG if debug else logging.INFO)

    for group in GROUPS:
        importlib.import_module(f"pinrec_core.cli.{group}").add_commands(app)
    show_examples(app, EXAMPLES)
    return app


def execute(app: typer.Typer, settings: Settings, arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see exit_codes)."""
    try:
        with shown():
            app(args=None if arguments is None else list(arguments), prog_name="pinrec")
        return 0
    except SystemExit as end:  # how typer ends every command
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        return EXIT_INTERRUPTED
    except PinrecError as error:
        if settings.debug and not isinstance(error, Preempted):
            traceback.print_exc()
        typer.echo(told(error), err=True)
        if isinstance(error, Preempted | TemporaryError):
            return EXIT_PREEMPTED
        return EXIT_REJECTED if isinstance(error, ReleaseRejected) else EXIT_FAILED


def told(error: PinrecError) -> str:
    """How a command that ends with this error says it, on standard error."""
    kinds = {Preempted: "preempted", ReleaseRejected: "rejected"}
    return f"{next((word for kind, word in kinds.items() if isinstance(error, kind)), 'error')}: {error}"


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pinrec {pinrec_core.__version__}")
        raise typer.Exit
