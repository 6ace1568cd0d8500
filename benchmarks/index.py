"""What an index costs and finds: every kind over clustered vectors, built and set as a release's is.

    python benchmarks/index.py --json work/benchmark/index.json [--items 12000,100000,1000000] [--queries 1000]

Vectors are unit vectors around random centres of uneven weight; queries are fresh points around vectors of the items.
Each row is built by `ItemIndex.build` and set by `sweep` with min_ann_recall 0.97, in a process of its own and on one
thread, so that its peak RSS is its own. Latencies are of k = 100, of one query alone and of six together, which is what
a request asks. `rss_mb` is the peak while building, the vectors included; the estimate beside it was told before.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pinrec_core.config import Codes, IndexConfig, IndexKind
from pinrec_core.errors import PinrecError
from pinrec_core.retrieval.index import ItemIndex, set_threads
from pinrec_core.retrieval.kinds import estimate
from pinrec_core.retrieval.sweep import ANN_K, sweep

FLOOR = 0.97
KINDS = ((IndexKind.FLAT, Codes.FP32), (IndexKind.IVF, Codes.FP16), (IndexKind.IVF, Codes.SQ8),
         (IndexKind.HNSW, Codes.FP16))
ITEMS, DIMENSION, WIDE = (12_000, 100_000, 1_000_000), 64, 128  # wide: only of the largest
ITEMS_A_CENTRE, SPREAD, QUERY_SPREAD = 200, 0.8, 0.6  # lengths of the noise beside a unit vector
BATCH, TIMED, BLOCK, MB = 6, 300, 65536, 2**20
COLUMNS = {"items": "items", "dimension": "d", "index": "index", "build_s": "build, s", "mb": "MB",
           "estimated_mb": "estimated", "bytes_per_item": "B/item", "rss_mb": "peak RSS, MB",
           "estimated_building_mb": "estimated", "setting": "setting", "recall": "recall@100", "p50_ms": "p50",
           "p99_ms": "p99", "six_p50_ms": "six: p50", "six_p99_ms": "p99"}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default=",".join(map(str, ITEMS)), help="sizes of the catalogue")
    parser.add_argument("--queries", type=int, default=1000, help="queries recall is measured on")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    sizes = [int(items) for items in given.items.split(",")]
    cases = [(items, DIMENSION) for items in sizes] + ([(max(sizes), WIDE)] if max(sizes) >= max(ITEMS) else [])
    document = {"date": date.today().isoformat(), "commit": _commit(), "min_ann_recall": FLOOR,
                "queries": given.queries, "rows": [],
                "machine": {"cores": os.cpu_count(), "threads": 1, "python": platform.python_version()}}
    for items, dimension in cases:
        for kind, codes in KINDS:
            document["rows"].append(_apart(items, dimension, kind, codes, given.queries))
            if given.json:
                given.json.parent.mkdir(parents=True, exist_ok=True)
                given.json.write_text(json.dumps(document, indent=1))
    print_table(document["rows"])


def measure(items: int, dimension: int, kind: IndexKind, codes: Codes, queries: int) -> dict:
    """One row; with `failed`, what the sweep said, instead of the figures of searches if no setting was enough."""
    set_threads(1)
    before_mb = _peak_mb()
    vector_ID, query_MD = clustered(items, dimension, queries)
    config = IndexConfig(kind=kind, codes=codes, min_ann_recall=FLOOR)
    told, start = estimate(items, dimension, config), time.perf_counter()
    index = ItemIndex.build(vector_ID, np.ones(items, bool), config)
    row = {"items": items, "dimension": dimension, "index": f"{kind.value} {codes.value}",
           "build_s": time.perf_counter() - start, "rss_mb": _peak_mb() - before_mb,
           "estimated_building_mb": told.building / MB, "estimated_mb": told.index / MB}
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    row |= {"mb": size / MB, "bytes_per_item": size / items}
    try:
        swept = sweep(index, query_MD, vector_ID, config)
    except PinrecError as error:
        return row | {"failed": str(error)}
    row |= {"setting": swept.setting if swept else None, "curve": [rung._asdict() for rung in swept.rungs] if swept
            else [], "recall": index.ann_recall(query_MD, vector_ID, ANN_K)}
    for name, size in (("", 1), ("six_", BATCH)):
        row[f"{name}p50_ms"], row[f"{name}p99_ms"] = _milliseconds(index, query_MD, size)
    return row


def clustered(items: int, dimension: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around centres, and queries near some of them, float32."""
    rng = np.random.default_rng(0)
    centre_CD = _unit(rng.standard_normal((max(1, items // ITEMS_A_CENTRE), dimension), np.float32))
    weight_C = rng.lognormal(sigma=1.0, size=len(centre_CD))
    centre_I = rng.choice(len(centre_CD), items, p=weight_C / weight_C.sum())
    vector_ID = np.empty((items, dimension), np.float32)
    for start in range(0, items, BLOCK):
        part = slice(start, start + BLOCK)
        vector_ID[part] = _near(centre_CD[centre_I[part]], SPREAD, rng)
    return vector_ID, _near(vector_ID[rng.choice(items, queries, replace=False)], QUERY_SPREAD, rng)


def print_table(rows: list[dict]) -> None:
    """One line a row."""
    table = Table(title=f"Indexes set to recall@{ANN_K} >= {FLOOR}, one thread, ms")
    for name in COLUMNS.values():
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_text(row.get(key)) for key in COLUMNS))
    Console(width=170).print(table)


def _apart(*case) -> dict:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, *case).result()


def _near(vector_MD: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    noise_MD = rng.standard_normal(vector_MD.shape, np.float32) * np.float32(spread / vector_MD.shape[1] ** 0.5)
    return _unit(vector_MD + noise_MD)


def _unit(vector_MD: np.ndarray) -> np.ndarray:
    return vector_MD / np.linalg.norm(vector_MD, axis=1, keepdims=True)


def _milliseconds(index: ItemIndex, query_MD: np.ndarray, size: int) -> tuple[float, float]:
    """p50 and p99 of searches for `size` queries at once."""
    seconds = []
    for turn in range(TIMED):
        start = turn * size % (len(query_MD) - size + 1)
        began = time.perf_counter()
        index.search(query_MD[start : start + size], ANN_K)
        seconds.append(time.perf_counter() - began)
    return tuple(np.percentile(seconds, [50, 99]) * 1000)


def _text(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.4f}" if value <= 1 else f"{value:.1f}"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parent).stdout.strip()


if __name__ == "__main__":
    main()
