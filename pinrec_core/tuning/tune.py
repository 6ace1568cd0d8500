"""tune: draw settings, train each as far as it deserves, and write a table, a plot and the best configuration.

    pinrec tune --config FILE --dataset DIR [--study DIR] [--resume]

A random search with successive halving (Li et al., arXiv 1810.05934, one trial after the other): after so many epochs a
trial goes on only if it is among the best of those that came so far. The measure is that of validation, by which
training itself chooses its weights; the evaluation window takes no part.
"""

from __future__ import annotations

import logging
from pathlib import Path

import optuna
from optuna.trial import TrialState

import pinrec_core
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError, Preempted, TrainingError
from pinrec_core.manifest import fingerprint_of, read_manifest
from pinrec_core.progress import doing
from pinrec_core.store import opened
from pinrec_core.tuning.journal import opened_study
from pinrec_core.tuning.result import Table, table_of, write_result
from pinrec_core.tuning.space import Values, check_space, configured, distributions, drawn, spelled
from pinrec_core.tuning.trial import Stages, Workshop

logger = logging.getLogger("pinrec")


def tune(config: Config, dataset: Path, folder: Path, *, resume: bool = False) -> Table:
    """Run the trials of [tune] that are not finished yet and write `<folder>/result`; returns its table.

    Equal settings, data and seed give an equal table, whether it was killed on the way or not.

    Raises ConfigError if nothing is declared or a corner or a draw of the ranges is no valid configuration, before
    anything is trained; TrainingError if no trial came to its end; Preempted when asked to stop; and what
    `opened_study` raises. What is left in the folder then is gone on from with `resume`.
    """
    if config.tune is None:
        raise ConfigError(f"configuration {config.name!r} declares no ranges; write [tune] and [tune.ranges], see "
                          "docs/tuning.md")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    draws = drawn(config, config.tune.trials)
    check_space(config, draws)
    with opened(dataset, "dataset") as data:
        known = read_manifest(data, "dataset", verify=False)
        with opened_study(folder, _settings(config, known.fingerprint), config.tune, resume) as study:
            workshop = Workshop(data, folder, Stages.of(config))
            workshop.tidy(len(study.trials))
            workshop.prepare(config)
            first = len(study.trials)
            with doing("trials", len(draws), first=first) as told:
                for number, values in enumerate(draws[first:], first):
                    _try(study, values, config, workshop)
                    told(number + 1)
            table = table_of(study, config, known)
    write_result(folder, table, config)
    return table


def _settings(config: Config, dataset: str) -> str:
    """Fingerprint of all that the measure of a draw depends on; more trials of the same are the same study."""
    declared = config.tune.model_dump_json(exclude={"trials"})
    return fingerprint_of(pinrec_core.__version__, dataset, config.model, config.pretrain, config.finetune, declared)


def _try(study: optuna.Study, values: Values, config: Config, workshop: Workshop) -> None:
    """Run one trial and write down what became of it."""
    study.enqueue_trial(values)
    trial = study.ask(distributions(config))
    logger.info("tune: trial %d of %d: %s", trial.number, config.tune.trials, spelled(values))
    try:
        value, requests = workshop.measure(trial, configured(config, values))
        trial.set_user_attr("requests", requests)
        study.tell(trial, value)
        logger.info("tune: trial %d: validation %s %.4f", trial.number, config.tune.metric, value)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        logger.info("tune: trial %d given up", trial.number)
    except TrainingError as error:  # say, a rate so high that the loss is no number any more
        trial.set_user_attr("why", str(error))
        study.tell(trial, state=TrialState.FAIL)
        logger.warning("tune: trial %d failed: %s", trial.number, error)
    except Preempted as stopped:
        raise Preempted(f"tune: stopped in trial {trial.number}; the same command with --resume goes on") from stopped
    workshop.clear(trial.number)
