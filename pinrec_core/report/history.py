"""The last runs of a registry, from the outcome that each has left in its folder."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pinrec_core import storage
from pinrec_core.errors import PinrecError

OUTCOME = "outcome.json"
LAST_RUNS = 14


class PastRun(NamedTuple):
    """What became of one run."""

    run_id: str
    date: str  # last day of its data, "" where it was not recorded
    status: str
    surfaces: dict[str, dict]  # as in outcome.json

    def metric(self, surface: str, name: str) -> dict[str, Any]:
        """value, low, high, n and more; empty where it was not measured."""
        found = self.surfaces.get(surface, {})
        metrics = found.get("metrics") if isinstance(found, dict) else None
        cell = metrics.get(name) if isinstance(metrics, dict) else None
        return cell if isinstance(cell, dict) else {}


def last_runs(run: str, outcome: dict[str, Any], limit: int = LAST_RUNS) -> list[PastRun]:
    """The runs beside a run folder and this one with the given outcome, oldest first by the date of their data.

    Runs of one date are in the order in which they ended. What cannot be read is left out.
    """
    runs, _, own = run.rstrip("/").rpartition("/")
    try:
        ended = sorted((file.written, name.split("/")[0]) for name, file in storage.tree_files(runs).items()
                       if name.count("/") == 1 and name.endswith(f"/{OUTCOME}"))
    except (PinrecError, OSError):
        ended = []
    others = [_read(runs, name) for _, name in ended[-4 * limit:] if name != own]
    found = [past for past in others if past] + [_past(own, outcome)]
    return sorted(found, key=lambda past: past.date)[-limit:]


def _read(runs: str, name: str) -> PastRun | None:
    try:
        return _past(name, json.loads(storage.read_bytes(storage.join(runs, name, OUTCOME))))
    except (ValueError, KeyError, TypeError, AttributeError, PinrecError, OSError):
        return None


def _past(name: str, outcome: dict[str, Any]) -> PastRun:
    surfaces = outcome.get("surfaces")
    return PastRun(name, str(outcome.get("date") or ""), str(outcome["status"]),
                   surfaces if isinstance(surfaces, dict) else {})
