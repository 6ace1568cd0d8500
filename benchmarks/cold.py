"""Are items found that nobody has met yet? Held-out items of the synthetic world, by content alone, beside baselines.

    python benchmarks/cold.py --work work/cold --seeds 3 --json work/cold/demo.json        # half an hour on one core
    python benchmarks/cold.py --world tiny --work work/cold-tiny                           # seconds; means nothing

A tenth of the retrievable items, drawn anew for every seed among those that train users engaged with, is taken out of
everything before the evaluation window: its events, feeds that answer it, and histories. The models are trained as the
world's configuration says (`make run` does the same), and asked all requests of the evaluation window. Measured is
which share of a user's held-out targets the list has, mean over users that have such targets, and the same of all other
targets. Rows:

    refreshed      trained without the items and their catalog rows, then given these as `pinrec index refresh` does
    catalogued     trained with the items in the catalog and never met: they are among the random negatives
    ..._spared     the same two with cold_negatives = false: nothing that nobody has met is a random negative
    warm           trained with all their events, asked with histories that have them: what knowing them is worth
    content_mean, content_last    nearest content, untrained; what the history has is left out of these lists
    cooccurrence, popularity      count engagements, of which these items have none
    chance         k of all retrievable items

A user's value is the mean over seeds, the interval a bootstrap over users, the deviation that of the seeds' means.
Datasets and models are kept below --work and reused while settings and code are the same.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from cold_data import absent, held_out_items, unmet
from cold_rows import COLD, KNOWN, KS, SAYS, Asked, Measured, refreshed, trained
from rich.console import Console
from rich.table import Table
from surfaces import commit
from surfaces_command import Command, run
from surfaces_data import config_of, prepared, world_folder
from surfaces_models import Models

from pinrec_core.config import Config, EvaluationConfig
from pinrec_core.evaluation.bootstrap import estimates
from pinrec_core.manifest import fingerprint_of

Found = dict[str, dict[str, list[Measured]]]  # surface -> row -> one per seed


def main(arguments: list[str] | None = None) -> int:
    """The command of this file."""
    return run(Command("benchmarks/cold.py", _parser(), measure, print_surface, columns=140), arguments)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON document."""
    start, path = time.perf_counter(), config_of("", given.world)
    config, world = Config.load(path), world_folder(given.world, given.work)
    full = Models(given.work, prepared("", given.world, config, given.work), config)
    found: Found = defaultdict(lambda: defaultdict(list))
    for seed in range(given.seeds):
        held_out(given, world, full, seed, found)
    return {"benchmark": "cold", "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit(), "config": str(path), "share": given.share, "seeds": given.seeds,
            "dataset_fingerprint": full.data.manifest.fingerprint,
            "total_seconds": round(time.perf_counter() - start, 1),
            "surfaces": {surface: surface_document(rows, config.evaluation) for surface, rows in found.items()}}


def held_out(given: argparse.Namespace, world: Path, full: Models, seed: int, found: Found) -> None:
    """One draw of items: train without them, with them unmet, and with all; ask everyone on every surface."""
    config, held = full.config, held_out_items(full.data, given.share, seed)
    names = held.to_pylist()
    folder = given.work / f"held-out-{fingerprint_of(world.name, *names)[:16]}"
    without, listed = (Models(given.work, dataset(world, held, config, folder / dataset.__name__), config)
                       for dataset in (absent, unmet))
    for surface in config.log.surfaces:
        cold, warm = (Asked(models.data, surface, config, names) for models in (listed, full))
        rows = found[surface]
        for name, settings in (("", {}), ("_spared", {"cold_negatives": False})):
            model = refreshed(trained(without, seed, surface, **settings), world / "catalog")
            rows[f"refreshed{name}"].append(cold.of_model(model))
            rows[f"catalogued{name}"].append(cold.of_model(trained(listed, seed, surface, **settings)))
        rows["warm"].append(warm.of_model(trained(full, seed, surface)))
        for name, measured in cold.baselines().items():
            rows[name].append(measured)


def surface_document(rows: dict[str, list[Measured]], evaluation: EvaluationConfig) -> dict[str, Any]:
    """Estimates of every row; all share their resamples."""
    keys = [f"{kind}@{k}" for kind in (COLD, KNOWN) for k in KS]
    users = sorted({user for measured in rows.values() for one in measured for user in one.users})
    values_UC = np.stack([mean_over_seeds(rows[row], key, users) for row in rows for key in keys], axis=1)
    found = iter(estimates(values_UC, evaluation.bootstrap_samples, evaluation.confidence, evaluation.seed))
    return {"users": len(users), "targets": [one.found[f"{COLD}@{KS[0]}"][1] for one in rows["refreshed"]],
            "rows": [{"name": row, "says": SAYS[row], "places": _mean([one.places for one in measured])}
                     | {key: _cell(next(found), measured, key) for key in keys} for row, measured in rows.items()]}


def mean_over_seeds(seeds: list[Measured], key: str, users: list[str]) -> np.ndarray:
    """Each user's mean over the seeds in which the user has such targets, [U]; NaN where none has."""
    place = {user: row for row, user in enumerate(users)}
    sum_U, count_U = np.zeros(len(users)), np.zeros(len(users))
    for one in seeds:
        known = ~np.isnan(one.columns[key])
        row = np.array([place[user] for user in one.users])[known]
        sum_U[row] += one.columns[key][known]
        count_U[row] += 1
    return np.divide(sum_U, count_U, out=np.full(len(users), np.nan), where=count_U > 0)


def _cell(estimate, seeds: list[Measured], key: str) -> dict[str, Any]:
    """Mean over users, and over all targets alike; `deviation` of the seeds' means, None with one seed."""
    means = [float(np.nanmean(one.columns[key])) for one in seeds]
    found, targets = np.sum([one.found.get(key, (0, 0)) for one in seeds], axis=0)
    return {"value": _mean([estimate.value]), "low": _mean([estimate.low]), "high": _mean([estimate.high]),
            "n": estimate.n, "deviation": round(float(np.std(means, ddof=1)), 6) if len(means) > 1 else None,
            "over_targets": round(float(found / targets), 6) if targets else None}


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 6)


def print_surface(surface: str, part: dict[str, Any], console: Console) -> None:
    """One line per row."""
    keys = [f"{kind}@{k}" for kind in (COLD, KNOWN) for k in KS]
    table = Table("row", *keys, "places", title=f"{surface}: {part['targets']} held-out targets")
    for row in part["rows"]:
        cells = [f"{row[key]['value']:.3f} [{row[key]['low']:.3f}, {row[key]['high']:.3f}]" for key in keys]
        table.add_row(row["name"], *cells, f"{row['places']:.3f}")
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="demo", help="a synthetic world: demo or tiny")
    parser.add_argument("--work", type=Path, default=Path("work/cold"), help="datasets and models are kept there")
    parser.add_argument("--json", type=Path, help="file to write everything to")
    parser.add_argument("--seeds", type=int, default=3, help="draws of items; each trains all models once")
    parser.add_argument("--share", type=float, default=0.1, help="of the retrievable items that is held out")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
