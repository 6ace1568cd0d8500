"""Leave-one-out on an Amazon category: PinRec beside what a practitioner would pick instead, all in one harness.

    python benchmarks/amazon.py --data FOLDER [--name Beauty] [--config pipelines/configs/amazon.toml] [--json FILE]
                                [--seeds 3] [--first-seed 0] [--rows popularity,cooccurrence,sasrec_softmax,pinrec]
                                [--budget-minutes M] [--work DIR] [--tune ROW]

The whole catalogue is ranked for every user; hit rate and NDCG at 5, 10, 20 and 50, once with the items of the history
removed from the list and once with them kept. Everything is chosen on the validation item (the last but one); the test
item is looked at once per trained model, for the table. Rows that learn are trained once per seed; the table has their
mean and standard deviation. `--tune ROW` prints validation figures of a row's grid and touches no test item. When the
time budget is used up no further model is started and the one in training stops at its best so far; the table says so.

Suffixes: R requests, N list length, H longest history.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import time
from datetime import date
from pathlib import Path

import numpy as np
from amazon_rows import DETERMINISTIC, ROWS, Lists, grid_of
from leave_one_out import LeaveOneOut, open_leave_one_out, without_seen
from rich.console import Console
from rich.table import Table

from pinrec_core.config import Config
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests
from pinrec_core.evaluation.metrics import hit_rate, ndcg, target_ranks
from pinrec_core.schemas import NO_ITEM

KS = (5, 10, 20, 50)
DEFAULT_CONFIG = Path(__file__).parents[1] / "pipelines/configs/amazon.toml"
logger = logging.getLogger("pinrec")


def main() -> None:
    """Train, rank, print, write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    config = Config.load(options.config)
    data = open_leave_one_out(options.data, options.work / (options.name or options.data.name))
    if options.tune:
        for settings, figures in tune(data, config, options.tune):
            print(settings, {key: round(value, 4) for key, value in figures.items()}, flush=True)
        return
    deadline = time.monotonic() + 60 * options.budget_minutes
    found, seeds = {}, range(options.first_seed, options.first_seed + options.seeds)
    for row in options.rows.split(","):
        found[row] = measure_row(row, data, config, seeds[:1] if row in DETERMINISTIC else seeds, deadline)
        if options.json:
            options.json.write_text(json.dumps(_document(options, data, found), indent=1))
    print_table(options.name or options.data.name, found)


def measure_row(row: str, data: LeaveOneOut, config: Config, seeds: range, deadline: float) -> dict:
    """Figures of one row over its seeds: {"seeds": n, "seconds": [..], split -> metric -> {"mean", "sd", "values"}}."""
    runs, seconds = [], []
    for seed in seeds:
        if time.monotonic() > deadline:
            logger.warning("%s: time budget used up after %d of %d seeds", row, len(runs), len(seeds))
            break
        start = time.monotonic()
        lists = ROWS[row](data, config, seed, deadline)
        runs.append({"validation": figures(lists, data.full, data.validation),
                     "test": figures(lists, data.full, data.test)})
        seconds.append(round(time.monotonic() - start, 1))
        logger.info("%s seed %d: %.0f s, %s", row, seed, seconds[-1], runs[-1])
    return {"seeds": len(runs), "seconds": seconds} | {
        split: {metric: _spread([run[split][metric] for run in runs]) for metric in runs[0][split]}
        for split in ("validation", "test") if runs}


def figures(lists: Lists, full: Dataset, requests: Requests) -> dict[str, float]:
    """hit_rate@k and ndcg@k, seen items removed, and under "kept/..." with them kept. Higher is better."""
    histories = requests.histories(full, int(np.diff(full.offsets_U1).max()))
    seen_RH = np.full((len(histories), max(len(history.item_T) for history in histories)), NO_ITEM)
    for row, history in enumerate(histories):
        seen_RH[row, : len(history.item_T)] = history.item_T
    item_RM = lists(full, requests, max(KS) + seen_RH.shape[1])
    request_T = np.repeat(np.arange(len(requests)), np.diff(requests.offsets_R1))
    out = {}
    for prefix, item_RN in (("", without_seen(item_RM, seen_RH, max(KS))), ("kept/", item_RM[:, : max(KS)])):
        rank_T = target_ranks(item_RN, request_T, requests.item_T)
        for k in KS:
            for name, metric in (("hit_rate", hit_rate), ("ndcg", ndcg)):
                out[f"{prefix}{name}@{k}"] = float(metric(rank_T, request_T, len(requests), k).mean())
    return out


def tune(data: LeaveOneOut, config: Config, row: str):
    """Validation figures of every setting of a row's grid, one seed each."""
    for settings, train in grid_of(row, config):
        start = time.monotonic()
        found = figures(train(data, config, 0, float("inf")), data.full, data.validation)
        yield settings, {key: found[key] for key in ("hit_rate@10", "ndcg@10", "hit_rate@50")} | {
            "seconds": time.monotonic() - start}


def print_table(name: str, found: dict) -> None:
    """The table of test figures, seen items removed, with the validation hit rate beside them."""
    table = Table(title=f"{name}, leave one out, seen items removed: mean ± deviation over seeds")
    columns = ("hit_rate@5", "hit_rate@10", "hit_rate@50", "ndcg@10", "kept/hit_rate@10")
    for heading in ("row", "seeds", *columns, "validation hit_rate@10", "s / seed"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row, result in found.items():
        if result["seeds"]:
            cells = [f"{result['test'][c]['mean']:.4f} ± {result['test'][c]['sd']:.4f}" for c in columns]
            valid = result["validation"]["hit_rate@10"]["mean"]
            table.add_row(row, str(result["seeds"]), *cells, f"{valid:.4f}", f"{np.mean(result['seconds']):.0f}")
    Console(width=160).print(table)


def _spread(values: list[float]) -> dict:
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
            "values": values}


def _document(options: argparse.Namespace, data: LeaveOneOut, found: dict) -> dict:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                            cwd=Path(__file__).parent).stdout.strip()
    return {"data": options.name or options.data.name, "date": date.today().isoformat(), "commit": commit,
            "config": str(options.config), "users": len(data.test), "items": data.full.n_items, "rows": found}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of one category")
    parser.add_argument("--name", default="", help="name in the table; the folder's by default")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="[model] and [pretrain] of the PinRec row")
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"), help="where the dataset is kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="to go on with seeds where an earlier run ended")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--budget-minutes", type=float, default=240.0)
    parser.add_argument("--tune", default="", choices=["", *ROWS])
    options = parser.parse_args()
    for row in options.rows.split(","):
        if row not in ROWS:
            parser.error(f"--rows: there is no row {row!r}; there are {', '.join(ROWS)}")
    return options


if __name__ == "__main__":
    main()
