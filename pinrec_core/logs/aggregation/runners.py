"""Which Beam runner does the work, and where its workers and the driver meet.

Workers and driver share one folder: beside the output by default, below `aggregate.work_uri` where the workers are
other machines. Spilled rows, reports and finished parts go there; the driver fetches the parts and seals them.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.logs.aggregation import files
from pinrec_core.storage import MANIFEST_NAME, exists, is_remote, join, staged_directory, upload_tree

ELSEWHERE = ("DataflowRunner",)  # runners whose workers never see the driver's disk


def runner_options(aggregate: AggregateConfig) -> PipelineOptions:
    """Beam options with the runner by name. Raises ConfigError for the mode that is known to lose rows."""
    flags = [f"--runner={aggregate.runner}", *aggregate.runner_options]
    if any("multi_threading" in flag for flag in flags):
        raise ConfigError("aggregate.runner_options ask for direct_running_mode=multi_threading, which loses rows "
                          "without an error; use in_memory or multi_processing")
    return PipelineOptions(flags)


def check_runner(aggregate: AggregateConfig, events: str) -> None:
    """Refuse what cannot work before anything starts. Raises ConfigError."""
    options = runner_options(aggregate)
    if options.view_as(GoogleCloudOptions).template_location:
        raise ConfigError("aggregate.runner_options ask for a template_location, which writes a job down instead of "
                          "running it, so no dataset would come of it; remove the option")
    if aggregate.runner not in ELSEWHERE:
        return
    for name, uri in (("events", events), ("aggregate.work_uri", aggregate.work_uri)):
        if files.is_local(uri):
            raise ConfigError(f"{name} is {uri!r}, which workers of {aggregate.runner} cannot reach; "
                              "give a gs:// location")


@contextlib.contextmanager
def work_folder(aggregate: AggregateConfig, aside: Path) -> Iterator[str]:
    """Yield a folder of this run alone that all workers reach; it is gone when the block ends, however it ends."""
    work = str(aside / ".work")
    if aggregate.work_uri:
        work = join(files.absolute(aggregate.work_uri), f"aggregate-{uuid.uuid4().hex}")
    try:
        yield work
    finally:
        files.remove(work)


def refuse_taken(output: str | Path) -> None:
    """Raise IntegrityError if something is at `output` already."""
    if is_remote(str(output)):
        taken = exists(join(str(output), MANIFEST_NAME))
    else:
        taken = Path(output).is_dir() and any(Path(output).iterdir())
    if taken:
        raise IntegrityError(f"{output}: already exists; remove it or choose another output")


@contextlib.contextmanager
def staged_output(output: str | Path) -> Iterator[Path]:
    """Yield a fresh local folder that becomes `output`, a folder or a gs:// location, if the block ends well."""
    if not is_remote(str(output)):
        with staged_directory(Path(output).absolute()) as aside:
            yield aside
        return
    with tempfile.TemporaryDirectory(prefix="pinrec-") as folder:
        aside = Path(folder, "output")
        aside.mkdir()
        yield aside
        upload_tree(aside, str(output))


def parts_folder(aggregate: AggregateConfig, work: str, aside: Path) -> str:
    """Where workers write the dataset's parts: the staged output itself, or the shared work folder."""
    return join(work, "parts") if aggregate.work_uri else str(aside)


def fetch_parts(parts: str, aside: Path) -> None:
    """Bring the parts that workers wrote to the staged output, unless they are there."""
    if parts == str(aside):
        return
    for folder in ("sequences", "views"):
        files.fetch(join(parts, folder), aside / folder)
