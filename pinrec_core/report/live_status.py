"""What is live on each surface and how old it is, from the registry alone: aliases, release manifests, run folders."""

from __future__ import annotations

import json
from datetime import date as Day
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pinrec_core import storage
from pinrec_core.errors import IntegrityError
from pinrec_core.registry import Aliases, read_aliases
from pinrec_core.release.stored import live_manifest
from pinrec_core.release.verdict import VERDICT_NAME, Verdict
from pinrec_core.report.run_report import OUTCOME
from pinrec_core.report.standing import went_live

DAY_S = 86_400


class SurfaceStatus(BaseModel):
    """One surface; None and "" where nothing is known."""

    model_config = ConfigDict(frozen=True)
    surface: str
    live: str | None = None  # release
    data_date: str = ""  # last day of its data
    data_age_days: int | None = None  # whole days from that day to today, by UTC
    promoted_days: float | None = None  # since it went live
    promoted_by: str = ""  # run
    frozen: str = ""  # why, if it is
    verdict: str = ""  # "promote" or "reject": of the last run that judged the surface
    verdict_run: str = ""
    verdict_days: float | None = None  # since then
    problem: str = ""  # why the live release cannot be read

    def too_old(self, max_age_days: int | None) -> str:
        """A sentence if the surface is past the limit, else ""; what has no readable live release is past any."""
        if max_age_days is None:
            return ""
        if self.data_age_days is None:
            return f"{self.surface}: {self.problem or 'nothing is live'}"
        if self.data_age_days > max_age_days:
            return (f"{self.surface}: the data of what is live end on {self.data_date}, {self.data_age_days} days ago; "
                    f"the limit is {max_age_days}")
        return ""


class Status(BaseModel):
    """A registry."""

    model_config = ConfigDict(frozen=True)
    surfaces: tuple[SurfaceStatus, ...]
    last_run: str = ""  # that left an outcome
    last_run_status: str = ""
    last_run_days: float | None = None  # since then


def live_status(registry: str, surfaces: tuple[str, ...], now: datetime) -> Status:
    """The state at `now` (UTC). Raises IntegrityError if the alias document cannot be read."""
    aliases, _ = read_aliases(registry)
    runs = storage.join(registry, "runs")
    written = sorted(((file.written, name) for name, file in storage.tree_files(runs).items()), reverse=True)
    verdicts = _last_verdicts(runs, written, surfaces)
    return Status(surfaces=tuple(_surface(registry, aliases, surface, verdicts.get(surface), now)
                                 for surface in surfaces), **_last_run(runs, written, now))


def _surface(registry: str, aliases: Aliases, surface: str, judged: tuple[str, str, float] | None,
             now: datetime) -> SurfaceStatus:
    known: dict[str, Any] = {"surface": surface}
    if judged:
        decision, run, when = judged
        known |= {"verdict": decision, "verdict_run": run, "verdict_days": _days(now.timestamp() - when)}
    if surface in aliases.frozen:
        known["frozen"] = aliases.frozen[surface].why
    live = aliases.surfaces[surface].live if surface in aliases.surfaces else None
    if live is None:
        return SurfaceStatus(**known)
    when, run = went_live(aliases, surface)
    known |= {"live": live, "promoted_by": run,
              "promoted_days": _days((now - datetime.fromisoformat(when)).total_seconds()) if when else None}
    try:
        date = live_manifest(registry, aliases, surface).facts["date"]
        known |= {"data_date": date, "data_age_days": (now.date() - Day.fromisoformat(date)).days}
    except (IntegrityError, KeyError, ValueError) as error:
        known["problem"] = f"release {live} cannot be read: {error}"
    return SurfaceStatus(**known)


def _last_verdicts(runs: str, written: list[tuple[float, str]], surfaces: tuple[str, ...],
                   ) -> dict[str, tuple[str, str, float]]:
    """Surface -> decision, run, time (seconds since the epoch) of the newest verdict over it."""
    found: dict[str, tuple[str, str, float]] = {}
    for when, name in written:
        if len(found) == len(surfaces):
            break
        run, _, file = name.partition("/")
        if file == VERDICT_NAME:
            for surface, decision in _decisions(storage.read_bytes(storage.join(runs, name))).items():
                if surface in surfaces:
                    found.setdefault(surface, (decision, run, when))
    return found


def _decisions(data: bytes) -> dict[str, str]:
    """Surface -> decision; none of a verdict that is broken or of another version, which the run's report names."""
    try:
        verdict = Verdict.model_validate_json(data)
    except ValidationError:
        return {}
    return {surface: judged.decision.value for surface, judged in verdict.surfaces.items()}


def _last_run(runs: str, written: list[tuple[float, str]], now: datetime) -> dict[str, Any]:
    """The run that left its outcome last."""
    last = next(((when, name) for when, name in written if name.endswith(f"/{OUTCOME}")), None)
    if not last:
        return {}
    try:
        status = str(json.loads(storage.read_bytes(storage.join(runs, last[1])))["status"])
    except (ValueError, KeyError, TypeError):
        status = "unreadable"
    return {"last_run": last[1].split("/")[0], "last_run_status": status,
            "last_run_days": _days(now.timestamp() - last[0])}


def _days(seconds: float) -> float:
    return round(seconds / DAY_S, 2)
