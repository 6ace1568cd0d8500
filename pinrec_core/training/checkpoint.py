"""The checkpoints of one run: complete or absent, hashed, and found only by a run of the same settings and data.

    <root>/pretrain-3f2a90c41b7d5e68/     one folder per stage and fingerprint
        step-000000120/state.pt           tensors and plain values, read as data, never as code
        step-000000120/manifest.json
        metrics.jsonl, progress/          of the run so far, to look at
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.storage import remove_abandoned, staged_directory
from pinrec_core.training.place import Place

logger = logging.getLogger("pinrec")
KIND, STATE = "checkpoint", "state.pt"
_STEP = re.compile(r"step-(\d{9,})")


class Checkpoints:
    """Writes, keeps the newest `keep`, and finds again. `fingerprint` is that of all that makes the run what it is."""

    def __init__(self, root: Path, stage: str, fingerprint: str, keep: int):
        if re.match(r"gs:/", str(root)):
            raise ConfigError(f"checkpoints {root}: is a bucket, and checkpoints need a folder that can be renamed; "
                              "pass one of a mounted volume")
        self.stage, self.fingerprint, self.keep = stage, fingerprint, keep
        self._of_stage = quote(stage.replace(" ", "-"), safe="")
        self.folder = Path(root) / f"{self._of_stage}-{fingerprint[:16]}"

    def write(self, state: dict[str, Any], place: Place) -> bool:
        """Write one and remove those that are no longer kept; False if it could not be written.

        Then training goes on: it may well finish, the next one may fit again, and the older ones stay. To end it would
        lose for certain what a kill only may lose.
        """
        path = self.folder / f"step-{place.step:09}"
        if path.exists():  # only what is complete has this name
            return True
        try:
            with staged_directory(path) as aside:
                _save(state, aside / STATE)
                write_manifest(aside, kind=KIND, config_fingerprint=self.fingerprint, facts={"stage": self.stage},
                               counts={"step": place.step, "epoch": place.epoch, "position": place.position})
        except OSError as error:
            logger.warning("%s: checkpoint of step %d not written to %s: %s; %s. Make room there: training goes on and "
                           "tries again", self.stage, place.step, self.folder, error, self._newest_in_words())
            return False
        self._prune()
        return True

    def newest(self) -> dict[str, Any] | None:
        """The state of the newest checkpoint that is complete and unaltered; None without one.

        A damaged one is named in the log and renamed, so that it is neither taken nor counted again.
        """
        remove_abandoned(self.folder)
        if not self.steps():
            self._tell_of_others()
        for step in reversed(self.steps()):
            path = self.folder / f"step-{step:09}"
            try:
                self._verify(path)
            except IntegrityError as error:
                damaged = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(damaged, ignore_errors=True)
                path.rename(damaged)
                logger.warning("%s: checkpoint %s is damaged (%s); kept as %s, the one before it is taken", self.stage,
                               path, error, damaged.name)
                continue
            return torch.load(path / STATE, weights_only=True)
        return None

    def steps(self) -> list[int]:
        """Steps with a checkpoint, ascending."""
        return _steps_in(self.folder)

    def clear(self) -> None:
        """Remove the run's folder, and the root if nothing else is there: the run's output is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def _verify(self, path: Path) -> None:
        manifest = read_manifest(path, KIND)
        if manifest.config_fingerprint != self.fingerprint:
            raise IntegrityError(f"{path}: is of another run, {manifest.config_fingerprint[:12]}")

    def _prune(self) -> None:
        for step in self.steps()[:-self.keep]:
            shutil.rmtree(self.folder / f"step-{step:09}", ignore_errors=True)

    def _newest_in_words(self) -> str:
        steps = self.steps()
        return f"the one of step {steps[-1]} stays" if steps else "there is none before it"

    def _tell_of_others(self) -> None:
        """Say that a run of other settings was here: its checkpoints would be expected to be taken."""
        own = re.compile(re.escape(self._of_stage) + r"-[0-9a-f]{16}")
        folders = [path for path in self.folder.parent.glob("*") if path != self.folder and own.fullmatch(path.name)]
        count = sum(len(_steps_in(path)) for path in folders)
        if count:
            logger.info("%s: %d checkpoints of other settings, data or versions lie in %s and are not taken; remove "
                        "them when nobody goes on from them", self.stage, count, self.folder.parent)


def _steps_in(folder: Path) -> list[int]:
    return sorted(int(match[1]) for path in folder.glob("step-*") if (match := _STEP.fullmatch(path.name)))


def _save(state: dict[str, Any], path: Path) -> None:
    """Write and wait for the disk. Raises OSError when it does not fit, which torch reports as a RuntimeError."""
    try:
        with open(path, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        raise OSError(f"{path.name}: {cause}") from error
