"""launch: start a training where [launch] says, follow it to its end, and hand back the model's manifest."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pinrec_core.config import LaunchConfig, Launcher
from pinrec_core.manifest import Manifest, read_manifest
from pinrec_core.store import opened
from pinrec_core.training.job import FinetuneJob, Job, write_job
from pinrec_core.training.launch.child import run_local, run_torchrun
from pinrec_core.training.launch.restarts import StopRequest, with_restarts
from pinrec_core.training.memory import TellPeak, recorded_peak_kib


def launch(job: Job, config: LaunchConfig, tell_peak: TellPeak = lambda kib: None) -> Manifest:
    """Run a job to its end, starting it again when it was killed, and return the manifest of its output.

    `tell_peak` hears how much memory the workers had, wherever they ran and however they ended.
    Raises the error that ended the worker, TrainingError when it died too often or a TrainJob failed or took too long,
    ConfigError when the cluster refuses it, Preempted when this process was asked to stop by SIGTERM.
    """
    job = _with_checkpoints(job, config)
    with StopRequest() as stop:
        if config.launcher is Launcher.TRAINJOB:
            from pinrec_core.training.launch.trainjob import launch_trainjob

            launch_trainjob(job, config, stop, tell_peak)
        else:
            _launch_child(job, config, stop, tell_peak)
    return read_manifest(job.output, "model")


def in_this_process(job: Job, config: LaunchConfig) -> Manifest:
    """Run a job here, where a debugger sees it; nothing starts it again. Raises what the stage raises."""
    with _inputs_here(_with_checkpoints(job, config)) as here:
        return here.run()


def _with_checkpoints(job: Job, config: LaunchConfig) -> Job:
    """The job with the folder for its place that [launch] names, unless it names one itself."""
    if job.checkpoints or not config.checkpoints:
        return job
    return job.model_copy(update={"checkpoints": Path(config.checkpoints)})


@contextlib.contextmanager
def _inputs_here(job: Job) -> Iterator[Job]:
    """The job with its inputs as folders of this machine: those in a store once for all its processes."""
    with contextlib.ExitStack() as stack:
        inputs = {"dataset": stack.enter_context(opened(job.dataset, "dataset"))}
        if isinstance(job, FinetuneJob):
            inputs["base"] = stack.enter_context(opened(job.base, "model"))
        yield job.model_copy(update=inputs)


def _launch_child(job: Job, config: LaunchConfig, stop: StopRequest, tell_peak: TellPeak) -> None:
    with _inputs_here(job) as job, tempfile.TemporaryDirectory(prefix="pinrec-job-") as folder:
        job_file = Path(folder, "job.json")
        write_job(job, job_file)
        try:
            if config.launcher is Launcher.TORCHRUN:
                with_restarts(job.name, lambda: run_torchrun(job.name, job_file, config.processes, stop), config, stop)
            else:
                with_restarts(job.name, lambda: run_local(job.name, job_file, stop), config, stop)
        finally:
            tell_peak(recorded_peak_kib(job_file.parent))
