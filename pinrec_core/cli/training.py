"""Commands of training and evaluation: pretrain, finetune, evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pinrec_core.cli.options import CheckpointsDir, ConfigFile, DatasetDir, Output, Registry, Surface
from pinrec_core.config import Config
from pinrec_core.progress import doing

if TYPE_CHECKING:
    from pinrec_core.training.job import Job

BaseDir = Annotated[Path, typer.Option("--base", help="What pretrain wrote.")]
ModelDir = Annotated[Path, typer.Option("--model", help="What finetune wrote.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("pretrain")(pretrain)
    app.command("finetune")(finetune)
    app.command("evaluate")(evaluate)


def pretrain(config: ConfigFile, dataset: DatasetDir, output: Output, checkpoints: CheckpointsDir = None) -> None:
    """Train the base model on the engagements of all surfaces; stopped or killed, the same command goes on."""
    settings = Config.load(config)
    with doing("pretrain"):
        from pinrec_core.training.job import PretrainJob

        facts = _train(PretrainJob(dataset=dataset, output=output, model=settings.model, pretrain=settings.pretrain,
                                   checkpoints=checkpoints), settings)
    _show(facts)


def finetune(config: ConfigFile, dataset: DatasetDir, base: BaseDir, surface: Surface, output: Output,
             checkpoints: CheckpointsDir = None) -> None:
    """Fit the base model to the feed views of one surface; stopped or killed, the same command goes on."""
    settings = Config.load(config)
    with doing(f"finetune {surface}"):
        from pinrec_core.training.job import FinetuneJob

        facts = _train(FinetuneJob(dataset=dataset, base=base, output=output, surface=surface,
                                   finetune=settings.finetune, checkpoints=checkpoints), settings)
    _show(facts)


def evaluate(config: ConfigFile, dataset: DatasetDir, model: ModelDir, surface: Surface, registry: Registry,
             output: Output) -> None:
    """Measure a candidate beside baselines and the live release."""
    settings = Config.load(config)
    with doing(f"evaluate {surface}"):
        from pinrec_core.evaluation.evaluate import evaluate as run

        run(dataset, model, output, surface=surface, generation=settings.generation, evaluation=settings.evaluation,
            index=settings.index, registry=registry)
    measured = json.loads((output / "evaluation.json").read_bytes())["metrics"]
    _show({name: _estimate(cell) for name, cell in measured.items()})


def _train(job: Job, settings: Config) -> dict:
    """The model's facts. Launcher "local" is this very process here, so that a debugger works; its restarts are the
    caller's then."""
    from pinrec_core.config import Launcher
    from pinrec_core.training.launch.start import in_this_process, launch

    here = settings.launch.launcher is Launcher.LOCAL
    return (in_this_process if here else launch)(job, settings.launch).facts


def _estimate(cell: dict) -> str:
    """A value with its interval where it has one."""
    interval = f" [{cell['low']}, {cell['high']}]" if "low" in cell else ""
    return f"{cell['value']}{interval} n={cell['n']}"


def _show(facts: dict) -> None:
    for name, value in facts.items():
        typer.echo(f"{name:28} {value}")
