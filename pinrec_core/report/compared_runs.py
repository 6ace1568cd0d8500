"""Two runs of a registry beside each other: data, settings, metrics with the difference, verdicts, training, times.

`pinrec compare RUN RUN` prints it. A difference is that of the second run minus the first. Its interval is the paired
bootstrap over the users of both where both runs have a release (which keeps the values of every user) and were
evaluated on the same dataset; where that is not so, the reason stands beside the plain difference.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from pinrec_core import storage
from pinrec_core.errors import ConfigError, PinrecError
from pinrec_core.evaluation.bootstrap import Estimate
from pinrec_core.registry import read_aliases
from pinrec_core.release.provenance.markdown import flattened
from pinrec_core.report.paired import PairedUsers, Unpaired
from pinrec_core.report.run_facts import RunFacts, number, read_facts
from pinrec_core.report.run_folder import run_folder
from pinrec_core.report.run_settings import settings_of

Pair = tuple[Any, Any]  # what the first run has and what the second has; None = nothing


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Part):
    """A metric of one run; None where there is no number."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None  # users, or requests


class MetricRow(_Part):
    """One metric of one surface in both runs."""

    surface: str
    metric: str
    first: Cell | None  # None: not evaluated
    second: Cell | None
    difference: float | None  # second minus first; of the users of both where it is paired
    low: float | None = None  # of the paired difference
    high: float | None = None
    n: int | None = None  # users of both
    unpaired: str = ""  # why there is no interval


class Judged(_Part):
    """What the gate said of a surface; decisions are None where it did not run."""

    surface: str
    decision: Pair
    reasons: tuple[list[str], list[str]]


class CurveEnd(_Part):
    """How a training ended."""

    epochs: int | None
    loss: float | None  # of the last epoch
    best: float | None  # highest validation measure
    best_epoch: int | None


class Compared(_Part):
    """Two runs."""

    runs: tuple[str, str]  # ids
    status: tuple[str, str]  # promoted, ready, rejected, failed
    dates: Pair  # last day of the data
    promoted: Pair  # when something of it went live, ISO 8601, UTC
    dataset: Pair  # fingerprints
    counts: dict[str, Pair]  # of the datasets
    config: dict[str, Pair]  # what differs
    metrics: tuple[MetricRow, ...]
    verdicts: tuple[Judged, ...]
    training: dict[str, tuple[CurveEnd | None, CurveEnd | None]]
    seconds: dict[str, Pair]  # by step, where the run has kept it
    notes: tuple[str, ...]  # what could not be compared


def compare_runs(registry: str, first: str, second: str) -> Compared:
    """Compare two runs by id or so much of its beginning that it is the only one.

    Raises ConfigError for an unknown or ambiguous run. Parts that a run has not left are named in `notes`.
    """
    ids = tuple(_whole(registry, start) for start in (first, second))
    facts = tuple(_facts(registry, run_id) for run_id in ids)
    notes = [f"{run_id}: {note}" for run_id, one in zip(ids, facts, strict=True) for note in one.notes]
    data = [one.data or {} for one in facts]
    return Compared(
        runs=ids, status=tuple(one.status.value for one in facts),
        dates=tuple(one.get("facts", {}).get("date") for one in data), promoted=_promoted(registry, ids),
        dataset=tuple(one.get("fingerprint") for one in data),
        counts=_pairs(*(one.get("counts", {}) for one in data)), config=_config(registry, ids, facts, notes),
        metrics=tuple(_metrics(registry, facts)), verdicts=tuple(_verdicts(facts)),
        training=_pairs(*({name: _end(lines) for name, lines in one.training.items()} for one in facts)),
        seconds=_pairs(*map(_seconds, facts)), notes=tuple(notes))


def _whole(registry: str, start: str) -> str:
    known = storage.list_names(storage.join(registry, "runs"))
    found = [start] if start in known else [name for name in known if name.startswith(start)]
    if len(found) == 1:
        return found[0]
    what = f"run {start!r} is ambiguous" if found else f"no run in {registry} starts with {start!r}"
    raise ConfigError(f"{what}; {'it could be' if found else 'the newest are'} "
                      f"{', '.join((found or known)[-5:]) or 'none'}")


