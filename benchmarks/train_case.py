"""One case of benchmarks/train.py in a process of its own: prints its figures as one line of JSON.

Kinds: "beauty" (speed on Amazon Beauty), "quality" (a whole run and its hit rates), "profile" (seconds of a step's
parts), "invented" (speed on invented engagements of any size).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from train_data import invented_dataset, write_peer_reviews

from pinrec_core.config import Config, ModelConfig, PretrainConfig
from pinrec_core.data.batch import TrainingBatch
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.windows import TrainingSet, engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training import objective as objective_module
from pinrec_core.training.counts import action_shares
from pinrec_core.training.gradients import clip_gradients
from pinrec_core.training.objective import Objective
from pinrec_core.training.optimizer import optimizer_of
from pinrec_core.training.prefetch import prefetched
from pinrec_core.training.pretrain import fit_base
from pinrec_core.training.ranks import ALONE

CONFIG = Path(__file__).parents[1] / "pipelines/configs/amazon.toml"
WARM = 60  # steps before the clock starts: buffers grow, and bfloat16 products are compiled
PIECES = 4  # the timed steps are cut into so many, of whose speeds the median counts


class Run:
    """The pieces of a training run, as the loop puts them together, without validation and schedule."""

    def __init__(self, data: Dataset, model: ModelConfig, config: PretrainConfig):
        torch.manual_seed(0)
        self.config, self.windows = config, engagement_windows(data, model.max_length, 0.0)
        self.model = PinRec(model, data.log, data.items, action_shares(data)).train()
        self.objective, self.optimizer = Objective(self.model, config), optimizer_of(self.model, config)

    def batches(self) -> Iterator[TrainingBatch]:
        """Epoch after epoch."""
        generator = np.random.default_rng(0)
        while True:
            yield from prefetched(self.windows.batches(self.config.batch_size, generator), torch.device("cpu"))

    def step(self, batch: TrainingBatch) -> None:
        """One update."""
        loss = self.objective(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_gradients(list(self.model.parameters()), self.config.grad_clip, ALONE)
        self.optimizer.step()
        if not math.isfinite(loss.item()):
            sys.exit("the loss is not finite")


def main() -> None:
    """Run what the argument tells."""
    logging.basicConfig(level=logging.ERROR)
    told = json.loads(sys.argv[1])
    found = KINDS[told.pop("kind")](**told)
    print(json.dumps(found | {"rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def speed(run: Run, steps: int) -> dict:
    """Positions, users and steps a second, and seconds an epoch; medians over pieces of the timed steps."""
    batches, warm = run.batches(), min(WARM, steps // 2)
    for _ in range(warm):
        run.step(next(batches))
    rates, cpu, positions = [], time.process_time(), 0
    for _ in range(PIECES):
        start, seen = time.perf_counter(), 0
        for _ in range(steps // PIECES):
            batch = next(batches)
            run.step(batch)
            seen += len(batch.targets.item_N)
        rates.append(seen / (time.perf_counter() - start))
        positions += seen
    rate, windows = median(rates), run.windows
    return {"positions_s": rate, "positions_cpu_s": positions / (time.process_time() - cpu),
            "users_s": rate * len(np.unique(windows.user_R)) / len(windows.row_G), "epoch_s": len(windows.row_G) / rate,
            "step_ms": 1000 * positions / (steps // PIECES * PIECES) / rate, "padding": _padding(windows, run.config)}


def beauty(data: str, work: str, width: int, steps: int, precision: str) -> dict:
    """Speed on Beauty."""
    cut = _beauty(data, work)
    return speed(Run(cut.training, *_configs(width, precision)), steps)


def quality(data: str, work: str, width: int, target: float, precision: str) -> dict:
    """A whole run: its curve (see TimedValidation), and when the hit rate first reached the target.

    `target_s` is of the model as it would be released, with its counted transitions; `network_target_s` of the network
    alone.
    """
    from train_quality import TimedValidation

    cut, (model, config) = _beauty(data, work), _configs(width, precision)
    validation = TimedValidation(cut, config)
    with tempfile.TemporaryDirectory() as folder:
        fit = fit_base(cut.training, validation, model, config, Path(folder) / "metrics.jsonl")
    seconds = time.perf_counter() - validation.start
    reached = {name: min((point[0] for point in validation.curve if point[place] >= target), default=None)
               for place, name in ((1, "network_target_s"), (2, "target_s"))}
    epochs = fit.place.step / fit.steps
    positions = epochs * len(fit.data.row_G)
    return {"width": width, "curve": validation.curve, "target": target, **reached, "seconds": seconds,
            "training_s": validation.training_s, "positions_s": positions / validation.training_s,
            "hit_rate@10": max(validation.hit_rates(fit.model)), "epochs": epochs}


def profile(data: str, work: str, width: int, steps: int, precision: str) -> dict:
    """Where a step's time goes on Beauty."""
    return {"width": width} | profile_of(Run(_beauty(data, work).training, *_configs(width, precision)), steps)


