"""`pinrec run` as a user calls it: in a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

ROOT = Path(__file__).parents[2]
TINY = ROOT / "pipelines/configs/tiny.toml"


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


def backfill(work: Path, config: Path, first: str, last: str, *options: str) -> tuple[Outcome, list[dict[str, Any]]]:
    """Call `pinrec backfill` for JSON; what it said, and its results by date."""
    outcome = run(work, config, first, last, "--json", *options, command="backfill")
    return outcome, json.loads(outcome.out or "[]")


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