def _facts(registry: str, run_id: str) -> RunFacts:
    with storage.local_tree(run_folder(registry, run_id)) as folder:
        return read_facts(folder)


def _promoted(registry: str, ids: tuple[str, str]) -> Pair:
    """By the history of the aliases."""
    when = {entry.get("run"): entry.get("when") for entry in read_aliases(registry)[0].history}
    return tuple(when.get(run_id) for run_id in ids)


def _pairs(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Pair]:
    return {name: (first.get(name), second.get(name)) for name in dict.fromkeys((*first, *second))}


def _config(registry: str, ids: tuple[str, str], facts: tuple[RunFacts, RunFacts],
            notes: list[str]) -> dict[str, Pair]:
    """Every setting that is not the same; empty with a note if one run has left none."""
    found = []
    for run_id, one in zip(ids, facts, strict=True):
        try:
            found.append(flattened(settings_of(registry, run_id, one)))
        except PinrecError as error:
            notes.append(f"{run_id}: settings cannot be compared: {error}")
    if len(found) < 2:
        return {}
    return {name: pair for name, pair in sorted(_pairs(*found).items()) if pair[0] != pair[1]}


def _metrics(registry: str, facts: tuple[RunFacts, RunFacts]) -> list[MetricRow]:
    rows = []
    for surface in sorted({name for one in facts for name in one.evaluations}):
        cells = [one.evaluations.get(surface, {}).get("metrics", {}) for one in facts]
        names = list(dict.fromkeys((*cells[0], *cells[1])))
        try:
            paired, why = PairedUsers.of(registry, surface, facts).differences(names), ""
        except Unpaired as error:
            paired, why = {}, str(error)
        rows += [_metric_row(surface, name, _cell(cells[0], name), _cell(cells[1], name), paired.get(name), why)
                 for name in names]
    return rows


def _metric_row(surface: str, metric: str, first: Cell | None, second: Cell | None, paired: Estimate | None,
                why: str) -> MetricRow:
    if paired:
        return MetricRow(surface=surface, metric=metric, first=first, second=second, difference=paired.value,
                         low=paired.low, high=paired.high, n=paired.n)
    both = first and second and first.value is not None and second.value is not None
    return MetricRow(surface=surface, metric=metric, first=first, second=second,
                     difference=second.value - first.value if both else None,
                     unpaired=why or "it is no mean over users")


def _cell(metrics: dict[str, Any], name: str) -> Cell | None:
    cell = metrics.get(name)
    if not isinstance(cell, dict):
        return None
    return Cell(value=number(cell), low=number(cell.get("low")), high=number(cell.get("high")), n=cell.get("n"))


def _verdicts(facts: tuple[RunFacts, RunFacts]) -> list[Judged]:
    judged = [one.verdict.surfaces if one.verdict else {} for one in facts]
    return [Judged(surface=surface, decision=tuple(one.decision.value if one else None for one in pair),
                   reasons=tuple(one.reasons if one else [] for one in pair))
            for surface, pair in sorted(_pairs(*judged).items())]


def _seconds(facts: RunFacts) -> dict[str, float]:
    """Seconds by step; a step that ran several times is one."""
    found: dict[str, float] = {}
    for one in facts.steps.values():
        if (seconds := number(one.get("seconds"))) is not None:
            name = str(one.get("step", "?"))
            found[name] = round(found.get(name, 0.0) + seconds, 2)
    return found


def _end(lines: list[dict]) -> CurveEnd:
    losses = [line for line in lines if number(line.get("loss")) is not None]
    scores = [(number(value), line.get("epoch")) for line in lines for key, value in line.items()
              if key.startswith("validation_") and number(value) is not None]
    best, epoch = max(scores, key=lambda pair: pair[0], default=(None, None))
    return CurveEnd(epochs=losses[-1].get("epoch") if losses else None, loss=losses[-1]["loss"] if losses else None,
                    best=best, best_epoch=epoch)
