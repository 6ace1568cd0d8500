"""What serving costs: latency and throughput of `pinrec serve` by size of model, catalogue and history.

    python benchmarks/serve.py --json work/benchmark/serve.json [--quick] [--seconds 20] [--workers 2]
                               [--parts small,large,small-1m,large-1m,long] [--work DIR]

Releases are invented (serve_data.py, serve_model.py): 6 query vectors (2 outcomes x 3 steps), 100 items, histories by
user id from the release; asked for few users, who return, and for many, who do not. The service runs as its command
does; a driver in another process (serve_driver.py) sends requests at a fixed rate and waits for none of them, so that
queueing shows: at 80 requests/s, then ever more until errors appear or p99 reaches 100 ms. Beside it, in one process
and thread and without a service (serve_alone.py): the model, Faiss, both in a row and as often as a worker is asked at
80/s, the retriever, and a plain two-tower lookup in the same index. On as many cores as there are workers the driver
takes its share of them too.

- small, large:       width 128, 2 layers and width 256, 4 layers; 12,000 items, history 64
- small-1m, large-1m: the same with 1,000,000 items, which take some minutes to make, once below --work
- long:               as large, history 256
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from serve_data import SURFACE, USERS, Case, registry_of
from serve_report import print_tables
from serve_server import HERE, Server

from pinrec_core.serving.server import ALLOCATOR

logger = logging.getLogger("pinrec")
PARTS = {"small": Case(128, 2, 12_000), "large": Case(256, 4, 12_000), "small-1m": Case(128, 2, 1_000_000),
         "large-1m": Case(256, 4, 1_000_000), "long": Case(256, 4, 12_000, history=256)}
RETURNING = 400  # users of the runs in which everybody was there shortly before
BASE_RATE, GROWTH = 80, 1.25  # requests/s; each step of the ladder to the next
LIMIT_P99_MS = 100.0
N = 100


def main() -> None:
    """Measure the parts, print, write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    document = {"date": date.today().isoformat(), "commit": _commit(), "cpu": platform.processor(),
                "cores": os.cpu_count(), "load_before": os.getloadavg()[0], "workers": options.workers,
                "seconds": options.seconds, "limit_p99_ms": LIMIT_P99_MS, "cases": []}
    for part in options.parts.split(","):
        document["cases"].append({"part": part} | measure(PARTS[part], options))
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(document, indent=1))
    print_tables(document)


def measure(case: Case, options: argparse.Namespace) -> dict:
    """One release: its parts alone, then through HTTP."""
    registry = registry_of(case, options.work.resolve())
    with tempfile.TemporaryDirectory() as scratch:
        alone = _call("serve_alone.py", registry=str(registry), surface=SURFACE, n=N, users=USERS, scratch=scratch,
                      seconds=options.seconds / 4, rate=BASE_RATE / options.workers)
    logger.info("%s alone: %s", case.name, alone)
    with Server(registry, options.workers, options.work / case.name / "serve.log") as server:
        _drive(server, BASE_RATE, min(options.seconds, 3))  # warm
        _drive(server, 2 * BASE_RATE, options.seconds, RETURNING)  # what they have done is read
        rates = [_beside(_drive(server, BASE_RATE, options.seconds, users), alone) for users in (RETURNING, USERS)]
        if not options.quick:
            rates += _ladder(server, alone, options.seconds)
        found = {"start_s": server.start_s, "rss_mb": server.rss_mb()}
    return case._asdict() | found | {"alone": alone, "rates": rates, "sustained_s": _sustained(rates)}


def _ladder(server: Server, alone: dict, seconds: float) -> list[dict]:
    """Ever higher rates, until one cannot be sustained."""
    rates, rate = [], BASE_RATE * GROWTH
    while not rates or _is_sustained(rates[-1]):
        rates.append(_beside(_drive(server, round(rate), seconds), alone))
        rate *= GROWTH
    return rates


def _is_sustained(row: dict) -> bool:
    return not row["errors"] and row["p99_ms"] < LIMIT_P99_MS


def _sustained(rates: list[dict]) -> int:
    return max((row["rate"] for row in rates if _is_sustained(row)), default=0)


def _drive(server: Server, rate: int, seconds: float, users: int = USERS) -> dict:
    """One rate for some seconds, with what the server used of the processors for it."""
    before = server.cpu_s()
    found = _call("serve_driver.py", port=server.port, rate=rate, seconds=seconds, users=users, surface=SURFACE, n=N,
                  seed=rate)
    found["users"] = users
    found["cpu_ms"] = 1000 * (server.cpu_s() - before) / found["requests"]
    logger.info("%d/s: p50 %.2f, p99 %.2f ms, %d errors %s", rate, found["p50_ms"], found["p99_ms"], found["errors"],
                found["error_kinds"] or "")
    return found


def _beside(row: dict, alone: dict) -> dict:
    """With its ratios to the model and Faiss alone: asked as often at the base rate, in a row at the others."""
    parts = alone["paced" if row["rate"] == BASE_RATE else "model + faiss"]
    return row | {f"{name}_ratio": row[f"{name}_ms"] / parts[f"{name}_ms"] for name in ("p50", "cpu")}


def _call(script: str, **told) -> dict:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent),
                                "GLIBC_TUNABLES": ALLOCATOR}
    done = subprocess.run([sys.executable, str(HERE / script), json.dumps(told)], env=environment, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} {told}\n{done.stderr[-4000:]}\nfailed with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                          cwd=HERE).stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/benchmark/serve"), help="where releases are kept")
    parser.add_argument("--json", type=Path, help="figures")
    parser.add_argument("--quick", action="store_true", help="12,000 items, a few seconds, 80 requests/s alone")
    parser.add_argument("--seconds", type=float, help="of each rate; default: 20, with --quick 3")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that serve")
    parser.add_argument("--parts", help=f"default: {','.join(PARTS)}; with --quick small,large")
    options = parser.parse_args()
    options.seconds = options.seconds or (3 if options.quick else 20)
    options.parts = options.parts or ("small,large" if options.quick else ",".join(PARTS))
    for part in options.parts.split(","):
        if part not in PARTS:
            parser.error(f"--parts: there is no part {part!r}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    main()
