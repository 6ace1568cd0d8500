"""`pinrec run` and `pinrec serve` as a user calls them: in processes of their own, watched from outside."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from ports import free_port

ROOT = Path(__file__).parents[2]
TINY = ROOT / "pipelines/configs/tiny.toml"


LOOKBACK = 4  # days that a run on the small month reads
_TRAINING = {"epochs": 1, "batch_size": 64, "random_negatives": 64, "in_batch_negatives": 64, "sketch_width": 512,
             "validation_users": 20}
SMALL = {  # what differs from tiny.toml for the small month: seconds a run
    "log.surfaces": ["home"], "log.pooled_surface": "other",
    "aggregate": {"lookback_days": LOOKBACK, "eval_days": 1, "shards": 1},
    "validate": {"min_events": 1, "min_users": 1, "min_items": 1, "min_surface_positives": 1, "min_day_ratio": 0.0},
    "model": {"width": 16, "layers": 1, "heads": 2, "item_dim": 16, "max_length": 16, "id_buckets": 256, "id_dim": 16,
              "attribute_buckets": 64, "attribute_dim": 8},
    "pretrain": _TRAINING, "finetune": _TRAINING, "generation": {"steps": 1, "engine": "torch", "candidates": 50},
    "evaluation": {"ks": [10, 50], "bootstrap_samples": 20},
    "gate.min_users": 1, "gate.rules": {"change_against_live": {"tolerance": 1.0}},
    "gate.floors": {"home": {"recall@50": 0.0}}, "index.verify_users": 10}


@dataclass(frozen=True)
class Outcome:
    """One finished `pinrec run`."""

    code: int
    out: str
    err: str
    work: Path

    @property
    def run(self) -> Path:
        """The run's folder in the registry, where the report is."""
        return Path(next(line.split()[1] for line in self.out.splitlines() if line.startswith("report"))).parent

    @property
    def summary(self) -> dict[str, Any]:
        """outcome.json."""
        return json.loads((self.run / "outcome.json").read_text("utf-8"))

    def tasks(self, state: str) -> list[str]:
        """Tasks that ended in a state, as the progress lines on stderr tell, sorted."""
        lines = (line.split() for line in self.err.splitlines())
        return sorted(words[2] for words in lines if len(words) > 2 and words[1] == state)


def run(work: Path, config: Path, *options: str, command: str = "run") -> Outcome:
    """Call the command in a process of its own and keep what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", command, "--config", config, "--work", work, *options], cwd=ROOT,
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return Outcome(done.returncode, done.stdout, done.stderr, work)


@contextlib.contextmanager
def served(registry: Path, *options: str) -> Iterator[str]:
    """`pinrec serve` over a registry, for as long as the block runs; its address."""
    port = free_port()
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--registry", registry, "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def backfill(work: Path, config: Path, first: str, last: str, *options: str) -> tuple[Outcome, list[dict[str, Any]]]:
    """Call `pinrec backfill` for JSON; what it said, and its results by date."""
    outcome = run(work, config, first, last, "--json", *options, command="backfill")
    return outcome, json.loads(outcome.out or "[]")


def small(folder: Path, changes: dict[str, Any]) -> Path:
    """The configuration for the small month, with some keys set to other values."""
    return changed(folder, copy.deepcopy(SMALL) | changes)


def changed(folder: Path, changes: dict[str, Any]) -> Path:
    """A copy of tiny.toml with some keys ("gate.floors.home") set to other values."""
    config = tomllib.loads(TINY.read_text("utf-8"))
    for key, value in changes.items():
        *sections, name = key.split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    path = folder / "changed.toml"
    path.write_text(tomli_w.dumps(config), "utf-8")
    return path
