"""What a tuning leaves in `<study>/result/`, all of it or nothing:

    table.json     every trial: values, state, epochs, measure after each; the same for equal seeds
    best.toml      a whole configuration with the best trial's values
    plot.png       each setting against the measure, and the way of every trial up the rungs
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from pinrec_core import storage
from pinrec_core.config import Config
from pinrec_core.config.tune import Value
from pinrec_core.errors import IntegrityError, TrainingError
from pinrec_core.manifest import Manifest, write_manifest
from pinrec_core.report.tuning_plot import tuning_plot
from pinrec_core.tuning.space import configured, spelled

RESULT, TABLE, BEST, PLOT = "result", "table.json", "best.toml", "plot.png"
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "given up", TrialState.FAIL: "failed"}


class Row(BaseModel):
    """One trial."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    trial: int  # from 0
    state: Literal["done", "given up", "failed"]
    epochs: int  # trained, and validated
    value: float | None  # the measure: of a trial that was given up, its last; None = it failed before the first
    values: dict[str, Value]  # settings by dotted name
    by_epoch: dict[int, float]  # the best measure of the stage so far, after each epoch
    why: str = ""  # it failed


class Table(BaseModel):
    """The content of table.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["pinrec.tuning/1"] = "pinrec.tuning/1"
    metric: str  # on validation, mean over requests, higher is better
    surface: str  # "" = the base model on all surfaces
    requests: int  # validation requests behind every value
    dataset: str  # fingerprint
    date: str  # last day of the data, YYYY-MM-DD
    seed: int
    best: int  # number of a trial
    rows: tuple[Row, ...]  # by number

    @property
    def ranked(self) -> list[Row]:
        """Best first: what was done, then what came furthest."""
        return sorted(self.rows, key=lambda row: (row.state != "done", row.state == "failed",
                                                  -row.epochs if row.state != "done" else 0,
                                                  -(row.value or 0.0), row.trial))


def table_of(study: optuna.Study, config: Config, dataset: Manifest) -> Table:
    """The table of a study's trials, and which of those that came to their end is the best, the first at a tie.

    `dataset` is the manifest of what they were trained on. Raises TrainingError if none came to its end.
    """
    trials = study.trials
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not done:
        raise TrainingError(f"tune: none of {len(trials)} trials came to its end; the first: "
                            f"{trials[0].user_attrs.get('why', 'given up')}; narrow the ranges")
    best = max(done, key=lambda trial: trial.value)
    return Table(metric=config.tune.metric, surface=config.tune.surface, requests=best.user_attrs["requests"],
                 dataset=dataset.fingerprint, date=dataset.facts.get("date", ""), seed=config.tune.seed,
                 best=best.number, rows=tuple(map(_row, trials)))


def write_result(folder: Path, table: Table, config: Config) -> None:
    """Write the result in place of an earlier one. Raises IntegrityError if TOML cannot say the best configuration."""
    best = table.rows[table.best]
    text = best_configuration(table, configured(config, best.values))
    storage.remove_tree(str(folder / RESULT))
    with storage.staged_directory(folder / RESULT) as aside:
        storage.write_bytes(str(aside / TABLE), table.model_dump_json(indent=1).encode())
        storage.write_bytes(str(aside / BEST), text.encode())
        logged = [key for key, declared in config.tune.ranges.items() if declared.log]
        storage.write_bytes(str(aside / PLOT), tuning_plot(json.loads(table.model_dump_json()), logged))
        write_manifest(aside, kind="tuning", parents={"dataset": table.dataset},
                       facts={"metric": table.metric, "surface": table.surface, "best": table.best},
                       counts={"trials": len(table.rows), "requests": table.requests})


def best_configuration(table: Table, config: Config) -> str:
    """A TOML file that `Config.load` reads, and says in comments where it is from."""
    best, whose = table.rows[table.best], f"surface {table.surface}" if table.surface else "the base model"
    content = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    head = [f"Configuration {config.name!r} with the best values that `pinrec tune` found. Every setting is written "
            "out.", "",
            f"trial      {best.trial} of {len(table.rows)}, seed {table.seed}",
            f"values     {spelled(best.values)}",
            f"measure    validation {table.metric} of {whose}: {best.value:.4f} (n = {table.requests} requests); the "
            "best of many",
            "           draws, so expect less of it on the evaluation window",
            f"dataset    {table.dataset}", *([f"           up to {table.date}"] if table.date else [])]
    text = "".join(f"# {line}".rstrip() + "\n" for line in head) + "\n" + tomli_w.dumps(content)
    if Config.model_validate(tomllib.loads(text)) != config:
        raise IntegrityError("tune: the best configuration is not the same once it is written as TOML; take the "
                             f"values by hand: {spelled(best.values)}")
    return text


def _row(trial: FrozenTrial) -> Row:
    by_epoch: dict[int, float] = dict(sorted(trial.intermediate_values.items()))
    last: Any = next(reversed(by_epoch.values()), None)
    return Row(trial=trial.number, state=_STATES[trial.state], epochs=max(by_epoch, default=0),
               value=trial.value if trial.state is TrialState.COMPLETE else last, values=trial.params,
               by_epoch=by_epoch, why=trial.user_attrs.get("why", ""))
