"""What a local run depends on: beside its arguments the code, and what lies in the event and catalog folders.

KFP's cache key knows a task's parameters and input artifacts, but neither of those; on a cluster immutable partitions
and image tags answer for them. Here both change under one's hands.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pinrec_core.config import AggregateConfig
from pinrec_core.logs.aggregation.window import open_window
from pinrec_core.registry import read_aliases
from pinrec_core.storage import is_remote, join

# What is taken over changes nothing of the dataset, who is told nothing of the run, where data lie nothing of either.
NOT_INPUT = ("previous", "notify", "store")


def input_state(arguments: dict[str, Any]) -> str:
    """Fingerprint of our code and of the input files (by name, size and time of change; those of a bucket not at all).

    Of the events only the partitions that the run's date reads: tomorrow's must not make today's be read again.
    """
    state = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(p for package in ("pinrec_core", "components") for p in (root / package).rglob("*.py")):
        state.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    window = open_window(arguments["date"], AggregateConfig.parse(arguments["aggregate"]))
    for uri in (arguments["catalog"], *(join(arguments["events"], f"date={date}") for date in window.dates)):
        files = [] if is_remote(uri) else sorted(p for p in Path(uri).rglob("*") if p.is_file())
        for path in files:
            state.update(f"{path}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}\0".encode())
    return state.hexdigest()


def inputs_of(arguments: dict[str, Any]) -> str:
    """Fingerprint of all that a date's result depends on."""
    inputs: dict[str, Any] = {name: value for name, value in arguments.items() if name not in NOT_INPUT}
    if not arguments["go_live"]:  # a promoting backfill changes what is live itself, in order
        aliases, _ = read_aliases(arguments["registry"])
        inputs["live"] = {surface: alias.live for surface, alias in sorted(aliases.surfaces.items())}
    text = json.dumps(inputs, sort_keys=True) + input_state(arguments)
    return hashlib.sha256(text.encode()).hexdigest()
