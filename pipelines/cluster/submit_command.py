"""pinrec submit: one run on a cluster."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pinrec_core.cli.options import AsJson, ConfigFile
from pinrec_core.config import Config
from pipelines.cluster.options import Target, tell


def submit(
    config: ConfigFile,
    target: Target,
    date: Annotated[str, typer.Option(help="Last day to read, YYYY-MM-DD; default: the last partition.")] = "",
    previous: Annotated[str, typer.Option(help="URI of an earlier dataset: only what is new since is read.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run; exits with 0 promoted, 3 rejected, 1 failed.",
                                       )] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run on a cluster: the pipeline is compiled for the target, and uploaded if it is not there."""
    settings = Config.load(config)
    from pinrec_core.logs.aggregation.window import last_day
    from pipelines.cluster.ending import ending, follow
    from pipelines.cluster.kubeflow import Kubeflow
    from pipelines.cluster.submission import arguments_for, compiled_for, date_of, run_body, run_name
    from pipelines.conclusion import EXIT_CODES

    kubeflow = Kubeflow(target, settings.target(target))
    date = date_of(kubeflow.target, date)
    last_day(date)
    version = kubeflow.version(compiled_for(settings, target))
    arguments = arguments_for(settings, kubeflow.target, date, previous=previous)
    run = kubeflow.create_run(run_body(kubeflow, version, run_name(settings, date), arguments))
    told = {"run_id": run["run_id"], "name": run["display_name"], "page": kubeflow.run_page(run["run_id"]),
            "date": date, "pipeline_version": version.name}
    if not as_json:
        typer.echo(f"run  {told['run_id']}  {told['name']}\npage {told['page']}")
    if not wait:
        if as_json:
            typer.echo(json.dumps(told, indent=1))
        return
    end = ending(follow(kubeflow, run["run_id"], tell), kubeflow.target.registry)
    typer.echo(json.dumps(told | {"status": end.status.value, "sentence": end.sentence}, indent=1) if as_json
               else end.sentence)
    raise typer.Exit(EXIT_CODES[end.status.value])
