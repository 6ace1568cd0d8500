"""The model directory that a training leaves: is it there already, where its run keeps its place, how it is sealed."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pinrec_core
from pinrec_core.config import TrainConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.model.files import TRAINING
from pinrec_core.model.io import save_model
from pinrec_core.storage import MANIFEST_NAME, staged_directory
from pinrec_core.training.checkpoint import Checkpoints
from pinrec_core.training.loop import Fit
from pinrec_core.training.progress import FOLDER as PROGRESS
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.row_shards import gathered_weights

logger = logging.getLogger("pinrec")
METRICS = "metrics.jsonl"


def training_of(stage: str, config: TrainConfig, base: Path | None = None) -> dict[str, Any]:
    """How a model is trained, for those who look back: its settings and, of its base model, manifest and settings."""
    told: dict[str, Any] = {"stage": stage, "settings": config.shaping()}
    if base is None:
        return told
    manifest = read_manifest(base, "model", verify=False).model_dump(mode="json")
    own = base / TRAINING
    return told | {"base": {"manifest": manifest, "training": json.loads(own.read_text()) if own.is_file() else None}}


@dataclass(frozen=True)
class ModelOutput:
    """A model directory and all that makes it what it is."""

    path: Path
    stage: str  # names the run in the log and among checkpoints: "pretrain", "finetune home"
    config_fingerprint: str
    parents: dict[str, str]  # role -> fingerprint of the dataset and, when fine-tuning, the base model
    facts: dict[str, str]
    training: dict[str, Any]  # content of training.json (see training_of)

    def found(self) -> Manifest | None:
        """The manifest of the very same model if it is complete already, as after a kill between its last two lines.

        Raises IntegrityError if something else is there: better now than after hours of training.
        """
        if not self.path.exists() or self.path.is_dir() and not any(self.path.iterdir()):
            return None
        if not (self.path / MANIFEST_NAME).is_file() or not self._is(read_manifest(self.path, "model", verify=False)):
            raise IntegrityError(f"{self.path}: already exists and is not what {self.stage} would write; remove it or "
                                 "choose another output")
        logger.info("%s: %s is complete already", self.stage, self.path)
        return read_manifest(self.path, "model")

    def checkpoints(self, root: Path | None, config: TrainConfig, ranks: Ranks = ALONE) -> Checkpoints:
        """Where the run keeps its place: below `root`, by default a folder beside the output.

        A place is one of so many ranks: each has random numbers of its own, and perhaps rows.
        """
        fingerprint = fingerprint_of(pinrec_core.__version__, self.stage, self.config_fingerprint,
                                     json.dumps(self.parents, sort_keys=True),
                                     *([f"{ranks.size} ranks"] if ranks.size > 1 else []))
        root = self.path.with_name(f"{self.path.name}.checkpoints") if root is None else root
        return Checkpoints(root, self.stage, fingerprint, config.keep_checkpoints, ranks)

    def seal(self, fit: Fit) -> Manifest:
        """Write the trained model, its metrics and what the run told of its progress; then its checkpoints may go.

        All ranks call it, one writes, and all return the manifest when everything is there.
        """
        writer, manifest = fit.ranks.is_writer, None
        with staged_directory(self.path) if writer else contextlib.nullcontext() as aside:
            with TemporaryDirectory(dir=aside) as folder:
                weights = gathered_weights(fit.model, Path(folder), fit.ranks)
                if writer:
                    save_model(fit.model, aside, weights)
            if writer:
                manifest = self._complete(fit, aside)
        fit.checkpoints.clear()
        return fit.ranks.broadcast(manifest)

    def _complete(self, fit: Fit, aside: Path) -> Manifest:
        """Add to the model's files what the run told of itself, and the manifest."""
        (aside / METRICS).write_text("".join(fit.recorder.lines))
        (aside / TRAINING).write_text(json.dumps(self.training, indent=1))
        if (told := fit.metrics_path.parent / PROGRESS).is_dir():
            shutil.copytree(told, aside / PROGRESS)
        score = fit.best.score if fit.best.weights else None
        return write_manifest(
            aside, kind="model", config_fingerprint=self.config_fingerprint, parents=self.parents, apart=PROGRESS,
            counts={"steps": fit.place.step, "bad_steps": fit.place.bad_steps, "best_epoch": fit.best.epoch,
                    "items": fit.model.n_items, "targets": len(fit.data.row_G)},
            facts={**self.facts, f"validation_{fit.validation.name}": score,
                   "validation_requests": len(fit.validation)})

    def _is(self, manifest: Manifest) -> bool:
        wanted = (pinrec_core.__version__, self.config_fingerprint, self.parents, self.facts)
        known = {name: manifest.facts.get(name) for name in self.facts}
        return wanted == (manifest.code_version, manifest.config_fingerprint, manifest.parents, known)