def profile_of(run: Run, steps: int) -> dict:
    """Milliseconds of a step, mean, and the share of each part; parts do not overlap."""
    batches, spent = run.batches(), defaultdict(float)
    for _ in range(min(WARM, steps // 2)):
        run.step(next(batches))
    model = run.model
    inside = ((model, "item_vectors", "item vectors"), (model, "encode", "backbone"), (model, "query", "queries"),
              (objective_module, "draw_negatives", "negatives"), (objective_module, "log_z", "pool softmax"))
    calls = {"objective": run.objective, "backward": lambda loss: loss.backward(), "optimizer": run.optimizer.step,
             "clip": lambda: clip_gradients(list(model.parameters()), run.config.grad_clip, ALONE),
             "wait for the batch": lambda: next(batches)}
    timed = {part: _timed(call, part, spent) for part, call in calls.items()}
    with contextlib.ExitStack() as stack:
        for owner, name, part in inside:
            stack.enter_context(patch.object(owner, name, _timed(getattr(owner, name), part, spent)))
        for _ in range(steps):
            loss = timed["objective"](timed["wait for the batch"]())
            run.optimizer.zero_grad(set_to_none=True)
            timed["backward"](loss)
            timed["clip"]()
            timed["optimizer"]()
    spent["rest of the loss"] = spent.pop("objective") - sum(spent[part] for _, _, part in inside)
    total = sum(spent.values())
    return {"step_ms": 1000 * total / steps, "share": {part: seconds / total for part, seconds in spent.items()}}


def invented(data: str, work: str, steps: int, batch: int, precision: str, items: int, length: int, width: int) -> dict:
    """Speed on invented engagements: an id row for every item, no content; histories all of one length."""
    dataset = invented_dataset(items, length, users=batch * 24)
    model = ModelConfig(width=width, item_dim=width, id_dim=width, max_length=length, use_content=False, dropout=0.0,
                        id_buckets=max(16_384, items))
    config = PretrainConfig(batch_size=batch, precision=precision, in_batch_negatives=1024, random_negatives=1024)
    run = Run(dataset, model, config)
    found = speed(run, steps)
    size = sum(parameter.numel() * parameter.element_size() for parameter in run.model.parameters()) / 2**20
    return found | {"batch": batch, "parameters_mb": size}


KINDS: dict[str, Callable[..., dict]] = {"beauty": beauty, "quality": quality, "profile": profile, "invented": invented}


def _beauty(data: str, work: str):
    from leave_one_out import open_leave_one_out

    cut = open_leave_one_out(Path(data), Path(work) / "Beauty")
    write_peer_reviews(cut.full, Path(work) / "peers/data/beauty/beauty.inter")
    return cut


def _configs(width: int, precision: str) -> tuple[ModelConfig, PretrainConfig]:
    """Those of the file, at a width."""
    config = Config.load(CONFIG)
    wide = {"width": width, "item_dim": width, "id_dim": width, "attribute_dim": width // 2}
    model = ModelConfig.model_validate(config.model.model_dump() | wide)
    return model, PretrainConfig.model_validate(config.pretrain.model_dump() | {"precision": precision})


def _padding(windows: TrainingSet, config: PretrainConfig) -> float:
    """Share of the tokens of an epoch that are padding."""
    lengths = [batch.history.length_B for batch in windows.batches(config.batch_size, np.random.default_rng(0))]
    return 1 - sum(int(length.sum()) for length in lengths) / sum(len(n) * int(n.max()) for n in lengths)


def _timed(call: Callable, part: str, spent: dict[str, float]) -> Callable:
    """The same, with its seconds added up."""

    def timed(*given, **named):
        start = time.perf_counter()
        try:
            return call(*given, **named)
        finally:
            spent[part] += time.perf_counter() - start

    return timed


if __name__ == "__main__":
    main()
