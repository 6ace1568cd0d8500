"""Is every part of PinRec worth it? All rows on every surface, on real data or the synthetic world, in one harness.

    pinrec import kuairand <folder with KuaiRand's files> work/kuairand/data
    python benchmarks/surfaces.py --data work/kuairand/data --work work/surfaces --json work/surfaces/kuairand.json
    python benchmarks/surfaces.py --world demo --work work/surfaces --json work/surfaces/demo.json --seeds 3

Rows: popularity, recent popularity and recent exposure of the surface, co-occurrence, co-occurrence x recent
popularity, SASRec with a softmax, PinRec with one vector, unconditioned, outcome conditioned, + multi-token,
+ fine-tuning, + impression negatives (and `--variant NAME:model.key=value`). Every row answers the same requests.
Measured are recall of the merged list, and of that list without what the history has, unordered recall@10 of equally
many vectors (the first V in generation order, none merged), by surface and true action, coverage, distinct items, all
with bootstrap intervals over users, and the paired difference from the row before; then generation steps, and what a
budget of one action does to the recall of every action.

Models are kept below --work and reused while settings, dataset and code are the same. With --budget-minutes nothing
more is begun once the time is over (what runs is finished); what was left out is named in the JSON.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surfaces_command import Command, run
from surfaces_data import config_of, prepared
from surfaces_measure import Measured, Surface
from surfaces_models import Models, sasrec_lists
from surfaces_report import print_surface, surface_document
from surfaces_rows import Row, Source, chosen_rows

from pinrec_core.config import Config
from pinrec_core.evaluation.baselines import baseline_lists
from pinrec_core.model.io import load_model


@dataclass
class Benchmark:
    """One run: rows by surfaces by seeds, seeds outermost, so that a run out of time has whole tables."""

    models: Models
    rows: list[Row]
    surfaces: dict[str, Surface]
    steps: list[int]
    deadline: float  # time.monotonic()
    measured: dict[str, dict[str, list[Measured]]] = field(  # surface -> row -> one per seed
        default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    lifts: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    skipped: list[str] = field(default_factory=list)

    def run(self, seeds: int) -> None:
        """Measure everything there is time for."""
        self._baselines()
        full = [row for row in self.rows if row.conditioned and (row.source is Source.FINETUNED or not row.against)]
        last = full[-1] if full else None
        for seed in range(seeds):
            for row in self.rows:
                for surface in self.surfaces.values() if row.source is not Source.BASELINE else ():
                    if time.monotonic() > self.deadline:
                        self.skipped.append(f"{row.name} on {surface.name}, seed {seed}: no time left")
                        continue
                    self._measure(row, surface, seed, with_lift=row is last)

    def document(self) -> dict[str, Any]:
        """What was measured, per surface, and what it took."""
        training = {row: sum(parts.values()) for row, parts in self.models.seconds.items()}
        names = [row.name for row in self.rows]
        return {"seconds": {name: {"training": round(training.get(name, 0.0), 1), "measuring": round(
                    self.seconds[name], 1)} for name in names},
                "skipped": self.skipped,
                "surfaces": {name: surface_document(surface, self.rows, self.measured[name], self.lifts[name])
                             for name, surface in self.surfaces.items()}}

    def _baselines(self) -> None:
        wanted = [row.name for row in self.rows if row.source is Source.BASELINE]
        for surface in self.surfaces.values() if wanted else ():
            start, config = time.perf_counter(), surface.config.evaluation
            lists = baseline_lists(surface.data, surface.cohort, max(config.ks), config)
            for name in wanted:
                self.measured[surface.name][name].append(surface.of_lists(lists[name]))
                self.seconds[name] += (time.perf_counter() - start) / len(wanted)

    def _measure(self, row: Row, surface: Surface, seed: int, *, with_lift: bool) -> None:
        """Train what is not there, then ask."""
        if row.source is Source.SASREC:
            scorer = self.models.sasrec(row, seed)
            start = time.perf_counter()
            found = surface.of_lists(sasrec_lists(scorer, surface.data, surface.cohort.requests,
                                                  max(surface.config.evaluation.ks)))
        else:
            folder = self.models.finetuned(row, seed, surface.name) if row.source is Source.FINETUNED \
                else self.models.pretrained(row, seed)
            start, model = time.perf_counter(), load_model(folder)
            found = surface.of_model(model, row, self.steps)
            if with_lift:
                self.lifts[surface.name].append(surface.lift(model, row))
        self.measured[surface.name][row.name].append(found)
        self.seconds[row.name] += time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """The command of this file."""
    return run(Command("benchmarks/surfaces.py", _parser(), measure, print_surface, columns=230), arguments)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON document."""
    deadline, start = time.monotonic() + 60 * given.budget_minutes, time.perf_counter()
    path = config_of(given.config, given.world)
    config = Config.load(path)
    rows = chosen_rows(config, _names(given.rows), given.variant, given.base)
    dataset = prepared(given.data, given.world, config, given.work)
    models = Models(given.work, dataset, config)
    wanted = _names(given.surfaces) or list(config.log.surfaces)
    bench = Benchmark(models, rows, {name: Surface(models.data, name, config) for name in wanted},
                      [int(count) for count in _names(given.steps)], deadline)
    bench.run(given.seeds)
    return {"benchmark": "surfaces", "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit(), "config": str(path), "settings": config.model_dump(mode="json", by_alias=True),
            "seeds": given.seeds, "dataset_fingerprint": models.data.manifest.fingerprint,
            "total_seconds": round(time.perf_counter() - start, 1), **bench.document()}


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def commit() -> str:
    """Short hash of the code's commit, "+" behind it if files have changed since; "unknown" outside of git."""
    here = Path(__file__).parent
    try:
        told = [subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
                for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told[0] + ("+" if told[1] else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="folder with events/ and catalog/, as `pinrec import` writes it")
    parser.add_argument("--world", default="", help="instead of --data: a synthetic world, demo or tiny")
    parser.add_argument("--config", default="", help="pipeline TOML; default: the world's own, else kuairand.toml")
    parser.add_argument("--work", type=Path, default=Path("work/surfaces"), help="datasets and models are kept there")
    parser.add_argument("--json", type=Path, help="file to write everything to")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model row")
    parser.add_argument("--surfaces", default="", help="comma-separated; default: all that are modelled")
    parser.add_argument("--rows", default="", help="comma-separated; default: all")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME:SECTION.KEY=VALUE",
                        help="one more row: the outcome row with other settings; repeat it")
    parser.add_argument("--base", default="outcome", choices=["outcome", "multi_token"],
                        help="the pretrained row that fine-tuning starts from")
    parser.add_argument("--steps", default="1,3,6,16", help="generation steps that are compared; '' = none")
    parser.add_argument("--budget-minutes", type=float, default=1e6, help="nothing is begun after that")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
