"""The checkpoints of one run: complete or absent, hashed, and found only by a run of the same settings and data.

    <root>/pretrain-3f2a90c41b7d5e68/     one folder per stage and fingerprint
        step-000000120/state.pt           tensors and plain values, read as data, never as code
        step-000000120/state-1.pt         of rank 1 what it alone has; such a folder must be one for all ranks
        step-000000120/manifest.json
        metrics.jsonl, progress/          of the run so far, to look at
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import torch

from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.storage import remove_abandoned, staged_directory
from pinrec_core.training.place import Place
from pinrec_core.training.ranks import ALONE, Ranks

logger = logging.getLogger("pinrec")
KIND, STATE = "checkpoint", "state.pt"
T = TypeVar("T")
_STEP = re.compile(r"step-(\d{9,})")


class Checkpoints:
    """Writes, keeps the newest `keep`, and finds again. `fingerprint` is that of all that makes the run what it is."""

    def __init__(self, root: Path, stage: str, fingerprint: str, keep: int, ranks: Ranks = ALONE):
        if re.match(r"gs:/", str(root)):
            raise ConfigError(f"checkpoints {root}: is a bucket, and checkpoints need a folder that can be renamed; "
                              "pass one of a mounted volume")
        self.stage, self.fingerprint, self.keep, self.ranks = stage, fingerprint, keep, ranks
        self._of_stage = quote(stage.replace(" ", "-"), safe="")
        self.folder = Path(root) / f"{self._of_stage}-{fingerprint[:16]}"

    def write(self, state: dict[str, Any], place: Place) -> bool:
        """Write one and remove those that are no longer kept; False if it could not be written.

        All ranks write at the same time, the first one all that they share, and it counts only if none has failed. Then
        training goes on: it may well finish, the next one may fit again, and the older ones stay. To end it would
        lose for certain what a kill only may lose.
        """
        path = self.folder / f"step-{place.step:09}"
        if self.ranks.broadcast(path.exists()):  # only what is complete has this name
            return True
        try:
            with contextlib.ExitStack() as stack:
                aside = self._by_writer(lambda: stack.enter_context(staged_directory(path)))
                self._alike(lambda: _save(state, aside / self._name(self.ranks.rank)))
                counts = {"step": place.step, "epoch": place.epoch, "position": place.position}
                self._by_writer(lambda: write_manifest(aside, kind=KIND, config_fingerprint=self.fingerprint,
                                                       facts={"stage": self.stage}, counts=counts))
        except OSError as error:
            logger.warning("%s: checkpoint of step %d not written to %s: %s; %s. Make room there: training goes on and "
                           "tries again", self.stage, place.step, self.folder, error, self._newest_in_words())
            return False
        if self.ranks.is_writer:
            self._prune()
        return True

    def newest(self) -> dict[str, Any] | None:
        """The state of the newest checkpoint that is complete and unaltered, this rank's part of it; None without one.

        A damaged one is named in the log and renamed, so that it is neither taken nor counted again.
        """
        step = self.ranks.broadcast(self._newest_step() if self.ranks.is_writer else None)
        if step is None:
            return None
        names = dict.fromkeys((STATE, self._name(self.ranks.rank)))
        parts = [torch.load(self.folder / f"step-{step:09}" / name, weights_only=True) for name in names]
        return {name: value for part in parts for name, value in part.items()}

    def _newest_step(self) -> int | None:
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
            return step
        return None

    def steps(self) -> list[int]:
        """Steps with a checkpoint, ascending."""
        return _steps_in(self.folder)

    def clear(self) -> None:
        """Remove the run's folder, and the root if nothing else is there: the output is complete. (One rank does.)"""
        if self.ranks.is_writer:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()

    def _name(self, rank: int) -> str:
        return STATE if rank == 0 else f"state-{rank}.pt"

    def _by_writer(self, act: Callable[[], T]) -> T:
        """What `act` gives on the rank that writes, on all of them."""
        return self.ranks.broadcast(self._alike(act if self.ranks.is_writer else lambda: None))

    def _alike(self, act: Callable[[], T]) -> T:
        """What `act` gives on this rank. Raises OSError on all ranks if it does on one."""
        given, failed = None, ""
        try:
            given = act()
        except OSError as error:
            failed = str(error) or type(error).__name__
        for told in self.ranks.gather_values(failed):
            if told:
                raise OSError(told)
        return given

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
