"""What training costs: speed, memory, time to a quality on Amazon Beauty beside RecBole's SASRec; and how it scales.

    python benchmarks/train.py --data <folder of Beauty> --json work/benchmark/train.json [--quick] [--threads 2]
                               [--parts beauty,quality,profile,items,length,width] [--work DIR]

`--data` is the folder of the category as benchmarks/amazon.py takes it. With `--quick` every part is measured once and
shortly (minutes); without, three times, and the table has medians. Every case runs in a process of its own, so that its
peak RSS (getrusage) is its own; cases that are compared take turns. `positions` are next-item targets: what a sequence
model is trained on, however it lays them out. Both sides have the same training reviews (all but each user's last two),
width, layers, heads, longest history and number of threads.

- beauty: positions/s of PinRec (pipelines/configs/amazon.toml at that width) and of RecBole's SASRec, as they come:
  RecBole in a virtual environment of its own below --work, made from PyPI, and run by its own trainer for some batches.
- quality: one run of PinRec as the file has it (width 128) and when its validation HR@10 (seen items removed) reached
  --target; the seconds are of everything that the run does, validation included.
- profile: which part of a step takes how much of it.
- items, length, width: invented engagements; what one step costs against the catalogue, the history and the model.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median

from train_peer_env import peer_python
from train_report import plot, print_tables

logger = logging.getLogger("pinrec")
HERE = Path(__file__).parent
PARTS = ("beauty", "quality", "profile", "items", "length", "width")
ITEMS = (10_000, 100_000, 1_000_000, 10_000_000)
LENGTHS = (50, 128, 256, 512, 1024)
WIDTHS = (32, 64, 128, 256)
TOKENS = 6_400  # of a step, whatever the length
KEPT = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "4294967296"}  # as in the Dockerfile


def main() -> None:
    """Measure the parts, print, write."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    document = {"date": date.today().isoformat(), "commit": _commit(), "machine": _machine(options)}
    for part in options.parts.split(","):
        document[part] = MEASURE[part](options)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(document, indent=1))
    print_tables(document)
    if options.json:
        plot(document, options.json.with_suffix(".png"))


def measure_beauty(options: argparse.Namespace) -> list[dict]:
    """A row per width and side: medians over the repeats, which take turns; `ratio` of the positions/s of a turn."""
    rows, peer = [], peer_python(options.work / "peers")
    for width in (64, 128):
        ours, theirs = [], []
        for _ in range(options.repeats):
            ours.append(_case(options, "beauty", width=width, steps=options.steps, precision=options.precision))
            theirs.append(_peer(options, peer, width))
        ratio = median(a["positions_s"] / b["positions_s"] for a, b in zip(ours, theirs, strict=True))
        rows += [{"side": "pinrec", "width": width, "ratio": ratio, **_medians(ours)},
                 {"side": "recbole", "width": width, "ratio": 1.0, **_medians(theirs)}]
    return rows


def measure_quality(options: argparse.Namespace) -> dict:
    """The curve of one run, and when it reached the target."""
    return _case(options, "quality", width=128, target=options.target, precision=options.precision)


def measure_profile(options: argparse.Namespace) -> list[dict]:
    """Seconds of each part of a step, by width."""
    return [_case(options, "profile", width=width, steps=options.steps, precision=options.precision)
            for width in (64, 128)]


def measure_items(options: argparse.Namespace) -> list[dict]:
    """A step against the size of the catalogue, an id row of its own for every item."""
    most = 1_000_000 if options.quick else max(ITEMS)
    return [_invented(options, items=items, length=50, width=64) for items in ITEMS if items <= most]


def measure_length(options: argparse.Namespace) -> list[dict]:
    """A step of as many tokens against the length of a history."""
    return [_invented(options, items=100_000, length=length, width=64) for length in LENGTHS]


def measure_width(options: argparse.Namespace) -> list[dict]:
    """A step against the width of the model."""
    return [_invented(options, items=100_000, length=50, width=width) for width in WIDTHS]


MEASURE = {"beauty": measure_beauty, "quality": measure_quality, "profile": measure_profile, "items": measure_items,
           "length": measure_length, "width": measure_width}


def _invented(options: argparse.Namespace, **sizes: int) -> dict:
    runs = [_case(options, "invented", steps=options.steps // 4, batch=max(1, TOKENS // sizes["length"]),
                  precision=options.precision, **sizes) for _ in range(options.repeats)]
    return sizes | _medians(runs)


def _case(options: argparse.Namespace, kind: str, **settings) -> dict:
    """One case in a process of its own."""
    folders = {"data": str(options.data.resolve()), "work": str(options.work.resolve())}
    told = json.dumps({"kind": kind, **folders, **settings})
    return _run([sys.executable, str(HERE / "train_case.py"), told], options)


def _peer(options: argparse.Namespace, python: Path, width: int) -> dict:
    """RecBole's SASRec on the same reviews, in its own environment."""
    told = json.dumps({"folder": str((options.work / "peers/data").resolve()), "width": width, "layers": 2, "heads": 2,
                       "length": 50, "batches": options.peer_batches})
    return _run([str(python), str(HERE / "train_peer.py"), told], options, options.work / "peers")  # it writes logs


def _run(command: list[str], options: argparse.Namespace, folder: Path | None = None) -> dict:
    environment = os.environ | KEPT | {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-4000:]}\nfailed with exit code {done.returncode}")
    found = json.loads(done.stdout.splitlines()[-1])
    told = {key: value for key, value in json.loads(command[-1]).items() if key not in ("data", "work", "folder")}
    logger.info("%s: %s", told, {key: value for key, value in found.items() if not isinstance(value, list | dict)})
    return found


def _medians(runs: list[dict]) -> dict:
    return {key: median(run[key] for run in runs) for key in runs[0]} | {"runs": runs}


def _machine(options: argparse.Namespace) -> dict:
    return {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": options.threads,
            "load_before": os.getloadavg()[0], "repeats": options.repeats, "precision": options.precision}


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                          cwd=HERE).stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of Amazon Beauty")
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"), help="dataset, peer's environment")
    parser.add_argument("--json", type=Path, help="figures; the plot goes beside it, as .png")
    parser.add_argument("--quick", action="store_true", help="one short repeat of everything, a million items at most")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either side; 1 where cores are shared")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--target", type=float, default=0.105, help="validation HR@10 of the quality part")
    options = parser.parse_args()
    for part in options.parts.split(","):
        if part not in MEASURE:
            parser.error(f"--parts: there is no part {part!r}; there are {', '.join(PARTS)}")
    options.repeats, options.steps, options.peer_batches = (1, 120, 2) if options.quick else (3, 400, 6)
    return options


if __name__ == "__main__":
    main()
