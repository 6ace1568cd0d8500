"""What a step and its TrainJob share: a volume that both mount, with the inputs, the job and its output on it.

    <volume>/datasets/<fingerprint>   <volume>/models/<fingerprint>   inputs, copied once unless they lie there already
    <volume>/jobs/<name>/             job.json, output, how workers ended; gone when the output has been taken over
    <volume>/checkpoints/             where runs keep their place

The name of a job follows from what it trains, on what and where: the same call finds what an earlier one has begun.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pinrec_core.config import LaunchConfig
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest
from pinrec_core.storage import MANIFEST_NAME, is_remote, staged_directory, upload_tree
from pinrec_core.store import address, fetch, manifest_of
from pinrec_core.training.job import FinetuneJob, Job, write_job


@dataclass(frozen=True)
class SharedJob:
    """A job whose paths lie on the volume."""

    name: str  # of the TrainJob too: a DNS label
    job: Job
    folder: Path

    @property
    def job_file(self) -> Path:
        """Where the worker reads the job."""
        return self.folder / "job.json"

    @property
    def is_done(self) -> bool:
        """Whether its output is complete: an earlier call may have ended before it took it over."""
        return (self.job.output / MANIFEST_NAME).is_file()

    def take_over(self, output: Path) -> None:
        """Bring the model to where the step wants it, by its name alone on the same volume; clear the job's folder."""
        read_manifest(self.job.output, "model")
        try:
            self.job.output.rename(output)
        except OSError:
            upload_tree(self.job.output, str(output))
        shutil.rmtree(self.folder)


def share(job: Job, config: LaunchConfig) -> SharedJob:
    """Bring a job's inputs onto the volume and write it there. Raises ConfigError if the step does not mount it."""
    volume = Path(config.trainjob.volume)
    if not volume.is_dir():
        raise ConfigError(f"trainjob.volume {volume} is no folder here: this step does not mount claim "
                          f"{config.trainjob.claim!r}; set claim and claim_folder of the target and compile for it, or "
                          "mount it where you run this")
    inputs = {"dataset": "dataset", "base": "model"} if isinstance(job, FinetuneJob) else {"dataset": "dataset"}
    found = {role: manifest_of(getattr(job, role), kind) for role, kind in inputs.items()}
    fingerprints = {role: manifest.fingerprint for role, manifest in found.items()}
    moved = {role: _on_volume(address(getattr(job, role)), manifest, volume) for role, manifest in found.items()}
    job = job.model_copy(update=moved | {"checkpoints": job.checkpoints or volume / "checkpoints"})
    name = _name_of(job, config, fingerprints)
    folder = volume / "jobs" / name
    shared = SharedJob(name, job.model_copy(update={"output": folder / "output"}), folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_job(shared.job, shared.job_file)
    return shared


def _name_of(job: Job, config: LaunchConfig, fingerprints: dict[str, str]) -> str:
    """Stage and fingerprint of what is trained, on what and where; the output's path, new in every run, is left out."""
    identity = fingerprint_of(job.model_copy(update={"output": Path()}), config.trainjob, str(config.processes),
                              *fingerprints.values())
    return f"pinrec-{job.stage}-{identity[:16]}"


def _on_volume(source: str, manifest: Manifest, volume: Path) -> Path:
    """The directory itself if it lies on the volume, else its copy there, made once for all that want the same.

    What is in a store comes from there, not by way of this disk. Raises IntegrityError if it is incomplete.
    """
    if not is_remote(source) and Path(source).resolve().is_relative_to(volume.resolve()):
        return Path(source).resolve()
    target = volume / f"{manifest.kind}s" / manifest.fingerprint[:20]
    if not target.exists():
        try:
            with staged_directory(target) as aside:
                fetch(source, manifest, aside)
        except IntegrityError:
            if not target.exists():  # else: another step copied the same at the same time
                raise
    read_manifest(target, manifest.kind, verify=False)
    return target
