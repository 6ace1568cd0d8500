"""One training as a document: what a step asks for and a worker reads, in this process, another one or another pod.

Reading and writing a job loads no torch; running it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pinrec_core.config import FinetuneConfig, ModelConfig, PretrainConfig
from pinrec_core.config.section import Section
from pinrec_core.errors import ConfigError
from pinrec_core.manifest import Manifest
from pinrec_core.storage import read_bytes, write_bytes


class PretrainJob(Section):
    """What pretrain is called with."""

    stage: Literal["pretrain"] = "pretrain"
    dataset: Path  # what aggregate-logs wrote
    output: Path  # where the model goes
    model: ModelConfig
    pretrain: PretrainConfig
    checkpoints: Path | None = None  # folder below which the run keeps its place; None = beside the output

    @property
    def name(self) -> str:
        """For people."""
        return self.stage

    def run(self) -> Manifest:
        """Train in this process. Raises what pretrain raises."""
        from pinrec_core.training.pretrain import pretrain

        return pretrain(self.dataset, self.output, model=self.model, pretrain=self.pretrain,
                        checkpoints=self.checkpoints)


class FinetuneJob(Section):
    """What finetune is called with."""

    stage: Literal["finetune"] = "finetune"
    dataset: Path  # what aggregate-logs wrote
    base: Path  # what pretrain wrote
    output: Path  # where the model goes
    surface: str
    finetune: FinetuneConfig
    checkpoints: Path | None = None  # folder below which the run keeps its place; None = beside the output

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.stage} {self.surface}"

    def run(self) -> Manifest:
        """Train in this process. Raises what finetune raises."""
        from pinrec_core.training.finetune import finetune

        return finetune(self.dataset, self.base, self.output, surface=self.surface, finetune=self.finetune,
                        checkpoints=self.checkpoints)


Job = PretrainJob | FinetuneJob
_JOBS = TypeAdapter(Annotated[Job, Field(discriminator="stage")])


def write_job(job: Job, path: Path) -> None:
    """Write a job's JSON file, whole or not at all."""
    write_bytes(str(path), job.model_dump_json(indent=1).encode())


def read_job(path: Path) -> Job:
    """Read a job's JSON file. Raises IntegrityError if it is not there, ConfigError if it is no job."""
    try:
        return _JOBS.validate_json(read_bytes(str(path)))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'job'}: {p['msg']}" for p in error.errors())
        raise ConfigError(f"{path}: not a training job: {problems}; it was written by another version of pinrec, so "
                          "check that step and worker run the same image") from error
