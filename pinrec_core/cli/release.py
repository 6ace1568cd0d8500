"""Commands of the release room: gate, build-index, verify-release, promote, reject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.options import ConfigFile, DatasetDir, Output, Registry, Surface, VerdictDir
from pinrec_core.config import Config
from pinrec_core.progress import doing

RunId = Annotated[str, typer.Option("--run-id", help="Name of the run, kept in the history of the aliases.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for name, command in (("gate", gate), ("build-index", build_index), ("verify-release", verify_release),
                          ("promote", promote), ("reject", reject)):
        app.command(name)(command)


def gate(
    config: ConfigFile, output: Output,
    evaluations: Annotated[list[Path], typer.Argument(help="What evaluate wrote, one per surface.")],
    validation: Annotated[Path | None, typer.Option(help="What validate-data wrote, for rule data_health.")] = None,
) -> None:
    """Judge all surfaces; a reject is a verdict like any other."""
    from pinrec_core.release.gate import gate as run
    from pinrec_core.release.outcome import told

    verdict = run(evaluations, output, gate=Config.load(config).gate, validation=validation)
    for name, surface in verdict.surfaces.items():
        for rule in told(name, surface.rules):
            typer.echo(f"{rule.word:12} {rule.sentence}")
    typer.echo(verdict.decision.value)


def build_index(config: ConfigFile, dataset: DatasetDir, verdict: VerdictDir, registry: Registry, surface: Surface,
                force: Annotated[bool, typer.Option("--force", help=(
                    "Also build what failed comparisons alone; only `pinrec registry promote --force` makes it live."
                    ))] = False) -> None:
    """Write the immutable release of a surface that passed, and print its id."""
    settings = Config.load(config)
    with doing(f"build {surface}"):
        from pinrec_core.release.build import build_index as run

        release_id = run(dataset, verdict, registry, surface=surface, generation=settings.generation,
                         index=settings.index, forced=force)
    typer.echo(release_id)


def verify_release(config: ConfigFile, dataset: DatasetDir, registry: Registry,
                   release_id: Annotated[str, typer.Argument(help="What build-index printed.")]) -> None:
    """Replay a release and record what was found; without that it cannot be promoted."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release.verify import verify_release as run

    with doing("verify in a process of its own"):
        found = run(registry, whole_id(registry, release_id), dataset=dataset, index=Config.load(config).index)
    typer.echo(json.dumps(found, indent=1))


def promote(verdict: VerdictDir, registry: Registry,
            release_ids: Annotated[list[str], typer.Argument(help="Verified releases, one per surface.")],
            run_id: RunId = "manual") -> None:
    """Make verified releases live, all in one move."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release.promote import promote as run

    typer.echo(run(registry, verdict, [whole_id(registry, one) for one in release_ids], run_id).told)


def reject(verdict: VerdictDir, run_id: RunId = "manual") -> None:
    """Say why nothing is promoted; exits with 3."""
    from pinrec_core.release.promote import reject as run

    run(verdict, True, run_id)
