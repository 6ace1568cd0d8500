"""How a run is getting on: a line in the log, one in progress.jsonl, and TensorBoard event files if they are wanted.

All of it tells the time, so it stays out of the model's manifest, which must be equal for equal inputs.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack
from pathlib import Path

from pinrec_core.config import TrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.errors import ConfigError
from pinrec_core.progress import doing, watched
from pinrec_core.storage import write_bytes
from pinrec_core.training.update import Taken

logger = logging.getLogger("pinrec")
FOLDER = "progress"  # beside metrics.jsonl, and in the model directory
INTERVAL_S = 10.0  # seconds between two lines
QUIET_S = 60.0  # the same in a log that no one watches


class Progress:
    """Counts steps and speaks when it is time. `first` is the step from which this process goes on.

    Of several ranks one counts: its rows stand for the like number that each of the others has.
    """

    def __init__(self, stage: str, folder: Path, config: TrainConfig, first: int, steps: int, *, ranks: int = 1):
        self.stage, self.path, self.steps, self.ranks = stage, folder / "progress.jsonl", steps, ranks
        self.first = first
        self.start = self.told = self.logged = time.monotonic()
        self.losses: list[float] = []  # since the last line, as the counts below
        self.positions = self.targets = 0
        self.board = _board(folder, first) if config.tensorboard else None
        self.open = ExitStack()
        self.stage_told = self.open.enter_context(doing(stage, steps, "steps", first=first))
        _forget_after(self.path, first)

    def tick(self, step: int, batch: TrainingBatch, taken: Taken) -> None:
        """Count the step that was taken as number `step`, from 1, and tell of the interval if it is over."""
        if not taken.bad:
            self.losses.append(taken.loss)
        self.positions += self.ranks * int(batch.history.length_B.sum())
        self.targets += self.ranks * len(batch.targets.item_N)
        self.stage_told(step)
        now = time.monotonic()
        if now - self.told >= INTERVAL_S:
            self._tell(step, taken, now)

    def close(self) -> None:
        """Let go of the event files, and of the bar."""
        self.open.close()
        if self.board:
            self.board.close()

    def _tell(self, step: int, taken: Taken, now: float) -> None:
        spent, loss = now - self.told, sum(self.losses) / len(self.losses) if self.losses else taken.loss
        told = {"loss": loss, "learning_rate": taken.rate, "gradient_norm": taken.norm,
                "positions_per_s": self.positions / spent, "targets_per_s": self.targets / spent}
        eta_s = (now - self.start) / (step - self.first) * (self.steps - step)
        self.stage_told(step, f"loss {told['loss']:.4f}")
        if not watched() and now - self.logged >= QUIET_S:  # a watcher shows it
            logger.info("%s step %d/%d loss %.4f lr %.2e gradient norm %.3f %.0f positions/s %.0f targets/s ETA %.0f s",
                        self.stage, step, self.steps, *told.values(), eta_s)
            self.logged = now
        self._write(step, told | {"eta_s": eta_s})
        self.told, self.positions, self.targets, self.losses = now, 0, 0, []

    def _write(self, step: int, told: dict[str, float]) -> None:
        """A run never ends because its progress cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps({"stage": self.stage, "step": step, "steps": self.steps, **told}) + "\n")
            for name, value in told.items() if self.board else ():
                self.board.add_scalar(f"{self.stage}/{name}", value, step)
        except OSError as error:
            logger.warning("%s: progress of step %d not written to %s: %s", self.stage, step, self.path.parent, error)


def _board(folder: Path, first: int):
    """A TensorBoard writer; what an earlier process told of later steps no longer shows."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard is true and the package is not installed; pip install 'pinrec[tensorboard]' or "
                          "set it to false") from error
    return SummaryWriter(str(folder), purge_step=first + 1)


def _forget_after(path: Path, step: int) -> None:
    """Drop lines of steps that will be taken again, and a line that was cut in half."""
    if path.exists():
        write_bytes(str(path), b"".join(line for line in path.read_bytes().splitlines(True) if _step_of(line) <= step))


def _step_of(line: bytes) -> float:
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else float("inf")
    except ValueError:
        return float("inf")
