"""Everything that a run writes while it runs; of several processes one writes, each its part of a checkpoint."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.storage import write_bytes
from pinrec_core.training.checkpoint import Checkpoints
from pinrec_core.training.place import Place
from pinrec_core.training.progress import FOLDER, Progress
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.update import Taken

logger = logging.getLogger("pinrec")


class Recorder:
    """Metrics, progress, checkpoints and the batch of a bad step, in the folder of `metrics`.

    Without `checkpoints` none are written. `lines` are those of metrics.jsonl, which is written whole every time: so a
    restart, which brings the lines of its checkpoint, leaves none double.
    """

    def __init__(self, stage: str, metrics: Path, config: TrainConfig, checkpoints: Checkpoints | None,
                 ranks: Ranks = ALONE):
        self.ranks, self.progress = ranks, None
        self.stage, self.metrics, self.config, self.checkpoints = stage, metrics, config, checkpoints
        self.lines: list[str] = []
        self._kept_s = time.monotonic()

    def begin(self, place: Place, steps: int) -> None:
        """Go on from a place of a run of so many steps, whose lines so far are in `lines`."""
        if self.ranks.is_writer:
            self.progress = Progress(self.stage, self.metrics.parent / FOLDER, self.config, place.step, steps,
                                     ranks=self.ranks.size)
        self._write_metrics()

    def record(self, entry: dict[str, Any]) -> None:
        """A line of metrics.jsonl: what training came to, and nothing that depends on the clock."""
        self.lines.append(json.dumps({"stage": self.stage, **entry}) + "\n")
        self._write_metrics()

    def tick(self, place: Place, batch: TrainingBatch, taken: Taken) -> None:
        """One more step was taken."""
        if self.progress:
            self.progress.tick(place.step, batch, taken)

    @property
    def due(self) -> bool:
        """Is it time for a checkpoint?"""
        return bool(self.checkpoints) and time.monotonic() - self._kept_s >= self.config.checkpoint_every_s

    def keep(self, state: dict[str, Any], place: Place) -> bool:
        """Write a checkpoint; False if there is none now."""
        kept = bool(self.checkpoints) and self.checkpoints.write(state, place)
        self._kept_s = time.monotonic()
        return kept

    def save_batch(self, batch: TrainingBatch, place: Place) -> str:
        """Keep a batch for inspection, this rank's part of it; says where it is, or why it is not."""
        part = "" if self.ranks.size == 1 else f"-rank-{self.ranks.rank}"
        path = self.metrics.parent / f"bad-batch-step-{place.step}{part}.safetensors"
        columns = vars(batch.history) | {"user_B": batch.user_B} | batch.targets._asdict()
        try:
            save_file({name: column.contiguous() for name, column in columns.items()}, path)
        except (OSError, SafetensorError) as error:
            return f"could not be written to {path} ({error})"
        return f"is in {path}"

    def close(self) -> None:
        """Nothing more will be told."""
        if self.progress:
            self.progress.close()

    def _write_metrics(self) -> None:
        """A full disk does not end the run: the lines are in memory and in every checkpoint, and are written again."""
        if not self.ranks.is_writer:
            return
        try:
            write_bytes(str(self.metrics), "".join(self.lines).encode())
        except OSError as error:
            logger.warning("%s: %s not written: %s", self.stage, self.metrics, error)
